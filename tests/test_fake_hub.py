"""The hub of the tests answers huggingface_hub as the real one does, faults included."""

import os
from pathlib import Path

import pytest

huggingface_hub = pytest.importorskip("huggingface_hub")
from huggingface_hub import HfApi, errors, hf_hub_download, utils  # noqa: E402

from fake_hub import SIGNATURE, STORAGE, TOKEN, FakeHub, Faults, Repository  # noqa: E402

SIZE = 150 * 10**9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A configuration, and a sparse file of 150 GB with a few bytes in its middle."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "sub").mkdir()
    (folder / "config.json").write_text('{"d": 4}')
    (folder / "sub" / "notes.txt").write_text("text")
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(SIZE)
        file.seek(10**11)
        file.write(b"0123456789")
    return folder


@pytest.fixture
def hub(folder, monkeypatch):
    access = {k: Repository(folder, k) for k in ("open", "private", "gated", "awaiting")}
    with FakeHub({f"org/{k}": v for k, v in access.items()}) as hub:
        monkeypatch.setattr(utils._http.time, "sleep", lambda _: None)
        yield hub
    utils.close_session()


@pytest.fixture
def api(hub):
    return HfApi(hub.endpoint, token=False)


def read(hub, start, stop, repository="org/open", token=None, **more):
    """Bytes of the large file, by its URL at the hub."""
    url = f"{hub.endpoint}/{repository}/resolve/main/model.safetensors"
    headers = {"Range": f"bytes={start}-{stop - 1}"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    answer = utils.http_backoff("GET", url, headers=headers, **more)
    utils.hf_raise_for_status(answer)
    return answer


def test_information_and_listing(api):
    info = api.model_info("org/open", files_metadata=True)
    sizes = {k.rfilename: k.size for k in info.siblings}
    assert sizes == {"config.json": 8, "model.safetensors": SIZE, "sub/notes.txt": 4}
    files = {k.path for k in api.list_repo_tree("org/open", revision=info.sha)}
    assert files == {"config.json", "model.safetensors", "sub"}
    every = list(api.list_repo_tree("org/open", recursive=True))
    assert {k.path for k in every} == {*files, "sub/notes.txt"}
    (found,) = api.get_paths_info("org/open", ["model.safetensors", "none"])
    assert found.size == found.lfs.size == SIZE


def test_pages_of_a_listing(api, hub, monkeypatch):
    monkeypatch.setattr("fake_hub.PAGE", 2)
    assert len(list(api.list_repo_tree("org/open", recursive=True))) == 4
    assert [asked.status for asked in hub.asked] == [200, 200]


def test_a_small_file_comes_from_the_hub(hub, tmp_path):
    path = hf_hub_download("org/open", "config.json", cache_dir=tmp_path, endpoint=hub.endpoint)
    assert Path(path).read_text() == '{"d": 4}'
    assert {asked.server for asked in hub.asked} == {"hub"}


def test_a_range_of_a_large_file_comes_from_the_storage_without_the_token(hub):
    answer = read(hub, 10**11, 10**11 + 10, token=TOKEN)
    assert answer.content == b"0123456789"
    assert answer.headers["Content-Range"] == f"bytes {10**11}-{10**11 + 9}/{SIZE}"
    assert answer.url.host == STORAGE and SIGNATURE in str(answer.url)
    assert [(k.server, k.status, k.authorized) for k in hub.asked] == [
        ("hub", 302, True),
        ("storage", 206, False),
    ]
    assert not hub.leaks and hub.asked[1].bytes == 10


def test_a_token_that_reaches_the_storage_is_seen(hub):
    url = str(read(hub, 0, 1).url)
    answer = utils.get_session().get(url, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 400 and len(hub.leaks) == 1


@pytest.mark.parametrize(
    ("repository", "token", "error"),
    [
        ("org/none", None, errors.RepositoryNotFoundError),
        ("org/none", TOKEN, errors.RepositoryNotFoundError),
        ("org/private", None, errors.RepositoryNotFoundError),
        ("org/gated", None, errors.GatedRepoError),
        ("org/awaiting", TOKEN, errors.GatedRepoError),
        ("org/open", "hf_wrong", errors.HfHubHTTPError),
    ],
)
def test_refusals(hub, repository, token, error):
    with pytest.raises(error):
        read(hub, 0, 1, repository, token)


@pytest.mark.parametrize("repository", ["org/private", "org/gated"])
def test_what_a_token_opens(hub, repository):
    assert read(hub, 0, 1, repository, TOKEN).status_code == 206


def test_a_revision_and_a_file_that_are_not_there(api, hub, tmp_path):
    with pytest.raises(errors.RevisionNotFoundError):
        api.model_info("org/open", revision="v9")
    with pytest.raises(errors.EntryNotFoundError):
        hf_hub_download("org/open", "none.json", cache_dir=tmp_path, endpoint=hub.endpoint)


def test_faults_that_a_reader_retries(hub):
    hub.faults = Faults(too_many=20, unavailable=5, cut=7)
    for _ in range(20):
        assert read(hub, 10**11, 10**11 + 10).content == b"0123456789"
    statuses = [asked.status for asked in hub.asked]
    assert {200, 206, 302, 429, 503} >= set(statuses) >= {206, 302, 429, 503}
    assert any(asked.status == 206 and asked.bytes == 5 for asked in hub.asked)


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ("shifted", f"bytes 3-6/{SIZE}"),
        ("short", f"bytes 4-5/{SIZE}"),
        ("unsaid", None),
    ],
)
def test_ranges_other_than_asked_for(hub, ranges, said):
    hub.faults = Faults(ranges=ranges)
    answer = read(hub, 4, 8)
    assert answer.status_code == 206 and answer.headers.get("Content-Range") == said


def test_a_server_that_ignores_ranges_can_be_left(hub):
    hub.faults = Faults(ranges="ignored")
    url = str(read(hub, 0, 0, follow_redirects=False).headers["Location"])
    with utils.get_session().stream("GET", url, headers={"Range": "bytes=0-3"}) as answer:
        assert answer.status_code == 200 and answer.headers["Content-Length"] == str(SIZE)


def test_a_signature_expires(hub):
    hub.faults = Faults(expiry=1)
    url = str(read(hub, 0, 1).url)
    assert utils.get_session().get(url, headers={"Range": "bytes=0-0"}).status_code == 403


def test_the_environment_is_all_a_command_needs(hub):
    assert hub.environment["HF_ENDPOINT"] == hub.endpoint and TOKEN not in str(hub.environment)
    assert not {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} & set(os.environ)
