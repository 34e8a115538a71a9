"""The page about a model: whole, without network, and true to the tables beside it."""

import errno
import http.server
import json
import re
import shutil
import subprocess
import threading
from functools import partial
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import temporaries
from birkhoff_cli.analyses.core.errors import CannotWrite
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.binding import bind
from birkhoff_cli.commands import report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report about drawn matrices, made once."""
    folder = tmp_path_factory.mktemp("report")
    h = GoMHC(4).draw(20 * 6, np.random.default_rng(0)).reshape(20, 6, 4, 4)
    np.save(folder / "<b>model & co.npy", h)
    command = ("birkhoff_cli", "report", "<b>model & co.npy", "-o", "page.html", "--json")
    import sys

    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_every_figure_stands_beside_its_table_and_its_numbers(page):
    folder, summary = page
    text = (folder / "page.html").read_text()
    assert {"degeneration", "depth-drift", "heatmap", "spectrum"} <= set(summary["analyses"])
    assert text.count("data:image/png;base64,") == len(summary["analyses"])
    for name in summary["analyses"]:
        table = pq.read_table(folder / "page_files" / f"{name}.parquet")
        assert len(table) and f'href="page_files/{name}.parquet"' in text
    drift = pq.read_metadata(folder / "page_files" / "depth-drift.parquet").metadata
    numbers = json.loads(drift[b"birkhoff.summary"])
    assert f"{numbers['composite_spectral_norm_max']:.6g}" in text


def test_nothing_of_a_file_name_becomes_markup_and_nothing_is_fetched(page):
    text = (page[0] / "page.html").read_text()
    assert "<b>model" not in text and "&lt;b&gt;model &amp; co" in text
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert links and all(link.startswith(("data:", "#", "page_files/")) for link in links)
    assert "<script" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_an_error_or_another_request(page, tmp_path):
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(page[0]))

        def log_message(self, *_):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/page.html"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
        options += [f"--user-data-dir={tmp_path}", "--window-size=1000,1400"]
        shot = tmp_path / "shot.png"
        done = subprocess.run(
            [CHROMIUM, *options, f"--screenshot={shot}", url], capture_output=True, timeout=600
        )
        server.shutdown()
    assert shot.stat().st_size > 20_000
    assert b"CONSOLE" not in done.stderr
    assert asked == ["/page.html"]


def test_a_checkpoint_says_what_it_is_and_a_series_stands_step_by_step(
    birkhoff, checkpoints, tmp_path
):
    done = birkhoff("report", checkpoints / "series_mhc_n4", "-o", "s.html", "--json")
    assert done.returncode == 0, done.stderr
    summary, text = json.loads(done.stdout), (tmp_path / "s.html").read_text()
    assert "static_alpha" in text and "sinkhorn iterations 20" in text
    assert {"degeneration", "depth-drift"} <= {row["analysis"] for row in summary["verdicts"]}
    assert "At step 400, the last of 4 checkpoints: Column sums stay" in text
    table = pq.read_table(tmp_path / "s_files" / "depth-drift.parquet")
    assert table["step"].unique().to_pylist() == [1, 50, 100, 400]


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("absent.pt", "-o", "r.html"), 3, "no such file"),
        (("h.npy", "-o", "r.pdf"), 2, "ends in .html"),
        (("h.npy", "-o", "absent/r.html"), 5, "there is no directory"),
        (("h.npy", "-o", "r.html", "--inputs", "gaussian"), 2, "--inputs is for checkpoints"),
    ],
)
def test_what_cannot_be_reported_leaves_nothing(words, code, said, birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.eye(3)[None])
    done = birkhoff("report", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert said in done.stderr and [p.name for p in tmp_path.iterdir()] == ["h.npy"]


def test_what_an_analysis_cannot_say_stands_there_in_a_line(birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.array([[[0.7, 0.3], [0.3, 0.7]]]))
    done = birkhoff("report", "h.npy", "--json")
    assert done.returncode == 0
    assert "slice" in {row["analysis"] for row in json.loads(done.stdout)["refused"]}
    assert "Not for this model" in (tmp_path / "report.html").read_text()


def test_the_tables_of_a_report_do_not_overwrite_its_input(birkhoff, tmp_path):
    (tmp_path / "r_files").mkdir()
    words = ("--method", "go-mhc", "-n", "5", "-q", "-o", "r_files/spectrum.parquet")
    birkhoff("sample", *words)
    before = (tmp_path / "r_files" / "spectrum.parquet").read_bytes()
    done = birkhoff("report", "r_files/spectrum.parquet", "-o", "r.html")
    assert done.returncode == 5 and "holds the input as well" in done.stderr
    assert (tmp_path / "r_files" / "spectrum.parquet").read_bytes() == before


def names(folder):
    return sorted(p.name for p in folder.rglob("*"))


def test_a_page_whose_name_is_no_link_has_links_that_work(birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.stack([np.eye(3), np.full((3, 3), 1 / 3)]))
    done = birkhoff("report", "h.npy", "-o", "50% of #1 ü?.html", "-q")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "50% of #1 ü?.html").read_text(encoding="utf-8")
    links = [unquote(link) for link in re.findall(r'href="([^"#]+[.]parquet)"', text)]
    assert links and all((tmp_path / link).is_file() for link in links)
    assert "#1" not in "".join(re.findall(r'href="([^"#]+[.]parquet)"', text))


def test_a_report_puts_nothing_into_a_directory_of_the_readers(birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.stack([np.eye(3), np.full((3, 3), 1 / 3)]))
    for name in ("model", "model_files"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    before = names(tmp_path)
    done = birkhoff("report", "h.npy", "-o", "model.html")
    assert done.returncode == 5 and "which no report wrote" in done.stderr
    assert names(tmp_path) == before
    shutil.rmtree(tmp_path / "model_files")
    assert birkhoff("report", "h.npy", "-o", "model.html", "-q").returncode == 0
    assert names(tmp_path / "model") == ["model.safetensors"]
    first = names(tmp_path / "model_files")
    assert birkhoff("report", "h.npy", "-o", "model.html", "-q").returncode == 0
    assert names(tmp_path / "model_files") == first


def test_a_report_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    """Whichever of its files cannot be written: it is 5, and never said of the model."""
    np.save(tmp_path / "h.npy", np.stack([np.eye(3), np.full((3, 3), 1 / 3)]))
    _, request = bind(report, {"path": (str(tmp_path / "h.npy"),)})
    write = partial(report.run, request, output=tmp_path / "r.html")
    assert write().summary["analyses"]
    old = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    created, count = temporaries._created, 0

    def fail(final):
        nonlocal count
        count += 1
        if count == stop:
            raise OSError(errno.ENOSPC, "No space left on device")
        return created(final)

    monkeypatch.setattr(temporaries, "_created", fail)
    for stop in (1, 2, 3, 9):  # noqa: B007 (fail reads it)
        count = 0
        with pytest.raises(CannotWrite, match="No space left"):
            assert write().summary
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == old
