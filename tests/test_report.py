"""The page about a model: whole, without network, and true to the tables beside it."""

import base64
import errno
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import forked
import small_commands
from birkhoff_cli import members, temporaries
from birkhoff_cli.analyses.core import figure
from birkhoff_cli.analyses.core.errors import CannotWrite
from birkhoff_cli.analyses.core.lettering import label
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.binding import bind
from birkhoff_cli.commands import report
from birkhoff_cli.pages import figures, render, sections, sites
from birkhoff_cli.pages.glossary import Glossary
from birkhoff_cli.summaries import explain
from birkhoff_cli.text import is_rows, word
from browser import CHROMIUM, DRIVER, Browser

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """The elements of a page: tag, attributes, text within."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict, list[str]]] = []
        self._open: list[tuple[str, dict, list[str]]] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        assert not self._open, "an element is not closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        for _, _, text in self._open:
            text.append(data)

    def all(self, tag, **wanted):
        """Attributes and text of elements; ``class_`` is one of their classes."""
        style = wanted.pop("class_", None)
        for name, own, text in self.elements:
            mine = style is None or style in (own.get("class") or "").split()
            if name == tag and mine and all(own.get(k) == v for k, v in wanted.items()):
                yield own, " ".join("".join(text).split())

    @property
    def numbers(self):
        """The numbers that it holds as JSON."""
        ((_, text),) = self.all("script", id="numbers")
        return json.loads(text)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report about drawn matrices, made once."""
    folder = tmp_path_factory.mktemp("report")
    h = GoMHC(4).draw(20 * 6, np.random.default_rng(0)).reshape(20, 6, 4, 4)
    np.save(folder / "<b>model & co.npy", h)
    command = ("birkhoff_cli", "report", "<b>model & co.npy", "-o", "page.html", "--json")
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.fixture(scope="module")
def parsed(page):
    return Page(page[0] / "page.html")


def summary_of(path):
    return json.loads(pq.read_metadata(path).metadata[b"birkhoff.summary"])


def test_every_figure_stands_beside_its_table_and_its_numbers(page, parsed):
    folder, summary = page
    assert {"degeneration", "depth-drift", "heatmap", "spectrum"} <= set(summary["analyses"])
    shown = [own for own, _ in parsed.all("svg")]
    assert len(shown) == len(summary["analyses"])
    captions = {own["id"]: text for own, text in parsed.all("figcaption")}
    for own in shown:
        assert own["role"] == "img" and captions[own["aria-labelledby"]]
    for name in summary["analyses"]:
        table = folder / "page_files" / f"{name}.parquet"
        assert len(pq.read_table(table)) and (folder / "page_files" / f"{name}.svg").is_file()
        assert parsed.numbers["analyses"][name] == summary_of(table)
        digest = hashlib.sha256(table.read_bytes()).hexdigest()
        assert parsed.numbers["tables"][name]["sha256"] == digest
        links = [own for own, _ in parsed.all("a") if own.get("download") == table.name]
        if table.stat().st_size <= render.MAX_TABLE_BYTES:
            content = base64.b64decode(links[0]["href"].partition("base64,")[2])
            assert content == table.read_bytes()
        else:
            assert not links and f'href="page_files/{name}.parquet"' in parsed.text


def test_it_opens_with_questions_that_are_answered(page, parsed):
    headings = [text for _, text in parsed.all("h2")]
    assert headings[0] == "Answers" and headings[1:3] == ["How it was made", "Sites"]
    assert len([*parsed.all("h1")]) == len([*parsed.all("main")]) == 1
    asked = [row["question"] for row in page[1]["questions"]]
    for words in ("mix", "mass drift", "flatten", "precision", "odd"):
        assert any(words in question for question in asked), words
    items = [text for _, text in parsed.all("h3") if text.endswith("?")]
    assert items == asked
    for row in page[1]["questions"]:
        assert html.escape(row["answer"], quote=False) in parsed.text.replace("&#39;", "'")
        assert row["threshold"] and row["verdict"] in parsed.text
    marks = [text for own, text in parsed.all("p", class_="verdict")]
    signs = {True: "✓", False: "✗", None: "○"}
    assert [text[0] for text in marks] == [signs[row["good"]] for row in page[1]["questions"]]


def test_every_name_says_what_it_means(parsed):
    """Of every key of every summary: a link in the text, and the declaration where it leads."""
    meanings = {own["id"]: text for own, text in parsed.all("dd") if "id" in own}
    terms = [(own, text) for own, text in parsed.all("a", class_="term")]
    for own, _ in terms:
        assert own["href"][1:] in meanings
    said = {(text, meanings[own["href"][1:]]) for own, text in terms}
    for name, summary in parsed.numbers["analyses"].items():
        for key, values, q in explain(summary, members.module_of(name)):
            null = all(value is None for value in values)
            if any(map(is_rows, values)):
                assert html.escape(q.legend) in parsed.text
            elif key != "answer" and not ("." in key and null):
                assert (label(q.name), q.legend) in said, f"{name}: {key}"


def test_numbers_read_as_they_are(parsed):
    text = parsed.text
    for name, summary in parsed.numbers["analyses"].items():
        start = text.index(f'<section id="{name}"')
        section = text[start : text.index("</section>", start)]
        shown = dict(re.findall(r'">([^<]*)</a></dt><dd>([^<]*)</dd>', section))
        for key, value in summary.items():
            shown_as = label(key)
            if shown_as in shown:
                assert html.unescape(shown[shown_as]) == word(value), f"{name}: {key}"
            else:
                folded = value is None or is_rows(value) or abs(value - 1) < 1e-6
                assert folded and f">{shown_as}</a>" in section or is_rows(value), f"{name}: {key}"


def test_sites_are_marked_beyond_their_thresholds(page, parsed):
    folder = page[0] / "page_files"
    rows = pq.read_table(folder / "check.parquet").to_pylist()
    summary = summary_of(folder / "check.parquet")
    table = parsed.text[parsed.text.index('<table class="sortable">') :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    lines = [re.findall(r"<t[dh]([^>]*)>([^<]*)<", line) for line in body.split("<tr>")[1:]]
    heads = re.findall(r'<button type="button">([^<]*)<', table)
    for row, line in zip(rows, lines, strict=True):
        cells = dict(zip(heads, line, strict=True))
        for key, bad in (
            ("verdict", row["verdict"] != "mixing"),
            ("identity_distance", row["identity_distance"] <= summary["threshold"]),
            ("sum_error", row["sum_error"] > summary["drift_threshold"]),
            ("odd", row["odd"]),
        ):
            facts, text = cells[label(key)]
            assert ("bad" in facts, text.startswith("✗")) == (bad, bad)
            assert text.removeprefix("✗ ") == word(row[key])


def test_conspicuous_sites_are_not_among_those_left_out():
    check = members.module_of("check")
    count, odd = sites.MAX_SITES + 50, sites.MAX_SITES + 20
    columns = {c.name: [0] * count for c in check.SCHEMA}
    columns |= {"site": [*range(count)], "verdict": ["mixing"] * count}
    columns |= {"identity_distance": [1.0] * count, "odd": [k == odd for k in range(count)]}
    limits = {"threshold": 0.2, "drift_threshold": 0.01}
    found = sites.collect([(check, limits, pa.table(columns))], Glossary())
    assert (found.count, found.beyond, found.more) == (count, 1, 50)
    assert str(odd) in {row[0].value for row in found.rows}


def test_nothing_of_a_file_name_becomes_markup_and_nothing_is_fetched(parsed):
    assert "<b>model" not in parsed.text and "&lt;b&gt;model &amp; co" in parsed.text
    links = re.findall(r'(?:src|href)="([^"]*)"', parsed.text)
    assert links and all(link.startswith(("data:", "#", "page_files/")) for link in links)
    for tag, own, _ in parsed.elements:
        assert tag not in ("iframe", "object", "embed", "base") and "style" not in own
        assert not [name for name in own if name.startswith("on")]


def test_the_policy_lets_act_what_the_page_brings_and_nothing_else(parsed):
    policy = next(
        own["content"] for own, _ in parsed.all("meta") if own.get("http-equiv") is not None
    )
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", parsed.text, re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_ids_are_there_once_and_every_link_within_leads_somewhere(parsed):
    ids = [own["id"] for _, own, _ in parsed.elements if "id" in own]
    assert len(ids) == len({*ids})
    pointed = re.findall(r'(?:href="|aria-[a-z]*by="|url\()#?([\w-]+)[")]', parsed.text)
    assert pointed and {*pointed} <= {*ids}


def test_the_page_says_its_size(page, parsed):
    size = (page[0] / "page.html").stat().st_size
    assert f"This page is {round(size / 1000):,} kB" in parsed.text
    assert page[1]["bytes"] == size < 1_000_000


def test_names_that_end_a_script_or_a_comment_stay_names(birkhoff, tmp_path):
    name = "a--><script>alert(1)<!--$\\frac{a}$.npy"
    np.save(tmp_path / name, np.stack([np.eye(2), np.full((2, 2), 0.5)]))
    done = birkhoff("report", name, "-o", "r.html", "-q")
    assert done.returncode == 0, done.stderr
    found = Page(tmp_path / "r.html")
    assert "<script>alert" not in found.text and "<!--" not in found.text
    assert found.numbers["title"] == name


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    high, low = sorted(map(luminance, (a, b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_is_told_from_its_ground_in_light_in_dark_and_on_paper():
    """WCAG 2.2, 1.4.3, AA: a contrast of 4.5."""
    style = (Path(render.__file__).parent / "report.css").read_text()
    schemes = re.findall(r":root \{(.*?)\}", style, re.S)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", scheme))
        for kind in ("good", "bad", "note"):
            assert contrast(colours[kind], colours[f"{kind}-soft"]) >= 4.5
        for text in ("ink", "quiet", "link"):
            assert min(contrast(colours[text], colours[on]) for on in ("paper", "soft")) >= 4.5


@pytest.mark.parametrize("change", ["replaced", "cut"])
def test_a_model_that_changes_between_two_analyses_is_refused(change, tmp_path):
    """One page showed two models as one, or a half of it with a sentence about a damaged file."""
    old, new = GoMHC(3)(np.random.default_rng(0).standard_normal((2, 5, GoMHC(3).parameters)))
    np.save(tmp_path / "g.npy", old)

    def hook():
        small_commands.two_analyses()
        real = sections.run

        def run(*arguments):
            section = real(*arguments)
            if change == "replaced":
                np.save("g.npy", new)
            else:
                os.truncate("g.npy", 200)
            return section

        sections.run = run

    ended = forked.call(["report", "g.npy", "-o", "page.html"], tmp_path, hook)
    assert ended.code == 3 and ended.err.startswith("birkhoff: g.npy: "), ended
    assert len(ended.err.splitlines()) == 1 and not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    "kind",
    [
        *("scatter", "mesh", "bars"),
        *(pytest.param(kind, marks=pytest.mark.release) for kind in ("lines", "texts")),
    ],
)
def test_a_figure_of_many_points_stays_small(kind):
    def draw(drawn):
        axes = drawn.subplots()
        at = np.random.default_rng(0).random((2, 40_000))
        if kind == "scatter":
            axes.scatter(*at, s=2)
        elif kind == "lines":
            axes.plot(at[0].reshape(-1, 400), marker=".")
        elif kind == "mesh":
            axes.pcolormesh(at[0].reshape(200, 200))
        elif kind == "bars":
            axes.bar(np.arange(4000), at[0, :4000])
        else:
            for x, y in at.T[:3000]:
                axes.text(x, y, "0.25", fontsize=4)

    from matplotlib.figure import Figure

    drawn = Figure(figsize=(9.6, 6.6), layout="constrained")
    with figure.house_style():
        draw(drawn)
    svg = figures.save(drawn)
    text = figures.inline(svg, "f0-", {})
    assert len(text) <= figures.MAX_FIGURE_BYTES
    assert "<image" in text


@pytest.mark.parametrize("size, is_tall", [((4, 3), False), ((4, 7), True)])
def test_a_tall_figure_has_a_sheet_of_its_own(size, is_tall):
    """A series stands over two halves: at half a sheet its text was not to be read."""
    from matplotlib.figure import Figure

    text = figures.inline(figures.save(Figure(figsize=size)), "f0-", {})
    assert (' class="tall"' in text[: text.index(">")]) is is_tall


def test_a_figure_of_few_points_stays_vectors():
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4, 3))
    with figure.house_style():
        drawn.subplots().plot([0, 1, 4], marker="o", color="#d55e00")
    text = figures.inline(figures.save(drawn), "f0-", {"role": "img"})
    assert "<image" not in text and "style=" not in text and "#d55e00" in text
    assert text.startswith('<svg viewBox="0 0 288 216" width="384"')
    ids = re.findall(r' id="([^"]+)"', text)
    assert ids and all(name.startswith("f0-") for name in ids)
    assert {*re.findall(r'href="#([^"]+)"', text)} <= {*ids}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with its driver on this machine")
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window_and_the_console_is_silent(browser, page, width, scheme):
    browser.open(page[0] / "page.html", width, scheme=scheme)
    inside = "return document.documentElement.scrollWidth <= window.innerWidth"
    assert browser.run(inside)
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is (scheme == "light")
    asked = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert [name for name in browser.run(asked) if not name.startswith("data:")] == []
    assert browser.log() == []
    assert len(browser.picture()) > 20_000


def column(browser, number):
    path = "table.sortable tbody tr"
    return browser.run(
        f"return [...document.querySelectorAll('{path}')].map(r => r.cells[{number}].innerText)"
    )


def test_sites_are_sorted_by_the_column_that_is_pressed(browser, page):
    browser.open(page[0] / "page.html")
    press = "document.querySelectorAll('table.sortable th button')[4].click()"
    before = column(browser, 4)
    browser.run(press)
    rising = column(browser, 4)
    assert [float(v) for v in rising] == sorted(map(float, before)) != [*map(float, before)]
    browser.run(press)
    assert column(browser, 4) == rising[::-1]
    sort = "return document.querySelectorAll('table.sortable th')[4].getAttribute('aria-sort')"
    assert browser.run(sort) == "descending"


ENTER, ESCAPE = "\ue007", "\ue00c"


def test_a_meaning_opens_by_keyboard_and_closes(browser, page):
    browser.open(page[0] / "page.html", 390)
    legend = browser.run(
        "const a = document.querySelector('#degeneration a.term'); a.focus();"
        "return document.getElementById(a.hash.slice(1)).textContent.trim()"
    )
    assert browser.run("return document.activeElement.className") == "term"
    browser.press(ENTER)
    box = "const r = tip.getBoundingClientRect(); return [r.left, r.right, innerWidth]"
    assert browser.run("return tip.innerText") == legend
    left, right, width = browser.run(box)
    assert 0 <= left < right <= width
    browser.press(ESCAPE)
    assert browser.run("return tip.matches(':popover-open')") is False


def test_a_figure_is_enlarged_and_put_back(browser, page):
    browser.open(page[0] / "page.html", 390)
    inside = "return document.querySelectorAll('dialog svg').length"
    small = browser.run("return document.querySelector('figure svg').clientWidth")
    browser.run("document.querySelector('a.enlarge').click()")
    assert browser.run(inside) == 1
    assert browser.run("return document.querySelector('dialog svg').clientWidth") > 2 * small
    browser.press(ESCAPE)
    assert browser.run(inside) == 0
    figures_of = (
        "return [...document.querySelectorAll('figure')].every(f => f.querySelector('svg'))"
    )
    assert browser.run(figures_of)


MAX_PAGES = 14
"""Sheets of A4 that a report of one model takes; they were 19."""


def test_on_paper_nothing_is_cut_and_pages_are_few(browser, page):
    """What is folded says that it is; meanings, which no pointer opens there, are in full."""
    browser.open(page[0] / "page.html", 720, media="print")
    told = (
        "getComputedStyle(d.querySelector('summary'), '::after').content.includes('not on paper')"
    )
    folded = "[...document.querySelectorAll('main section:not(#meanings) details:not([open])')]"
    assert browser.run(f"return {folded}.filter(d => d.offsetWidth).every(d => {told})")
    assert browser.run("return document.querySelector('#meanings dd').offsetHeight") > 0
    screen = "return [...document.querySelectorAll('nav, .screen, dialog, #tip')]"
    assert set(browser.run(f"{screen}.map(e => e.offsetWidth)")) == {0}
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert len(re.findall(rb"/Type\s*/Page\b", browser.pdf())) <= MAX_PAGES


def test_the_numbers_are_a_file_of_their_own(browser, page, parsed):
    browser.open(page[0] / "page.html")
    text = "return fetch(document.getElementById('save').href).then(r => r.text())"
    browser.devtools("Page.setBypassCSP", enabled=True)  # for this fetch, which is the test's
    browser.open(page[0] / "page.html")
    assert json.loads(browser.run(text)) == parsed.numbers
    browser.devtools("Page.setBypassCSP", enabled=False)


def test_a_checkpoint_says_what_it_is_and_a_series_stands_step_by_step(
    birkhoff, checkpoints, tmp_path
):
    done = birkhoff("report", checkpoints / "series_mhc_n4", "-o", "s.html", "--json")
    assert done.returncode == 0, done.stderr
    summary, text = json.loads(done.stdout), (tmp_path / "s.html").read_text()
    assert "static_alpha" in text and text.count(">sinkhorn_iterations</th>") <= 1
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


def test_a_sentence_names_no_folder(tmp_path):
    """A page said in which folder its model was, and was another page elsewhere."""
    (tmp_path / "secret").mkdir()
    np.save(tmp_path / "secret" / "h.npy", np.full((2, 3, 3), 1 / 3))
    request = bind(report, {"path": (str(tmp_path / "secret" / "h.npy"),)})[1]
    section = sections.run("gates", members.module_of("gates"), request, tmp_path)
    assert section.refused.startswith("h.npy: holds mixing matrices")


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
    links = [unquote(link) for link in re.findall(r'href="([^"#]+[.]svg)"', text)]
    assert links and all((tmp_path / link).is_file() for link in links)
    assert "#1" not in "".join(re.findall(r'href="([^"#]+[.]svg)"', text))


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_has_the_name_of_a_figure_and_is_none_is_not_removed(kind, tmp_path):
    np.save(tmp_path / "h.npy", np.stack([np.eye(3), np.full((3, 3), 1 / 3)]))
    (mine := tmp_path / "model_files" / "check.svg").parent.mkdir()
    if kind == "link":
        mine.symlink_to(tmp_path / "h.npy")
    else:
        mine.mkdir()
        (mine / "mine").write_text("of the reader")
    before = names(tmp_path)
    code, _, err = forked.call(["report", "h.npy", "-o", "model.html"], tmp_path)
    assert code == 5 and "model_files: holds check.svg, which no report wrote" in err
    assert names(tmp_path) == sorted([*before, "tmp"])


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


def test_rows_are_named_in_every_part_of_a_table():
    """The second half of a table of roundings said theta seven times, and not in which format."""
    from birkhoff_cli.analyses import quantise
    from birkhoff_cli.pages.glossary import Glossary
    from birkhoff_cli.pages.numbers import arrange

    numbers = {f"n{k}": k for k in range(9)}
    rows = [{"what": w, "format": f, **numbers} for w in ("a", "b") for f in ("x", "y")]
    (table,) = arrange({"roundings": rows}, quantise, Glossary()).tables
    assert len(table.parts) == 2
    for heads, lines in table.parts:
        assert [head.name for head in heads[:2]] == ["what", "format"]
        assert [line[:2] for line in lines] == [["a", "x"], ["a", "y"], ["b", "x"], ["b", "y"]]
