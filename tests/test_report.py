"""The page about a model: whole, without network, and true to the tables beside it."""

import http.server
import json
import re
import shutil
import subprocess
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest

from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC

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
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_every_figure_stands_beside_its_table_and_its_numbers(page):
    folder, summary = page
    text = (folder / "page.html").read_text()
    assert {"degeneration", "depth-drift", "heatmap", "spectrum"} <= set(summary["analyses"])
    assert text.count("data:image/png;base64,") == len(summary["analyses"])
    for name in summary["analyses"]:
        table = pq.read_table(folder / "page" / f"{name}.parquet")
        assert len(table) and f'href="page/{name}.parquet"' in text
    drift = pq.read_metadata(folder / "page" / "depth-drift.parquet").metadata
    numbers = json.loads(drift[b"birkhoff.summary"])
    assert f"{numbers['composite_spectral_norm_max']:.6g}" in text


def test_nothing_of_a_file_name_becomes_markup_and_nothing_is_fetched(page):
    text = (page[0] / "page.html").read_text()
    assert "<b>model" not in text and "&lt;b&gt;model &amp; co" in text
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert links and all(link.startswith(("data:", "#", "page/")) for link in links)
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
            [CHROMIUM, *options, f"--screenshot={shot}", url], capture_output=True, timeout=120
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
    assert [row["analysis"] for row in summary["verdicts"]] == ["degeneration"]
    table = pq.read_table(tmp_path / "s" / "depth-drift.parquet")
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
    (tmp_path / "r").mkdir()
    words = ("--method", "go-mhc", "-n", "5", "-q", "-o", "r/spectrum.parquet")
    birkhoff("sample", *words)
    before = (tmp_path / "r" / "spectrum.parquet").read_bytes()
    done = birkhoff("report", "r/spectrum.parquet", "-o", "r.html", "--json")
    assert done.returncode == 0, done.stderr
    refused = {row["analysis"]: row["why"] for row in json.loads(done.stdout)["refused"]}
    assert "is the input as well" in refused["spectrum"]
    assert (tmp_path / "r" / "spectrum.parquet").read_bytes() == before
