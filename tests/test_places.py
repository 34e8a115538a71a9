"""Paths on other machines: their grammar, what travels, what is never kept, and what is refused."""

import http.server
import io
import os
import shutil
import socket
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

import test_gguf
from birkhoff_cli import checkpoints, content, logs, matrices, places, series, values
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import (
    BadInput,
    BirkhoffError,
    TooLarge,
    Unsupported,
    UsageError,
)
from birkhoff_cli.analyses.core.trace import name_of
from birkhoff_cli.binding import Binding
from birkhoff_cli.command import SWEEP
from birkhoff_cli.folding import Job
from birkhoff_cli.mistakes import unknown_command
from birkhoff_cli.places import _fetch, _http
from birkhoff_cli.places._fetch import Blob
from birkhoff_cli.places._file import RemoteFile
from birkhoff_cli.places._http import Answer, Reader
from birkhoff_cli.places._place import Entry, Place
from birkhoff_cli.places._spans import GAP, Known, cut, merge
from birkhoff_cli.request import Request
from birkhoff_cli.sweeps import Sweep
from fake_hub import TOKEN, FakeHub, Faults, Repository

COMMIT = "0" * 40


@pytest.mark.parametrize(
    "text, root, name",
    [
        ("hf://org/model", "hf://org/model", ""),
        ("hf://org/model/", "hf://org/model", ""),
        ("hf://org/model@v1", "hf://org/model@v1", ""),
        ("hf://org/model@refs/pr/3/a/b.pt", "hf://org/model@refs/pr/3", "a/b.pt"),
        (f"hf://org/model@{COMMIT}/a.gguf", f"hf://org/model@{COMMIT}", "a.gguf"),
        ("HTTPS://u:p@host:1/a/b.pt?sig=x", "https://host:1", "a/b.pt"),
        ("http://127.0.0.1:8/a.npz#name", "http://127.0.0.1:8", "a.npz"),
    ],
)
def test_a_url_is_a_place_and_a_name_there(text, root, name):
    path = values.read(Path, text, "PATH")
    assert places.is_remote(path)
    assert (path.place.root, path.in_place) == (root, name)
    assert str(path) == places.cut_secrets(text).rstrip("/").replace("HTTPS", "https")
    assert (path.parent / "x").parent == path.parent
    assert places.path_of(root).parent == places.path_of(root)


@pytest.mark.parametrize("revision", ["", "@v1", f"@{COMMIT}", "@refs/pr/3"])
def test_a_title_has_a_model_s_name_whatever_its_revision(revision):
    assert name_of(f"hf://org/model{revision}") == "model"
    assert name_of(f"hf://org/model{revision}/a@b.pt") == "a@b.pt"


@pytest.mark.parametrize(
    "text",
    [
        *("hf://", "hf://org", "hf://a/b@", "hf://a/b?x=y", "https:///a", "https://[::1/a"),
        *("http://far.example/a", "http://127.far.example/a", "http://localhost.example:80/a"),
        "https://me:secret/word@host/a",
    ],
)
def test_a_url_that_names_nothing_is_refused(text):
    with pytest.raises(UsageError) as refusal:
        places.path_of(text)
    assert "secret" not in str(refusal.value) and "hf::" not in str(refusal.value)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8", "127.0.0.2:80", "[::1]:8", "[::1]"])
def test_this_machine_needs_no_encryption_and_is_left_encrypted_only(host):
    assert places.is_remote(places.path_of(f"http://{host}/a.pt"))
    reader, part = Reader("", lambda _: {}), SimpleNamespace(shown="a.pt")
    for target in ("http://127.0.0.9/x", "https://far.example/x"):
        assert reader._target(f"http://{host}/a.pt", target, part) == target
    for target in ("http://far.example/x", "file:///x", "http://127.far.example/x"):
        with pytest.raises(BadInput, match="without encryption"):
            reader._target(f"http://{host}/a.pt", target, part)


@pytest.mark.parametrize("text", ["a/b", "ftp://host/a", "C:/a", "-", "hf:/a/b"])
def test_everything_else_is_a_local_path(text):
    assert not places.is_remote(places.path_of(text))


def test_a_local_path_with_the_parts_of_a_url_is_another_one():
    local, remote = Path("hf:/org/model"), places.path_of("hf://org/model")
    assert local != remote and remote != local and len({local, remote}) == 2
    assert remote / "a" == places.path_of("hf://org/model/a")
    assert "birkhoff check hf://org/model" in str(unknown_command(str(remote)))
    assert unknown_command("ftp://org/model") is None


SECRET = st.text("abcXYZ019%+=&:._-", min_size=6)


@given(user=SECRET, query=SECRET)
def test_a_secret_is_in_the_request_and_in_nothing_that_is_kept(user, query):
    user, query = f"pw-{user}", f"sig-{query}"
    text = f"https://{user}@host/folder/file.pt?{query}#entry"
    path = places.path_of(text)
    shown = [str(path), repr(path), path.name, str(path.parent / "beside"), places.label(path)]
    shown += [places.word(path), places.cut_secrets(f"'{text}' is no file; see {text}.")]
    assert not [line for line in shown if user in line or query in line]
    assert places.full(path) == text
    assert places.path_of(f"{path}") == path and places.full(path) == text  # a path of a path


@given(st.text("ab'\"\\\\<> \n", min_size=2), st.text("ab'\"\\\\<>@ \n", min_size=2))
def test_no_sign_in_a_secret_ends_it_for_a_message(user, query):
    user, query = f"pw{user}wp", f"sig{query}gis"
    text = f"https://{user}@host/file.pt?{query}"
    places.path_of(text)
    for shown in (places.cut_secrets(text), places.cut_secrets(f"in {[text]!r}")):
        assert not any(end in shown for end in ("pw", "wp", "sig", "gis"))


def test_the_commit_of_a_file_is_that_of_its_model_and_another_commit_is_another_place():
    first, second = (f"hf://org/pinned/a.pt?commit={c * 40}" for c in "ab")
    place = places.path_of(first).place
    assert place.requested == "a" * 40 and places.path_of(first).place is place
    other = places.path_of(second).place
    assert other.requested == "b" * 40 and other.root == place.root == "hf://org/pinned"


def test_a_path_elsewhere_is_never_given_to_the_system():
    path = places.path_of("https://host/file.pt")
    for use in (os.fspath, os.path.lexists, open, np.memmap):
        with pytest.raises(Unsupported, match="download it first"):
            use(path)
    with pytest.raises(Unsupported, match="read and not written"):
        path.open("wb")


SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=12)


@given(SPANS, st.integers(0, 20))
def test_merged_spans_cover_all_and_bridge_small_gaps_only(spans, gap):
    merged = merge(spans, gap)
    wanted = {k for a, b in spans for k in range(a, b)}
    covered = {k for a, b in merged for k in range(a, b)}
    assert wanted <= covered and merged == sorted(merged)
    assert all(b + gap < c for (_, b), (c, _) in zip(merged, merged[1:], strict=False))
    for k in covered - wanted:  # a byte too many lies between two that are wanted
        before, after = max(w for w in wanted if w < k), min(w for w in wanted if w > k)
        assert after - before - 1 <= gap
    pieces = [piece for span in merged for piece in cut(span, 7)]
    assert {k for a, b in pieces for k in range(a, b)} == covered
    assert all(0 < b - a <= 7 for a, b in pieces)


@given(SPANS, st.tuples(st.integers(0, 300), st.integers(0, 300)))
def test_a_byte_is_known_only_if_it_was_added(spans, asked):
    known, every = Known(), {}
    for start, stop in spans:
        for a, b in known.missing(start, stop):
            known.add(a, b, 1000 + a)
            every |= {k: 1000 + k for k in range(a, b)}
    for k in range(300):
        found = known.find(k)
        assert (found[0] if found else None) == every.get(k)
    gaps = {k for a, b in known.missing(*asked) for k in range(a, b)}
    assert gaps == {k for k in range(*asked) if k not in every}


class Memory(Place):
    """Files of this process, which count what is read of them."""

    def __init__(self, files):
        super().__init__("memory://here")
        self.files, self.reads = files, []

    @classmethod
    def split(cls, url):
        raise NotImplementedError

    def entry(self, name):
        return Entry(len(self.files[name])) if name in self.files else None

    children = split

    def read(self, name, start, stop):
        self.reads.append((start, stop))
        return self.files[name][start:stop]


@pytest.fixture(autouse=True)
def uncounted():
    places.begin()


@given(
    st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(-1, 400_000)), max_size=8),
    st.integers(0, 9),
)
def test_a_remote_file_reads_as_a_local_one_and_few_bytes_twice(steps, seed):
    data = np.random.default_rng(seed).bytes(2_500_000)
    place = Memory({"file": data})
    file = RemoteFile(Blob(place, "file", len(data)), os.stat_result([0] * 10))
    local = io.BytesIO(data)
    places.begin()
    for position, count in steps:
        assert file.seek(position) == local.seek(position)
        assert file.read(count) == local.read(count)
        assert file.tell() == local.tell()
    travelled = sum(b - a for a, b in place.reads)
    union = sum(b - a for a, b in merge(place.reads, 0))
    assert travelled <= union + GAP * len(place.reads)


def test_spans_of_many_files_travel_together_and_the_first_error_ends_it():
    files = {str(k): bytes([k]) * 400_000 for k in range(12)}
    place = Memory(files)
    blobs = [Blob(place, name, 400_000) for name in files]
    _fetch.fetch((blob, a, a + 10) for blob in blobs for a in (0, 100, GAP, 300_000))
    assert sorted(place.reads) == sorted([(0, GAP + 10), (300_000, 300_010)] * 12)
    assert all(blob.get(300_000, 99) == bytes([k]) * 10 for k, blob in enumerate(blobs))
    place.files = {}
    with pytest.raises(KeyError):
        _fetch.fetch((blob, 100_000, 200_000) for blob in blobs)


def test_no_command_reads_more_than_it_may_and_says_so_before(monkeypatch):
    place = Memory({"file": bytes(10_000)})
    monkeypatch.setenv(_fetch.VARIABLE, "5e3")
    with pytest.raises(TooLarge, match="BIRKHOFF_MAX_DOWNLOAD=6e\\+03"):
        _fetch.fetch([(Blob(place, "file", 10_000), 0, 5001)])
    assert not place.reads
    _fetch.fetch([(Blob(place, "file", 10_000), 0, 5000)])
    monkeypatch.setenv(_fetch.VARIABLE, "much")
    with pytest.raises(UsageError, match="no number of bytes"):
        _fetch.fetch([(Blob(place, "file", 10_000), 0, 1)])


def test_an_answer_that_is_too_short_is_never_the_end_of_a_file():
    place = Memory({"file": bytes(10)})
    with pytest.raises(BadInput, match="cut short"):
        _fetch.fetch([(Blob(place, "file", 20), 0, 20)])


def answer(start, stop, size, version, data, error=None):
    def body():
        yield data
        if error is not None:
            raise error

    said = {"Content-Range": f"bytes {start}-{stop - 1}/{size}", "ETag": version}
    return SimpleNamespace(status_code=206, headers=said, iter_raw=body)


def test_a_body_that_breaks_off_goes_on_with_the_same_file_only(monkeypatch):
    httpx2 = pytest.importorskip("httpx2")
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)
    lost, reader = httpx2.ReadError("lost"), Reader("", lambda _: {})

    def read(*answers, size=None):
        left = iter(answers)
        reader._follow = lambda part: part.take(next(left))
        return reader.read("u", "file", 2, 6, size)

    first = answer(2, 6, 9, "v1", b"ab", lost)
    assert read(first, answer(4, 6, 9, "v1", b"cd")) == Answer(b"abcd", 9, "v1")
    assert read(answer(2, 6, 9, "v1", b"abcd", lost)) == Answer(b"abcd", 9, "v1")
    gone = SimpleNamespace(status_code=416, headers={})
    for second in (answer(4, 6, 9, "v2", b"cd"), answer(4, 6, 8, "v1", b"cd"), gone):
        with pytest.raises(BadInput, match="changed while it was read"):
            read(first, second)


def test_what_a_sweep_goes_over_is_kept_without_secrets(tmp_path):
    text = "tokens=https://host/t.bin?sig=x"
    binding = Binding(discover.member("birkhoff_cli.analyses", "depth-drift"))
    request = Request(binding.options, {}, {})
    sweep = Sweep("depth-drift", request, {"inputs": [text]}, (1, 1), tmp_path)
    assert sweep.value("inputs", text) == "tokens=https://host/t.bin"
    typed = {"sweep": (f"inputs={text}",)}
    fixed = Request({option.name: option for option in SWEEP}, typed, {})
    assert not [word for word in (*fixed.arguments(), str(fixed.facts())) if "sig" in word]


@pytest.fixture(scope="module")
def hub():
    pytest.importorskip("huggingface_hub")
    with FakeHub({}) as hub:
        yield hub


@pytest.fixture
def serve(hub, checkpoints, monkeypatch):
    """Serve a recorded model under a name of its own, and count from nothing."""
    from huggingface_hub import constants

    files = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)
    monkeypatch.delenv("HF_TOKEN", raising=False)

    def serve(name, model="hf_v4_origfmt", access="open", faults=None):
        folder = checkpoints / model
        hub.repositories[name] = Repository(folder, access)
        hub.faults = faults or Faults()
        hub.forget()
        return folder

    yield serve
    hub.faults = Faults()


MIXED = Faults(too_many=20, unavailable=5, cut=7)


@pytest.mark.parametrize("faults", [Faults(), MIXED, Faults(expiry=1)], ids=["none", "all", "old"])
def test_a_remote_model_is_the_local_one(serve, hub, faults, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    name = f"org/same-{abs(hash(faults))}"
    folder = serve(name, access="private", faults=faults)
    local, remote = checkpoints.read(folder), checkpoints.read(places.path_of(f"hf://{name}"))
    commit = hub.repositories[name].revisions["main"].commit
    assert remote.inputs[0]["name"] == f"{name}@{commit}"
    assert remote.inputs[0] | {"name": 0} == local.inputs[0] | {"name": 0}
    assert np.array_equal(remote.theta, local.theta) and remote.settings == local.settings
    assert not hub.leaks
    assert places.full(places.path_of(f"hf://{name}")) == f"hf://{name}?commit={commit}"
    files = [asked for asked in hub.asked if "/resolve/" in asked.path]
    assert files and all(f"/resolve/{commit}/" in asked.path for asked in files)
    with remote.opened() as far, local.opened() as near:  # all of every site
        pairs = zip(remote.connect(far), local.connect(near), strict=True)
        assert all(vars(a).keys() == vars(b).keys() for a, b in pairs)
        assert far.digest() | {"name": 0} == near.digest() | {"name": 0}


def test_a_file_behind_a_url_is_the_local_one(serve, hub):
    folder = serve("org/web")
    at = f"{hub.endpoint}/org/web/resolve/main"
    remote = checkpoints.read(places.path_of(f"{at}/model.safetensors.index.json?download=true"))
    local = checkpoints.read(folder)
    assert remote.inputs[0]["sha256"] == local.inputs[0]["sha256"]
    assert np.array_equal(remote.theta, local.theta)


def test_a_signed_file_is_read_to_its_end(serve, hub):
    folder = serve("org/signed", "kromhc_n4")
    commit = hub.repositories["org/signed"].revisions["main"].commit
    remote = checkpoints.read(places.path_of(hub.storage_url("org/signed", commit, "ckpt.pt")))
    assert np.array_equal(remote.theta, checkpoints.read(folder / "ckpt.pt").theta)


def test_a_password_goes_to_its_own_host_and_a_signature_with_its_own_file():
    path = places.path_of("https://me:pass%21@host:1/a/b.pt?sig=x")
    place = path.place
    assert place._headers("https://host:1/else")["Authorization"] == "Basic bWU6cGFzcyE="
    for other in ("https://host/a", "http://host:1/a", "https://host:1.evil/a", "https://hos/a"):
        assert place._headers(other) == {}
    asked = []
    place._reader.read = lambda url, *_: asked.append(url) or Answer(b"", 0, "")
    for name in ("a/b.pt", "a/config.json"):
        place._read(name, 0, 1, None)
    assert asked == ["https://host:1/a/b.pt?sig=x", "https://host:1/a/config.json"]
    assert places.path_of("https://host:1/a/other.pt?sig=y").place is place
    assert places.path_of("https://you:word@host:1/a/b.pt").place is not place


def test_what_is_kept_of_a_command_line_has_no_secret_and_what_a_worker_gets_has():
    binding = Binding(discover.member("birkhoff_cli.analyses", "compare"))
    url = "https://me:pass@host/run/a.pt?sig=x"
    request = Request(binding.options, {"path": (f"one={url}", url)}, {})
    assert list(request.arguments()) == ["one=a.pt", "a.pt"]
    assert request.facts()["path"] == ["one=a.pt", "a.pt"]
    assert request.absolute()["path"] == (f"one={url}", url)
    texts = request.absolute()
    job = Job("compare", tuple(texts.items()), "facts")
    assert "pass" not in repr(texts) + repr(job) and "path" in repr(texts)
    assert [str(path) for path in request.paths()] == ["https://host/run/a.pt"] * 2


@pytest.mark.parametrize(
    "urls, said",
    [
        (("https://a:b@host/x.pt", "https://host/y.pt", "https://a:b@host/z.pt?s=1"), ""),
        (("https://host/x.pt?s=1", "https://host/y.pt?s=2", "https://host/x.pt?s=1#e"), ""),
        (("s3://bucket/x.pt?region=a", "s3://other/x.pt?region=b", "s3://bucket/y"), ""),
        (("one=https://a:SECRET@host/x.pt", "https://c:d@host/y.pt"), "host: is given with two u"),
        (("https://host/x.pt?SECRET=1", "https://host/x.pt?s=2"), "host/x.pt: is given with two q"),
        (("s3://bucket/x.pt?region=SECRET", "s3://bucket/y.pt?region=b"), "two queries"),
    ],
)
def test_a_place_that_is_given_as_two_users_is_refused(urls, said):
    binding = Binding(discover.member("birkhoff_cli.analyses", "compare"))
    request = Request(binding.options, {"path": urls}, {})
    if not said:
        places.refuse_conflicts(urls)
        return
    with pytest.raises(BadInput, match=said) as refusal:
        binding.narrow(request)
    assert "SECRET" not in str(refusal.value) and refusal.value.exit_code == 3


@pytest.mark.parametrize("base, key", [("bucket", "bucket/a/b.pt"), ("", "a/b.pt")])
def test_a_key_begins_with_no_slash_where_the_container_is_part_of_it(base, key):
    place = places.path_of("abfss://account@host:1/a/b.pt").place
    place.__dict__["_system"] = (None, base)
    assert (place._key("a/b.pt"), place._key("")) == (key, base)


def test_a_command_has_the_commit_of_its_own_time(serve, hub):
    """Of a Python session the first command resolves a branch, and the next one does anew."""
    from birkhoff_cli import load

    def label():
        return load("hf://org/moves").meta["inputs"][0]["name"]

    serve("org/moves", "kromhc_n4")
    first = label()
    hub.forget()
    assert label() == first
    asked = [k.path for k in hub.asked]
    assert len(asked) == 1 and asked[0].startswith("/api/models/org/moves")  # no byte again
    serve("org/moves", "mhclite_hc_n4")
    second = label()
    commit = hub.repositories["org/moves"].revisions["main"].commit
    assert first != second == f"org/moves@{commit}/ckpt.pt"
    trace = load("hf://org/moves")
    serve("org/moves", "kromhc_n4")
    hub.forget()
    assert trace.meta["inputs"][0]["name"] == second and not hub.asked


def test_the_processes_of_a_command_share_what_it_may_read(monkeypatch):
    monkeypatch.setenv("BIRKHOFF_MAX_DOWNLOAD", "1000")
    traffic = _fetch.Traffic()
    assert traffic.readers(3) == 3
    traffic.plan(300, "a")
    assert traffic.readers(3) == 2  # 700 are left: enough for two who read as much
    share = traffic.divide(2)
    assert (share.size, share.processes, share.before) == (350, 2, 300)
    other = _fetch.Traffic()
    other.share = share
    other.plan(350, "a")
    with pytest.raises(TooLarge, match="each of 2 more processes reads 0.0 MB.*=2e\\+03"):
        other.plan(1, "a")
    assert other.planned == 350
    other.begin()
    other.plan(1000, "a")


def test_a_page_in_place_of_a_file_is_no_file(tmp_path, shared):
    """As a server of one page answers, whatever is asked for."""
    data = (shared / "checkpoints" / "kromhc_n4" / "ckpt.pt").read_bytes()

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            is_file = self.path.startswith("/run/ckpt.pt")
            body = data if is_file else b"\n <!DOCTYPE html><html><body>welcome</body></html>"
            start, _, last = self.headers.get("Range", "bytes=0-").partition("=")[2].partition("-")
            part = body[int(start) : int(last) + 1 if last else None]
            self.send_response(206 if is_file else 200)
            if is_file:
                end = int(start) + len(part) - 1
                self.send_header("Content-Range", f"bytes {start}-{end}/{len(body)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)

        def log_message(self, *words):
            del words

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        far = checkpoints_of(places.path_of(f"{root}/run/ckpt.pt"))
        near = checkpoints_of(tmp_path / "run" / "ckpt.pt", data)
        assert np.array_equal(far.theta, near.theta)
        said = "there is no config.json beside the file: the server sends a page"
        assert said in far.assumptions and said not in near.assumptions
        with pytest.raises(BirkhoffError):
            checkpoints.read(places.path_of(f"{root}/typed.json"))
    finally:
        server.shutdown()
        server.server_close()


def checkpoints_of(path, data=None):
    if data is not None:
        path.parent.mkdir()
        path.write_bytes(data)
    return checkpoints.read(path)


@pytest.fixture
def kinds(tmp_path, checkpoints):
    """One file of every kind that is read by ranges."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    shutil.copy(checkpoints / "kromhc_n4" / "ckpt.pt", folder / "torch.pt")
    (folder / "model.gguf").write_bytes(
        test_gguf.gguf(test_gguf.model_keys(), test_gguf.model_tensors())
    )
    rng = np.random.default_rng(0)
    np.save(folder / "array.npy", rng.dirichlet(np.ones(4), (50, 4)))
    np.savez(folder / "arrays.npz", H=rng.dirichlet(np.ones(4), (50, 4)))
    return folder


@pytest.fixture
def bucket(monkeypatch):
    """An object store's place, on a folder."""

    def bucket(folder, name):
        root = places.path_of(f"s3://{name}")
        monkeypatch.setitem(vars(root.place), "_system", (LocalFileSystem(), str(folder)))
        return root

    return bucket


@pytest.mark.parametrize("name", ["torch.pt", "model.gguf"])
@pytest.mark.parametrize("at", ["hub", "bucket"])
def test_a_model_of_every_kind_is_the_local_one(serve, hub, bucket, kinds, at, name):
    own = f"{at}-{name}"
    serve(f"org/{own}")
    hub.repositories[f"org/{own}"] = Repository(kinds)
    far = places.path_of(f"hf://org/{own}")
    root = bucket(kinds, own) if at == "bucket" else far
    local, remote = checkpoints.read(kinds / name), checkpoints.read(root / name)
    assert np.array_equal(remote.theta, local.theta)
    assert remote.inputs[0] | {"name": 0} == local.inputs[0] | {"name": 0}
    assert sum(asked.server == "storage" for asked in hub.asked) <= 8


@pytest.mark.parametrize("name", ["array.npy", "arrays.npz"])
def test_arrays_are_the_local_ones(bucket, kinds, name):
    root = bucket(kinds, f"of-{name}")
    local, remote = matrices.read(kinds / name), matrices.read(root / name)
    assert remote.meta == local.meta
    for near, far in zip(local, remote, strict=True):
        assert np.array_equal(near, far)


def test_a_folder_of_a_bucket_is_listed_once_and_is_a_series(bucket, shared):
    root = bucket(shared / "checkpoints" / "series_mhc_n4", "series")
    members = series.expand([root])
    assert [path.name for path in members] == [f"ckpt_{k:06}.pt" for k in (1, 50, 100, 400)]
    assert not (root / "none.pt").exists() and (root / "val.bin").is_file() and root.is_dir()
    with pytest.raises(BadInput, match="did you mean s3://series/ckpt_000050.pt"):
        checkpoints.read(root / "ckpt_000050.pth")


def test_the_event_file_of_a_folder_is_the_log_that_it_is_locally(bucket):
    folder = Path(__file__).parent / "data" / "events"
    local, remote = logs.read(folder), logs.read(bucket(folder, "events"))
    assert remote.meta == local.meta and local.meta["inputs"][0]["size"]


def test_an_object_that_was_replaced_is_not_mixed_with_the_new_one(bucket, tmp_path, monkeypatch):
    data = tmp_path / "file"
    data.write_bytes(bytes(10**6))
    root = bucket(tmp_path, "replaced")
    file = (root / "file").open("rb")
    assert file.read(10) == bytes(10)
    before = content.of_file(root / "file").state
    data.write_bytes(b"1" * 10**6)
    os.utime(data, (1, 1))
    file.seek(900_000)
    with pytest.raises(BadInput, match="changed while it was read"):
        file.read(10)
    monkeypatch.setitem(vars(root.place), "_system", (LocalFileSystem(), str(tmp_path)))
    after = content.of_file(root / "file").state  # by which other processes tell what they read
    assert after[:3] == before[:3] and after != before


def test_a_record_that_is_another_one_is_refused_when_it_is_read(bucket, kinds, tmp_path):
    data = bytearray((kinds / "torch.pt").read_bytes())
    with zipfile.ZipFile(kinds / "torch.pt") as archive:
        entries = [e for e in archive.infolist() if "/data/" in e.filename]
    for entry in entries:  # the local name of every storage
        at = entry.header_offset + 30 + len(entry.filename) - 1
        data[at] = ord("x")
    (tmp_path / "torch.pt").write_bytes(data)
    with pytest.raises(BadInput, match="not in their place"):
        checkpoints.read(bucket(tmp_path, "moved") / "torch.pt")


@pytest.mark.parametrize("ranges", ["ignored", "shifted", "short", "unsaid"])
def test_an_answer_that_is_not_the_range_is_refused_before_its_body(serve, hub, ranges):
    serve(f"org/{ranges}", faults=Faults(ranges=ranges))
    with pytest.raises(BadInput, match="download the file"):
        checkpoints.read(places.path_of(f"hf://org/{ranges}"))
    assert hub.bytes_sent < 3_000_000


@pytest.mark.parametrize(
    "access, token, url, sentence",
    [
        ("private", None, "hf://org/REPO", "no such model, or it is private"),
        ("private", TOKEN, "hf://org/REPO@v9", "has no revision 'v9'"),
        ("open", "hf_wrong", "hf://org/REPO", "does not let this token in"),
        ("gated", None, "hf://org/REPO", "is gated; accept its conditions"),
        ("awaiting", TOKEN, "hf://org/REPO", "this account has not been let in"),
        ("open", None, "hf://org/REPO/nothing.pt", "no such file"),
        ("open", None, "hf://org/REPO/confg.json", "did you mean hf://org/REPO/config.json"),
    ],
)
def test_a_refusal_is_one_sentence(serve, monkeypatch, access, token, url, sentence):
    name = f"refusal-{abs(hash(sentence))}"
    serve(f"org/{name}", access=access)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(BadInput) as refusal:
        checkpoints.read(places.path_of(url.replace("REPO", name)))
    assert sentence.replace("REPO", name) in str(refusal.value)
    assert TOKEN not in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.usefixtures("serve")
def test_what_is_no_hub_and_no_name_is_said(monkeypatch):
    from huggingface_hub import constants

    with pytest.raises(UsageError, match="no name of a model"):
        checkpoints.read(places.path_of("hf://org/model@\udcff"))
    server = http.server.HTTPServer(("127.0.0.1", 0), Portal)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    for name in ("page", "list", "empty"):
        with pytest.raises(BadInput, match="what answers is no hub"):
            checkpoints.read(places.path_of(f"hf://org/{name}"))
    server.shutdown()
    server.server_close()


class Portal(http.server.BaseHTTPRequestHandler):
    """Answers every question with a page, a list or nothing."""

    def do_GET(self):
        word = {"page": b"<html>log in", "list": b"[1]", "empty": b'{"id": "a/b"}'}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(word[self.path.partition("?")[0].split("/")[4]])

    def log_message(self, *_):
        pass


@pytest.mark.usefixtures("serve")
def test_offline_and_unreachable_are_told(monkeypatch):
    from huggingface_hub import constants

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        for url in ("hf://org/unreachable", f"{constants.ENDPOINT}/file.pt"):
            with pytest.raises(BadInput, match="cannot be reached"):
                checkpoints.read(places.path_of(url))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(BadInput, match="HF_HUB_OFFLINE is set"):
            checkpoints.read(places.path_of("hf://org/offline"))
