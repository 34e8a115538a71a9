"""Whole commands on models elsewhere: results, bytes, faults, and that no secret is left anywhere.

The servers are on the loopback; the command knows of them by its environment and its URL alone.
"""

import json
import os
import shutil
import socket
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from benchmarks.remote import CONVERSION, ORIGINAL, cost, hub_of, models
from conftest import ROOT
from fake_hub import SIGNATURE, TOKEN, FakeHub, Faults, Repository
from gs_server import gs_server
from s3_server import s3_server

pytestmark = pytest.mark.release
pytest.importorskip("huggingface_hub")

MAX_REQUESTS, MAX_MEGABYTES, MAX_MEMORY, MAX_DIFF = 200, 20, 200, 25
"""Of ``inspect`` of 150 GB (memory in MB too), and megabytes of ``diff`` with a conversion."""

PASSWORD, QUERY = "pw-of-the-tests", "sig-of-the-tests"
MIXED = Faults(too_many=20, unavailable=5, cut=7)


@pytest.fixture(scope="module")
def model(tmp_path_factory, shared):
    """A folder with a model in shards, single files of other kinds, and a trace."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(shared / "checkpoints" / "hf_v4_origfmt", folder, dirs_exist_ok=True)
    for name in ("mhc/ckpt_000600.pt", "mhc-lite.pt"):
        shutil.copy(ROOT / "examples" / name, folder)
    words = ["-m", "birkhoff_cli", "trace", folder / "ckpt_000600.pt", "--inputs", "gaussian"]
    words += ["-n", "50", "-q", "-o", folder / "trace.parquet"]
    subprocess.run([sys.executable, *words], check=True, env={**os.environ, "PYTHONPATH": ROOT})
    return folder


@pytest.fixture
def hub(model):
    with FakeHub({"org/model": Repository(model)}) as hub:
        yield hub


def provenance(path):
    return json.loads(pq.read_schema(path).metadata[b"birkhoff"])


SAME = [
    ("inspect", "", ()),
    ("depth-drift", "", ()),
    ("depth-drift", "", ("--inputs", "gaussian", "-n", "20")),
    ("degeneration", "ckpt_000600.pt", ()),
    ("check", "ckpt_000600.pt", ()),
    ("spectrum", "trace.parquet", ()),
    ("weights", "mhc-lite.pt", ()),
]


@pytest.mark.parametrize("faults", [Faults(), MIXED, Faults(expiry=1)], ids=["none", "all", "old"])
@pytest.mark.parametrize(("command", "name", "more"), SAME)
def test_a_command_says_the_same_of_a_remote_model(
    command, name, more, faults, hub, model, birkhoff, tmp_path
):
    url = f"hf://org/model/{name}".rstrip("/")
    hub.faults = faults
    results, table = [], tmp_path / "t.parquet"
    for path, env in ((url, hub.environment), (model / name, {})):
        table.unlink(missing_ok=True)
        done = birkhoff(command, path, *more, "--json", "-o", table, env=env)
        quiet = birkhoff(command, path, *more, "-q", env=env)
        assert (done.returncode, done.stderr, quiet.stdout, quiet.stderr) == (0, "", "", "")
        results.append((json.loads(done.stdout), pq.read_table(table), provenance(table)))
    (far, rows, about), (near, own_rows, own_about) = results
    commit = hub.repositories["org/model"].revisions["main"].commit
    assert {k: v for k, v in far.items() if not names(v)} == {
        k: v for k, v in near.items() if not names(v)
    }
    assert far.keys() == near.keys() and rows.equals(own_rows)
    assert [k["sha256"] for k in about["meta"]["inputs"]] == [
        k["sha256"] for k in own_about["meta"]["inputs"]
    ]
    assert f"org/model@{commit}" in json.dumps(about) and not hub.leaks


def names(value):
    """Whether a value names the model."""
    return isinstance(value, str) and ("org/model" in value or "/model" in value)


REFUSALS = {
    "private": ("private", {}, "", "private"),
    "gated": ("gated", {}, "", "gated"),
    "awaiting": ("awaiting", {"HF_TOKEN": TOKEN}, "", "has not been let in"),
    "wrong token": ("open", {"HF_TOKEN": "hf_wrong"}, "", "token"),
    "revision": ("open", {}, "@v9", "no revision 'v9'"),
    "file": ("open", {}, "/none.pt", "no such file"),
    "offline": ("open", {"HF_HUB_OFFLINE": "1"}, "", "HF_HUB_OFFLINE"),
    "cap": ("open", {"BIRKHOFF_MAX_DOWNLOAD": "1e3"}, "", "BIRKHOFF_MAX_DOWNLOAD"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_one_sentence_and_leaves_nothing(case, hub, model, birkhoff, tmp_path):
    access, env, more, sentence = REFUSALS[case]
    hub.repositories["org/other"] = Repository(model, access)
    words = ("depth-drift", f"hf://org/other{more}", "-o", "o.parquet")
    done = birkhoff(*words, env={**hub.environment, **env})
    assert done.returncode == (6 if case == "cap" else 3) and done.stdout == ""
    assert done.stderr.count("\n") == 1 and sentence in done.stderr
    assert "Traceback" not in done.stderr and TOKEN not in done.stderr
    assert not list(tmp_path.iterdir()) and not hub.leaks
    if case == "cap":
        assert not [k for k in hub.asked if k.server == "storage"]


@pytest.mark.parametrize("ranges", ["ignored", "shifted", "short", "unsaid"])
def test_other_bytes_than_asked_for_are_refused(ranges, hub, birkhoff, tmp_path):
    hub.faults = Faults(ranges=ranges)
    done = birkhoff("inspect", "hf://org/model", "-o", "o.parquet", env=hub.environment)
    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
    done = birkhoff("inspect", "hf://org/model", "-q", env=hub.environment)
    assert done.returncode == 3


def test_a_hub_that_is_not_there(birkhoff):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = birkhoff("inspect", "hf://org/model", env={"HF_ENDPOINT": endpoint})
    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert "cannot be reached" in done.stderr


def test_nothing_is_asked_of_a_network_unless_a_url_was_typed(hub, model, birkhoff):
    env = {**hub.environment, "HF_TOKEN": TOKEN}
    done = birkhoff("check", model, env=env)
    assert done.returncode == 0 and not hub.asked


def test_a_revision_is_resolved_once_and_kept(hub, model, birkhoff, tmp_path):
    second = tmp_path.parent / f"{tmp_path.name}-second"
    shutil.copytree(model, second)
    hub.repositories["org/model"] = at = Repository(model, branches={"v2": second})
    done = birkhoff("depth-drift", "hf://org/model@v2", "-o", "o.parquet", env=hub.environment)
    assert done.returncode == 0, done.stderr
    commit = at.revisions["v2"].commit
    assert commit != at.revisions["main"].commit
    asked = [k.path for k in hub.asked if k.server == "hub"]
    assert [path for path in asked if "v2" in path] == ["/api/models/org/model/revision/v2"]
    assert all(commit in path for path in asked[1:]) and len(asked) > 1
    assert f"org/model@{commit}" in json.dumps(provenance(tmp_path / "o.parquet"))


def everything(done, folder):
    """All that a command printed and wrote."""
    texts = [done.stdout.encode(), done.stderr.encode()]
    return b"\n".join([*texts, *(p.read_bytes() for p in folder.rglob("*") if p.is_file())])


OUTPUTS = [
    ("depth-drift", "-o", "o.parquet", "--plot", "p.svg"),
    ("depth-drift", "-o", "o.csv", "-v"),
    ("check", "--json", "-o", "o.arrow"),
    ("report", "-o", "r.html"),
    ("inspect", "--debug", "--set", "nothing=1"),
    ("trace", "-o", "t.parquet"),
    ("depth-drift", "--sweep", "inputs=static,gaussian", "-o", "s.parquet"),
]


@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_no_secret_is_printed_or_written(words, hub, birkhoff, tmp_path):
    command, *rest = words
    env = {**hub.environment, "HF_TOKEN": TOKEN, "TMPDIR": str(tmp_path)}
    done = birkhoff(command, "hf://org/model", *rest, env=env)
    assert done.returncode == (2 if "--set" in rest else 0), done.stderr
    assert any(asked.authorized for asked in hub.asked) and not hub.leaks
    left = everything(done, tmp_path)
    assert TOKEN.encode() not in left and SIGNATURE.encode() not in left


@pytest.fixture
def certificate(tmp_path_factory):
    """A file with the key and the certificate of both servers."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on the path")
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    names = "subjectAltName=IP:127.0.0.1,IP:127.0.0.2"
    words = ["-nodes", "-days", "2", "-subj", "/CN=loopback", "-addext", names]
    words += ["-newkey", "rsa:2048", "-keyout", file, "-out", file.with_suffix(".crt")]
    subprocess.run(["openssl", "req", "-x509", *words], check=True, capture_output=True)
    with file.open("ab") as both:
        both.write(file.with_suffix(".crt").read_bytes())
    return file


@pytest.mark.parametrize("words", OUTPUTS[:4], ids=" ".join)
def test_secrets_of_a_url_are_cut(words, model, certificate, birkhoff, tmp_path):
    command, *rest = words
    with FakeHub({"org/model": Repository(model)}, certificate=certificate) as hub:
        at = hub.endpoint.replace("https://", f"https://user:{PASSWORD}@")
        url = f"{at}/org/model/resolve/main/ckpt_000600.pt?signature={QUERY}"
        hub.token = None  # a password is no token: any Authorization header is let in
        env = {"SSL_CERT_FILE": str(certificate.with_suffix(".crt")), "TMPDIR": str(tmp_path)}
        done = birkhoff(command, url, *rest, env={**hub.environment, **env})
        assert done.returncode == 0, done.stderr
        assert any(asked.authorized for asked in hub.asked) and not hub.leaks
    left = everything(done, tmp_path)
    assert PASSWORD.encode() not in left and QUERY.encode() not in left
    assert SIGNATURE.encode() not in left


def test_a_hub_over_tls(model, certificate, birkhoff):
    with FakeHub({"org/model": Repository(model, "private")}, certificate=certificate) as hub:
        env = {**hub.environment, "SSL_CERT_FILE": str(certificate.with_suffix(".crt"))}
        assert birkhoff("inspect", "hf://org/model", env=env).returncode == 3
        done = birkhoff("inspect", "hf://org/model", env={**env, "HF_TOKEN": TOKEN})
        assert (done.returncode, done.stderr) == (0, "") and not hub.leaks
        untrusted = birkhoff("inspect", "hf://org/model", env=hub.environment)
        assert untrusted.returncode == 3 and untrusted.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """150 GB, and a conversion, of holes."""
    folder = tmp_path_factory.mktemp("large")
    yield models(folder)
    shutil.rmtree(folder)


def test_little_travels_of_a_large_model(large):
    with hub_of(large) as hub:
        far = cost(["inspect", ORIGINAL, "--json"], hub)
        near = cost(["inspect", str(large[ORIGINAL]), "--json"], hub)
    assert json.loads(far.out) == json.loads(near.out)
    assert far.requests <= MAX_REQUESTS and far.megabytes < MAX_MEGABYTES
    assert far.memory < MAX_MEMORY
    assert (near.requests, near.megabytes) == (0, 0)


def test_whether_a_conversion_kept_the_mixing(large):
    with hub_of(large) as hub:
        far = cost(["diff", ORIGINAL, CONVERSION, "--json"], hub)
    assert json.loads(far.out)["sites_different"] == 0 and far.megabytes < MAX_DIFF


def test_an_object_store(model, birkhoff, tmp_path):
    (tmp_path / "log").mkdir()
    with s3_server(tmp_path / "log") as server:
        server.put(model, "bucket/org/model")
        env = server.environment
        for command, name, more in SAME:
            url = f"s3://bucket/org/model/{name}".rstrip("/")
            table = tmp_path / f"{command}{len(more)}.parquet"
            results = []
            for path in (url, model / name):
                table.unlink(missing_ok=True)
                done = birkhoff(command, path, *more, "--json", "-o", table, env=env)
                assert (done.returncode, done.stderr) == (0, ""), path
                out = {k: v for k, v in json.loads(done.stdout).items() if not names(v)}
                digests = [k["sha256"] for k in provenance(table)["meta"]["inputs"]]
                results.append((out, digests, pq.read_table(table)))
                assert b"fake-secret" not in table.read_bytes()
            assert results[0] == results[1]
        for url in ("s3://bucket/org/none", "s3://nobucket/model.pt"):
            done = birkhoff("inspect", url, env=env)
            assert done.returncode == 3 and done.stderr.count("\n") == 1, done.stderr
    done = birkhoff("inspect", "s3://bucket/org/model", env=env)
    assert done.returncode == 3 and done.stderr.count("\n") == 1, done.stderr


def test_the_object_store_of_google(model, birkhoff, tmp_path):
    with gs_server(model, tmp_path / "gs.log") as query:
        for command, name, more in SAME:
            url = f"gs://anonymous@bucket/org/model/{name}".rstrip("/") + query
            table, results = tmp_path / f"{command}{len(more)}.parquet", []
            for path in (url, model / name):
                table.unlink(missing_ok=True)
                done = birkhoff(command, path, *more, "--json", "-o", table)
                assert (done.returncode, done.stderr) == (0, ""), path
                out = {k: v for k, v in json.loads(done.stdout).items() if not names(v)}
                digests = [k["sha256"] for k in provenance(table)["meta"]["inputs"]]
                results.append((out, digests, pq.read_table(table)))
                assert b"retry_limit" not in table.read_bytes()
            assert results[0] == results[1]
        done = birkhoff("inspect", f"gs://anonymous@bucket/org/none{query}")
        assert done.returncode == 3 and done.stderr.count("\n") == 1, done.stderr
