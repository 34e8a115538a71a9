"""What every picture keeps: text that can be read, legends beside the data, titles that say it."""

import contextlib
import re
import shutil

import numpy as np
import pytest

from birkhoff_cli import members, provenance, tables
from birkhoff_cli.analyses.core import figure, titles
from birkhoff_cli.analyses.core.lettering import SMALL, write_numbers
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.drawing import axis
from birkhoff_cli.analyses.fitting.curves import convergence
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from conftest import ROOT

WIDEST = 8.3
"""Inches that a page shows without making them smaller."""

GO = ("--method", "go-mhc", "-n", "40")
SERIES = ("ckpt_1.npy", "ckpt_2.npy", "ckpt_3.npy")
TOKENS = ("--inputs", "tokens=val.bin")
FIT = ("fit", "--method", "go-mhc", "--method", "kromhc", "--epochs", "40", "--targets", "4")
TITLES = {
    "reach": (("spectrum", *GO, "--scale", "2"), "go-mhc:s=2, d = 4, 40 matrices, scale 2"),
    "frontier": (
        ("spectrum", *GO[:2], "--probe", "frontier", "--directions", "8", "--starts", "1"),
        "go-mhc:s=2, d = 4, frontier in 8 directions",
    ),
    "targets": (
        ("spectrum", *GO, "--probe", "targets", "--max-steps", "3"),
        "go-mhc:s=2, d = 4, 40 targets",
    ),
    "file": (("spectrum", "folder/h.npy"), "h.npy, d = 4, 1 site, 60 samples"),
    "identity": (("spectrum", "stuck.npy"), "stuck.npy, d = 4, 1 site, 60 samples"),
    "model": (
        ("depth-drift", "folder/hc.pt", "--inputs", "gaussian", "-n", "20"),
        "hc.pt, hc, d = 4, 8 sites of 4 layers, 20 samples on random streams",
    ),
    "exact": (
        ("depth-drift", *GO, "--draw", "haar", "--layers", "120"),
        "go-mhc:s=2, d = 4, 40 stacks of 120 layers, draw haar",
    ),
    "inexact": (
        ("depth-drift", "--method", "mhc", "--iters", "1", "--layers", "9", "-n", "20"),
        "mhc:iters=1, d = 4, 20 stacks of 9 layers",
    ),
    "stuck": (("degeneration", "stuck.npy"), "stuck.npy, d = 4, 1 site, 60 samples"),
    "training": (
        ("degeneration", *SERIES),
        "ckpt_1.npy ... ckpt_3.npy (3 steps), d = 4, 1 site, 60 samples",
    ),
    "one": (("distance", "site.npy", "site2.npy"), "site.npy and site2.npy, d = 4, 6 sites, 1"),
    "several": (("distance", "deep.npy", "deep.npy"), "deep.npy and deep.npy, d = 4, 6 sites, 10"),
    "weights": (
        ("weights", "folder/lite.pt"),
        "lite.pt, mhc-lite, d = 4, 8 sites of 4 layers, 1 sample",
    ),
    "models": (
        ("compare", "a=deep.npy", "t=turned.npy", "b=folder/hc.pt", *GO),
        "3 files, 40 matrices of each",
    ),
    "methods": (
        ("compare", *GO[:2], "--method", "kromhc", "-n", "600", "--probe", "sample"),
        "600 matrices of each method, eigenvalues of them",
    ),
    "sinkhorn": (
        ("sinkhorn", "--method", "mhc", "--scale", "4", "--layers", "5", "-n", "20"),
        "mhc, d = 4, 20 stacks of 5 layers, scale 4",
    ),
    "balanced": (("sinkhorn", "hard.npy"), "hard.npy, d = 4, 1 site, 5 samples"),
    "entries": (("heatmap", *GO, "--layers", "6"), "go-mhc:s=2, d = 4, 40 stacks of 6 layers"),
    "slice": (("slice", *GO, "--d", "3"), "go-mhc:s=2, d = 3, 40 matrices"),
    "wide slice": (("slice", "h.npy"), "h.npy, d = 4, 1 site, 60 samples"),
    "solid": (("slice", *GO, "--d", "3", "--solid"), "go-mhc:s=2, d = 3, 40 matrices"),
    "terms": (("decompose", "h.npy"), "h.npy, d = 4, 1 site, 60 samples"),
    "jacobians": (
        ("gradients", "--method", "mhc-lite", "--method", "mhc", "--points", "9", "-n", "2"),
        "Jacobians from 1/32 to 32 times the start, d = 4",
    ),
    "fit": (FIT, "4 targets, d = 4, noise 0.1, adam at rate 0.01"),
    "fit entries": (
        (*FIT, "--objective", "entries", "--sampler", "go-mhc:s=1,draw=haar"),
        "4 targets of go-mhc:s=1,draw=haar, d = 4, entry by entry, adam at rate 0.01",
    ),
    "against": ((*FIT, "--table", "against"), "4 targets, d = 4, noise 0.1, adam at rate 0.01"),
    "sweep of fits": (
        (*FIT, "--sweep", "d=2,4,8", "--engine", "1"),
        "fit over d, 4 targets, noise 0.1, adam at rate 0.01",
    ),
    "sweep": (
        ("depth-drift", *GO, "--layers", "3", "--sweep", "seed=1,2", "--engine", "1"),
        "depth-drift over seed, go-mhc:s=2, d = 4, 40 stacks of 3 layers",
    ),
    "costs": (("complexity", "--d", "2,4"), "cost of 6 methods, 12 layers, width 512"),
    "two models": (("diff", "site.npy", "site2.npy"), "site.npy and site2.npy, d = 4, 6 sites, 1"),
    "rounding": (("quantise", "h.npy"), "h.npy, d = 4, 1 site, 60 samples"),
    "gates": (
        ("gates", "folder/lite.pt"),
        "lite.pt, mhc-lite, d = 4, 8 sites of 4 layers, 1 sample",
    ),
    "alike": (
        ("similarity", "folder/lite.pt", *TOKENS, "--sequences", "2", "--length", "16"),
        "lite.pt, mhc-lite, d = 4, 8 sites of 4 layers, 32 samples on tokens",
    ),
    "recipes": (("verify", "h.npy", "--logits", "z.npy"), "h.npy"),
    "regions": (("region", "--d", "3,4"), ""),
    "runs": (("curves", "log.csv"), "1 run, steps 1 to 40"),
    "layers": (("curves", "log.csv", "--table", "layers"), "1 run, steps 1 to 40"),
    **{
        f"{name} of a series": ((name, *SERIES), "3 checkpoints, steps 1 to 3, d = 4, ")
        for name in ("depth-drift", "sinkhorn", "heatmap", "decompose", "spectrum", "slice")
    },
}
"""Small calls of every command that draws, and how their titles begin."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small inputs of every kind."""
    path = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    (path / "folder").mkdir()
    z = rng.standard_normal((60, 16))
    h = MHC(4)(z)
    stuck = MHC(4)(rng.standard_normal((60, 16)) * 0.1 + 12 * np.eye(4).ravel())
    hard = np.exp(12 * rng.standard_normal((5, 4, 4)))
    deep = MHC(4, iters=2)(rng.standard_normal((10, 6, 16)))
    arrays = {"h": h, "folder/h": h, "stuck": stuck, "hard": hard, "deep": deep}
    arrays |= {"turned": deep.swapaxes(-1, -2)}
    arrays |= {"site": deep[:1], "site2": deep[1:2], "z": z.reshape(-1, 4, 4)}
    arrays |= {f"ckpt_{k}": (h + k * stuck) / (k + 1) for k in (1, 2, 3)}
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    step = np.arange(1, 41)
    loss, norm = 4 / np.sqrt(step), 1 + rng.random((3, 40)) / step
    names = ("step", "loss", "grad_norm", "layer_gradient_norms_0", "layer_gradient_norms_1")
    rows = np.stack([step, loss, *norm], -1)
    np.savetxt(path / "log.csv", rows, "%.9g", ",", header=",".join(names), comments="")
    shutil.copy(ROOT / "examples" / "val.bin", path)
    shutil.copy(ROOT / "examples" / "hc.pt", path / "folder")
    shutil.copy(ROOT / "examples" / "mhc-lite.pt", path / "folder" / "lite.pt")
    return path


@pytest.fixture(scope="module")
def drawn(folder, tmp_path_factory):
    """Every picture of `TITLES`, laid out, drawn from the table of its command once."""
    import typer
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from birkhoff_cli.app import app

    command, made = typer.main.get_command(app), {}

    def get(name):
        if name not in made:
            table = tmp_path_factory.mktemp("table") / "t.parquet"
            with contextlib.chdir(folder):
                words = [*TITLES[name][0], "-o", str(table), "-q"]
                command.main(words, standalone_mode=False)
            rows, _ = tables.read(table)
            module = members.module_of(TITLES[name][0][0])
            with figure.house_style():
                made[name] = figure.figure_of(rows, module, provenance.summary(rows, table))
                FigureCanvasAgg(made[name]).draw()
        return made[name]

    return get


def texts(picture):
    """Every text that is seen, in whatever part of a picture."""
    import matplotlib as mpl

    found = picture.findobj(lambda a: isinstance(a, mpl.text.Text) and a.get_visible())
    return [text for text in found if text.get_text().strip()]


def shown_axes(picture):
    return [axes for axes in picture.axes if axes.get_label() != "<colorbar>" and axes.axison]


every = pytest.mark.parametrize("name", TITLES)


def test_every_command_that_draws_is_here():
    drawing = {n for n in members.names() if hasattr(members.module_of(n), "draw")}
    assert drawing == {words[0] for words, _ in TITLES.values()}


@every
def test_titles_say_what_was_measured(name, drawn):
    """Method, d, how many matrices of how many sites, and how they were drawn; no folder."""
    title = " ".join(drawn(name).get_suptitle().split())
    assert title.startswith(TITLES[name][1])
    assert "/folder" not in title and "folder/" not in title and "\\" not in title


@every
def test_text_can_be_read(name, drawn):
    """No text is smaller than eight points in a picture that a page shows in full width."""
    picture = drawn(name)
    assert picture.get_size_inches()[0] <= WIDEST + 1e-9
    small = {t.get_text(): t.get_fontsize() for t in texts(picture) if t.get_fontsize() < SMALL}
    assert not small


@every
def test_no_legend_hides_data(name, drawn):
    """Legends lie outside the axes of every panel, so that no point, line or band is below one."""
    picture = drawn(name)
    legends = [axes.get_legend() for axes in picture.axes if axes.get_legend()]
    figures = [picture, *picture.subfigs, *(s for p in picture.subfigs for s in p.subfigs)]
    legends += [legend for part in figures for legend in part.legends]
    renderer = picture.canvas.get_renderer()
    for legend in legends:
        box = legend.get_window_extent(renderer)
        for axes in shown_axes(picture):
            assert overlap(box, axes.bbox) <= 2, legend.get_texts()


def overlap(one, other):
    """The smaller side of what two boxes share, in dots."""
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    up = min(one.y1, other.y1) - max(one.y0, other.y0)
    return min(across, up)


def labels_of(side):
    low, high = sorted(side.get_view_interval())
    pairs = zip(side.get_majorticklocs(), side.get_majorticklabels(), strict=False)
    return [t.get_text() for at, t in pairs if low <= at <= high and t.get_text()]


PLAIN = re.compile(r"[−-]?[\d,]*\.?\d+(e[−-]\d+)?")
POWER = re.compile(r"\$(\\mathdefault\{)?(([\d.]+)\s*\\times\s*)?10\^\{[−-]?\d+\}\}?\$")


def exponents(picture):
    """Axes whose ticks are labelled by powers of 10, or are logarithmic."""
    for axes in shown_axes(picture):
        for side in (axes.xaxis, axes.yaxis):
            labels = labels_of(side)
            if side.get_scale() == "log" or any("10^" in text for text in labels):
                yield labels


@every
def test_logarithmic_ticks_are_decimal_and_written_alike(name, drawn):
    """Powers of 10, or 1, 2, 5 times them; no 31.6 or 1.78, no 0.1 beside 10^-3."""
    for labels in exponents(drawn(name)):
        kinds = {bool(POWER.fullmatch(text)) for text in labels if text != "0"}
        assert len(kinds) <= 1, labels
        for text in labels:
            assert PLAIN.fullmatch(text) or POWER.fullmatch(text), text
            digits = re.sub(r"[^\d]", "", text).strip("0")
            assert POWER.fullmatch(text) or len(digits) <= 2, labels


@every
def test_titles_legends_and_names_do_not_lie_on_one_another(name, drawn):
    picture = drawn(name)
    renderer = picture.canvas.get_renderer()
    apart = [picture._suptitle, *picture.legends]
    apart += [axes.get_legend() for axes in picture.axes if axes.get_legend()]
    apart += [axes.title for axes in shown_axes(picture) if axes.get_title()]
    boxes = [(a, a.get_window_extent(renderer)) for a in apart if a is not None]
    for k, (one, box) in enumerate(boxes):
        for other, beside in boxes[:k]:
            assert overlap(box, beside) <= 2, (one, other)


def test_what_is_exact_is_shown_as_its_distance_from_one(drawn):
    """The panels were flat lines at 1, from 0.9 to 1.1."""
    sums, products, norms, _ = shown_axes(drawn("exact"))
    for axes in (sums, products):
        assert axes.get_yscale() == "log" and "|sum - 1|" in axes.get_ylabel()
        assert all(0 < line.get_ydata().max() < 1e-12 for line in axes.lines)
    assert "|norm - 1|" in norms.get_ylabel()
    assert {axes.get_xscale() for axes in shown_axes(drawn("exact"))} == {"linear"}


def test_an_eigenvalue_far_below_does_not_flatten_the_distances(drawn):
    *_, decay = shown_axes(drawn("inexact"))
    low, high = decay.get_ylim()
    distance = decay.lines[0].get_ydata()
    assert np.ptp(distance) > 0 and high - low < 8 and low < distance.min() < high


def test_bands_of_two_sides_do_not_mix():
    """Of two inexact sums one is a band, the other lines at its ends."""
    h = HC(4).draw(400, np.random.default_rng(0), scale=0.5).reshape(100, 4, 4, 4)
    sites = tuple(Site(k, "attn", str(k)) for k in range(4))
    module = members.module_of("depth-drift")
    picture = module.run(in_memory(h, sites, "a")).plot()
    for axes in picture.axes[:2]:
        assert len(axes.collections) == 2
        assert len({c.get_facecolor()[0][:3].tobytes() for c in axes.collections}) == 1
        assert {line.get_linestyle() for line in axes.lines} >= {"-", "--", ":"}


def test_a_model_at_the_identity_has_its_eigenvalues_enlarged(drawn):
    axes = next(a for a in drawn("identity").axes if a.child_axes)
    (inset,) = axes.child_axes
    (points,) = (c for c in inset.collections if len(c.get_offsets()))
    low, high = inset.get_xlim()
    near = points.get_offsets()[:, 0]
    assert 0 < np.ptp(near) > 0.2 * (high - low) and high < 0.05
    assert not [a for a in drawn("file").axes if a.child_axes]


def test_distances_to_the_identity_are_logarithmic_above_their_verdict(drawn):
    panel = shown_axes(drawn("stuck"))[2]
    assert panel.get_yscale() == "log"
    words = [text.get_text() for text in panel.get_legend().get_texts()]
    assert "shaded: near, at most 0.2" in words
    low, high = panel.get_ylim()
    assert all(low <= y <= high for line in panel.lines for y in line.get_ydata())


def test_a_single_sample_has_no_legend_of_a_band(drawn):
    assert not drawn("one").legends and drawn("several").legends
    assert not any(axes.collections for axes in shown_axes(drawn("one")))


def test_matrices_that_are_never_balanced_have_a_lane_of_their_own(drawn):
    """They were points at 1,001 sweeps on the line of those that are."""
    panel = shown_axes(drawn("balanced"))[2]
    marks = [line for line in panel.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert marks
    lines = [np.asarray(line.get_ydata(), float) for line in panel.lines if line not in marks]
    assert all(np.nanmax(y, initial=0) <= 1000 for y in lines)
    assert all((np.asarray(mark.get_ydata()) > 1000).all() for mark in marks)


def test_points_of_a_comparison_lie_over_its_outlines(drawn):
    picture = drawn("methods")
    for axes in shown_axes(picture):
        (points,) = [c for c in axes.collections if c.get_array() is not None]
        assert points.get_zorder() > max(line.get_zorder() for line in axes.lines)
    scales = {(c.norm.vmin, c.norm.vmax) for a in shown_axes(picture) for c in a.collections}
    assert len(scales) == 1 and picture.legends
    assert [a for a in picture.axes if a.get_label() == "<colorbar>"]


def test_models_show_the_sums_that_drift_and_bins_that_are_empty(drawn, folder):
    """Only column sums were drawn, and straight lines over empty bins of the entries."""
    panels = shown_axes(drawn("models"))
    sums = next(a for a in panels if a.get_title(loc="left") == "rows and columns of a matrix")
    deep = np.load(folder / "deep.npy")
    most = np.maximum(*(np.abs(deep.sum(k) - 1).max((0, -1)) for k in (-1, -2)))
    for line in sums.lines[:2]:
        np.testing.assert_allclose(line.get_ydata(), most, rtol=1e-9)
    (entries,) = (a for a in panels if a.get_xlabel() == "entry")
    steps = [patch.get_data() for patch in entries.patches]
    assert len(steps) == 3 and not entries.lines
    assert all(np.isclose(s.values.sum(), 1) and np.ptp(np.diff(s.edges)) < 1e-12 for s in steps)


@pytest.mark.parametrize(
    "ends, values, texts",
    [
        ((0, 1000), (0.25, 1, 999.5), ["0.25", "1", "999.5"]),
        ((1e-12, 1e-7), (1e-12, 1e-7), ["1e-12", "1e-7"]),
        ((1 - 5e-8, 1.0000004), (1 - 5e-8, 1, 1.0000004), ["1-5e-8", "1", "1+4e-7"]),
        ((1, 1.0004), (1, 1.00005, 1.0001, 1.00025), ["1", "1.00005", "1.0001", "1.00025"]),
    ],
)
def test_numbers_at_an_axis_are_short_and_written_alike(ends, values, texts):
    """Ticks of one axis were ``1+5e-5`` and ``1.00015``."""
    from matplotlib.figure import Figure

    side = Figure().subplots().yaxis
    write_numbers(side)
    side.set_view_interval(*ends, ignore=True)
    assert side.get_major_formatter().format_ticks(list(values)) == texts


def test_ticks_of_what_is_swept_do_not_touch():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    axis.swept(axes, [1e-6, 1e-3, 1e-2, 1e-1])
    words = [text.get_text() for text in axes.get_xticklabels()]
    assert words == ["$10^{-6}$", "$10^{-3}$", "", "$10^{-1}$"]
    assert list(axes.get_xticks()) == [1e-6, 1e-3, 1e-2, 1e-1]


def test_the_layer_that_comes_last_does_not_hide_the_others():
    h = np.stack([GoMHC(4, s=1).draw(200, np.random.default_rng(0))] * 5, axis=1)
    sites = tuple(Site(k, "attn", str(k)) for k in range(5))
    picture = members.module_of("spectrum").run(in_memory(h, sites, "a")).plot()
    (points,) = (c for c in picture.axes[0].collections if len(c.get_offsets()) > 100)
    tops = {}
    for at, colour in zip(points.get_offsets(), points.get_facecolors(), strict=True):
        tops[at.tobytes()] = colour.tobytes()
    counts = np.unique([*tops.values()], return_counts=True)[1]
    assert len(counts) == 5 and counts.min() > 0.1 * counts.sum()
    bar = next(a for a in picture.axes if a.get_label() == "<colorbar>")
    picture.draw_without_rendering()
    assert all("." not in text for text in labels_of(bar.yaxis))


def test_a_series_has_a_curve_over_depth_for_every_step(drawn):
    curves = [a for a in shown_axes(drawn("depth-drift of a series")) if len(a.lines) == 3]
    named = [a for a in curves if a.get_legend() and "step 3" in str(legend_words(a))]
    assert len(named) == 3
    for axes in named:
        first, _, last = (line.get_color() for line in axes.lines)
        assert not np.allclose(first, last)
        assert [line.get_marker() for line in axes.lines] == ["s", "None", "o"]


def legend_words(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_fits_over_a_number_show_their_ends(drawn):
    """go-mHC, figure 8: the last loss and the epochs to convergence against d."""
    picture = drawn("sweep of fits")
    named = {axes.get_title(): axes for axes in picture.axes}
    loss = named["loss at the end"]
    assert loss.get_xlabel() == "d" and len(loss.lines) == 3  # two methods and the floor
    assert [int(x) for x in loss.lines[0].get_xdata()] == [2, 4, 8]
    assert "epochs until within 5 %" in named
    words = [text.get_text() for text in picture.legends[0].get_texts()]
    assert "10-90 % of the targets" in words and "from here within 5 % of its end" in words
    assert picture.legends[0].get_title().get_text() == "lines: mean over 4 targets"


def test_marks_are_only_on_curves_that_converge(drawn):
    table_marks = [line for line in drawn("fit").axes[0].lines if len(line.get_xdata()) == 1]
    curves = [line for line in drawn("fit").axes[0].lines if len(line.get_xdata()) > 5]
    expected = [convergence(np.asarray(c.get_xdata()), np.asarray(c.get_ydata())) for c in curves]
    at = [int(line.get_xdata()[0]) for line in table_marks]
    assert at == [epoch for epoch in expected if epoch is not None]


@pytest.mark.parametrize(
    "low, high", [(-3.2, 2.1), (-0.4, 0.9), (0.1, 0.25), (3.2, 3.8), (-700, 2), (-17, -13)]
)
def test_ticks_of_powers_of_ten(low, high):
    from matplotlib.figure import Figure

    side = Figure().subplots().yaxis
    side.axes.set_ylim(low, high)
    axis.powers_of_ten(side, low, high, is_exponent=True)
    labels, at = labels_of(side), side.get_majorticklocs()
    assert 2 <= len(labels) <= 8 and all(low <= t <= high for t in at)
    for text, place in zip(labels, at, strict=True):
        assert "e" not in text
        written = (
            text.strip("$")
            .replace(",", "")
            .replace("\\times", "*")
            .replace("{", "")
            .replace("}", "")
        )
        if place > -300:
            number = written.replace(" ", "").replace("*10^", "e").replace("10^", "1e")
            assert float(number) == pytest.approx(10.0**place, rel=5e-3)


@pytest.mark.parametrize("suffix, mark", [("svg", b"<text"), ("pdf", b"/Type3")])
def test_letters_are_paths_in_svg_and_text_in_pdf(suffix, mark, birkhoff, tmp_path):
    done = birkhoff("region", "--d", "3", "--plot", f"a.{suffix}", "-q")
    assert done.returncode == 0, done.stderr
    data = (tmp_path / f"a.{suffix}").read_bytes()
    assert mark not in data
    assert suffix == "svg" or b"/TrueType" in data or b"/CIDFontType2" in data


def test_a_title_holds_no_folder_and_no_formula():
    trace = in_memory(np.eye(4)[None, None], (Site(0, "attn", "a"),), "a/b$c/d$e.pt")
    assert titles.title(trace) == r"d\$e.pt, d = 4, 1 site, 1 sample"
    strange = in_memory(
        np.eye(4)[None, None], (Site(0, "attn", "a"),), "a", meta={"method": "$x\n" + 99 * "y"}
    )
    assert titles.title(strange).startswith("a, x yyyy") and len(titles.title(strange)) < 80


def test_a_title_says_how_matrices_were_drawn():
    draws = Draws(samples=1, layers=24, draw="haar", scale=0.5, dtype="float32")
    method: Parameterization = GoMHC(6, s=3)
    expected = "go-mhc:s=3, d = 6, 1 stack of 24 layers, draw haar, scale 0.5, float32"
    assert titles.title(Drawn(method, draws)) == expected
    assert titles.title(Drawn(method, Draws(samples=1))) == "go-mhc:s=3, d = 6, 1 matrix"
