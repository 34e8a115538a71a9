"""Contracts find a planted fault of every kind, and say what it is and how large."""

import importlib.util
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from birkhoff_cli.analyses.core.arrays import like
from birkhoff_cli.analyses.core.facts import Facts
from birkhoff_cli.analyses.core.parameterization import DOUBLY_STOCHASTIC, ROWS
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.testing import check_analysis, check_format, check_method
from birkhoff_cli.testing.methods import gaussian
from birkhoff_cli.testing.stores import Model
from packages import CELLS, TRACES


@dataclass(frozen=True)
class Sound(MHCLite):
    """A softmax over the permutations of three streams."""

    d: int = 3


class Half(torch.autograd.Function):
    """The identity, with half its gradient."""

    @staticmethod
    def forward(_, x):
        return x.clone()

    @staticmethod
    def backward(_, slope):
        return slope / 2


def number(h, change):
    return h if isinstance(h, np.ndarray) else change(h)


@dataclass(frozen=True)
class ClaimsColumns(MHC):
    exact = DOUBLY_STOCHASTIC


@dataclass(frozen=True)
class ClaimsRows(Sound):
    def __call__(self, theta):
        return super().__call__(theta) * (1 + 1e-9)


@dataclass(frozen=True)
class ClaimsSigns(Sound):
    exact = frozenset({"rows", "nonnegative"})

    def __call__(self, theta):
        return 2 * super().__call__(theta) - 1 / 3


@dataclass(frozen=True)
class ClaimsMore(Sound):
    exact = DOUBLY_STOCHASTIC | {"orthogonal"}


@dataclass(frozen=True)
class MixesRows(Sound):
    def __call__(self, theta):
        return super().__call__(theta - theta.reshape(-1, self.parameters).mean(0))


@dataclass(frozen=True)
class OneBatchAxis(Sound):
    def __call__(self, theta):
        return super().__call__(theta.reshape(-1, theta.shape[-1]))


@dataclass(frozen=True)
class AlwaysDouble(Sound):
    def __call__(self, theta):
        h = super().__call__(theta)
        return h.astype(float) if isinstance(h, np.ndarray) else h.double()


@dataclass(frozen=True)
class IdleParameter(Sound):
    @property
    def parameters(self):
        return super().parameters + 1

    def __call__(self, theta):
        return super().__call__(theta[..., :-1])


@dataclass(frozen=True)
class TooFewParameters(Sound):
    @property
    def parameters(self):
        return super().parameters - 1


@dataclass(frozen=True)
class HalfGradient(Sound):
    def __call__(self, theta):
        return number(super().__call__(theta), Half.apply)


@dataclass(frozen=True)
class NoGradient(Sound):
    def __call__(self, theta):
        return number(super().__call__(theta), torch.detach)


@dataclass(frozen=True)
class WrongPullback(Sound):
    def differentiable(self):
        def evaluate(theta):
            h, pullback = super(WrongPullback, self).differentiable()(theta)
            return h, lambda slope: pullback(slope) + 1e-3

        return evaluate


@dataclass(frozen=True)
class GradientWithoutEnd(Sound):
    differentiable = Facts.differentiable

    def __call__(self, theta):
        off = theta - like(self.initial(), theta)
        return super().__call__(theta + abs(off) ** 0.5)


@dataclass(frozen=True)
class TorchIsAnother(Sound):
    def __call__(self, theta):
        return super().__call__(theta if isinstance(theta, np.ndarray) else theta * 1.001)


@dataclass(frozen=True)
class InPlace(Sound):
    def __call__(self, theta):
        if isinstance(theta, np.ndarray) and theta.flags.writeable:
            theta += 1
        return super().__call__(theta)


@dataclass(frozen=True)
class ShortStart(Sound):
    def initial(self):
        return super().initial()[:-1]


@dataclass(frozen=True)
class SingleStart(Sound):
    def initial(self):
        return super().initial().astype(np.float32)


@dataclass(frozen=True)
class Unseeded(Sound):
    def theta(self, n, rng, how, scale=None):  # noqa: ARG002
        return super().theta(n, np.random.default_rng(), how, scale)


@dataclass(frozen=True)
class Fixed(Sound):
    def theta(self, n, rng, how, scale=None):  # noqa: ARG002
        return super().theta(n, np.random.default_rng(0), how, scale)


@dataclass(frozen=True)
class CountsHalves(Sound):
    def flops(self):
        return 0.5


@dataclass(frozen=True)
class TakesNothing(Sound):
    def __post_init__(self):
        pass


@dataclass
class Mutable:
    d: int = 3


FAULTS = {
    ClaimsColumns(3): r"exact columns, and a sum is off 1 by \d",
    ClaimsRows(): r"exact rows, and a sum is off 1 by 1e-09; rounding explains",
    ClaimsSigns(): r"claims to be nonnegative, and an entry is -\d",
    ClaimsMore(): "exact is .*orthogonal.*; expected a frozenset of",
    MixesRows(): r"row 0 of 5 beside itself alone: they differ by \d",
    OneBatchAxis(): r"theta \(6,\): H is \(1, 3, 3\); expected \(3, 3\)",
    AlwaysDouble(): "H is float64; expected float32",
    IdleParameter(): r"parameters is 7, and 1 of them do not change H: \[6\]",
    TooFewParameters(): "raises ValueError",
    HalfGradient(): r"slope by torch and by differences: they differ by 0\.\d",
    NoGradient(): "H of a torch tensor that requires a gradient has none",
    WrongPullback(): r"slope by differentiable\(\) and by differences: they differ by 0\.00\d",
    GradientWithoutEnd(): "the gradient 0 away from the start in torch.float32 is not finite",
    TorchIsAnother(): "numpy and torch, parameters of size 0.1: they differ by",
    InPlace(): "the map changes its argument|beside itself alone|differ by",
    ShortStart(): r"initial\(\) is of shape \(5,\); expected \(6,\)",
    SingleStart(): r"initial\(\) is float32; expected float64",
    Unseeded(): "draw gaussian: the same seed draws other matrices",
    Fixed(): "draw gaussian: another seed draws the same matrices",
    CountsHalves(): "count and flops are no whole numbers",
    TakesNothing(): "d = 0 is taken",
}


@pytest.mark.parametrize("method", FAULTS, ids=lambda m: type(m).__name__)
def test_a_fault_of_a_method_is_found_and_named(method):
    with pytest.raises(AssertionError, match=FAULTS[method]) as found:
        check_method(method)
    assert str(found.value).startswith(f"{method!r}, ") and "\n" not in str(found.value)


def test_what_is_no_method_is_told_so():
    with pytest.raises(AssertionError, match="Mutable is not derived from birkhoff's Param"):
        check_method(Mutable())


def test_a_sound_method_passes():
    check_method(Sound())
    assert ROWS in Sound.exact and gaussian(Sound()).shape == (3, 6)


def module(name, text):
    """A module as somebody writes one, with changes to a sound text."""
    made = ModuleType(name)
    exec(compile(text, name, "exec"), vars(made))  # noqa: S102
    sys.modules[name] = made
    return made


LINE = "    trace = np.trace(np.linalg.matrix_power(h, power), axis1=-2, axis2=-1)\n"
COLUMN = '    column("trace", "float64", "trace of the power of H"),\n'
ANALYSES = {
    "a column that it never gives": (
        ((COLUMN, f'{COLUMN}    column("ghost", "float64", "nothing", nullable=True),\n'),)
        + (('"trace": trace}', '"trace": trace, "ghost": np.full(len(trace), np.nan)}'),),
        "no example gives a value of ghost",
    ),
    "an unseeded generator": (
        ((LINE, f"{LINE}    trace = trace + np.random.default_rng().normal(size=len(trace))\n"),),
        "twice gives other values of trace; draw from the seed alone",
    ),
    "the generator of the process": (
        ((LINE, f"{LINE}    trace = trace + np.random.random(len(trace))\n"),),  # noqa: NPY002
        "twice gives other values of trace; draw from the seed alone",
    ),
    "a draw that reads a column that is not there": (
        (('table["trace"]', 'table["ghost"]'),),
        "draw reads .*ghost.*, and the table has",
    ),
    "a draw that reads what is not in the table": (
        (('table["trace"].to_numpy()', "next(NUMBERS)"),)
        + (("EXAMPLES = (", "NUMBERS = iter(range(1, 99))\nEXAMPLES = ("),),
        "drawn twice the figure differs",
    ),
    "a column of no schema": (
        ((COLUMN, ""),)
        + (("return at_once(SCHEMA,", "return at_once(WIDE,"),)
        + (("def run(", f"WIDE = (*SCHEMA,\n{COLUMN})\n\n\ndef run("),),
        "has columns that SCHEMA does not: .'trace'",
    ),
    "a key that is not declared": (
        (('"trace_max": float', '"most": float'),),
        "sums up most, which SUMMARY does not declare",
    ),
    "a number out of its range": (
        (("range=(0, None)", "range=(0, 0.5)"),),
        r"samples is \d+, and its range 0 to 0.5",
    ),
    "samples that depend on one another": (
        ((LINE, f"{LINE}    trace = trace - trace.mean()\n"),),
        "rows of the first two samples of five are others than alone",
    ),
    "an edge that raises": (
        ((LINE, f"{LINE}    trace = trace * (1 / (source.d - 1))\n"),),
        "with one stream raises ZeroDivisionError",
    ),
    "an option without a sentence": (
        (('Annotated[int, "power of H whose trace it is"]', "int"),),
        "option power has no sentence",
    ),
    "an example of another": (
        (("birkhoff traces m", "birkhoff trace m"),),
        "is an example of another",
    ),
}


@pytest.mark.parametrize("fault", ANALYSES)
def test_a_fault_of_an_analysis_is_found_and_named(fault):
    changes, said = ANALYSES[fault]
    text = TRACES
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(AssertionError, match=said) as found:
        check_analysis(module("faulty", text))
    assert str(found.value).startswith("traces, ") and "\n" not in str(found.value)


def test_a_sound_analysis_passes():
    check_analysis(module("sound", TRACES))
    with pytest.raises(AssertionError, match="empty defines no run and no SCHEMA and no SUMMARY"):
        check_analysis(ModuleType("empty"))


def layers():
    """A checkpoint of the throw-away format."""
    rng, shapes = np.random.default_rng(0), {"mixer_logits": (2, 2), "mixer_scale": (1,)}
    return Model(
        {
            f"net.cells.{k}.{name}": rng.normal(size=shape).astype(np.float32)
            for k in range(3)
            for name, shape in shapes.items()
        }
    )


CHECK = "    check_shapes(store, sites, SHAPES)\n"
FORMATS = {
    "a site with a tensor missing is taken": (
        {
            CHECK: CHECK.replace("SHAPES", '{"logits": (2, 2)}'),
            'values(store, sites, "scale")': """np.array(
        [store.read(n["scale"]) if "scale" in n else [1.0] for n in sites.values()]
    )""",
            "dtypes(store, sites, SHAPES)": """{
            t: {store.stored[n[t]]: "float32" for n in sites.values() if t in n} for t in SHAPES
        }""",
            "MARKS =": "import numpy as np\n\nMARKS =",
        },
        "without 'net.cells.0.mixer_scale': all 3 sites are taken as if it were there",
    ),
    "a site with a tensor missing is left out": (
        {CHECK: "    sites = {site: n for site, n in sites.items() if len(n) == len(SHAPES)}\n"}
        | {'depth_facts(store, SITE, len(sites), store.config, ("cells",))': "()"},
        "without 'net.cells.0.mixer_.*': 2 of 3 sites are read, and nothing says so",
    ),
    "a layer that is missing at the end is not said": (
        {'depth_facts(store, SITE, len(sites), store.config, ("cells",))': "()"},
        "without layer 2: 2 of 3 sites are read, and nothing says so",
    ),
    "names of wrappers change a matrix": (
        {
            "theta=logits.reshape(-1, 4) * scale": "theta=logits.reshape(-1, 4) * scale"
            " * (1 + len(store.wrappers))"
        },
        "names with _orig_mod: matrices differ by",
    ),
    "no tensor has a mark": (
        {'(".mixer_",)': '(".blender",)'},
        r"no tensor's name holds one of MARKS \('.blender',\)",
    ),
    "another format's name": (
        {'format="cells"': 'format="trained"'},
        "cells: format is 'trained'; expected cells",
    ),
    "another method's name": (
        {'method="mhc"': 'method="hc"'},
        "cells: method is 'hc' and map is a mhc",
    ),
    "a claim of what is not there": (
        {"return {name for": 'return {"nothing"} | {name for'},
        r"claims has names that the store does not: \['nothing'\]",
    ),
}


@pytest.mark.parametrize("fault", FORMATS)
def test_a_fault_of_a_format_is_found_and_named(fault):
    changes, said = FORMATS[fault]
    text = CELLS
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(AssertionError, match=said):
        check_format(module("cells", text), layers())


def test_a_sound_format_passes(tmp_path):
    save_file(dict(layers().arrays), tmp_path / "their.safetensors")
    check_format(module("cells", CELLS), tmp_path / "their.safetensors")
    check_format(module("cells", CELLS), layers())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tuple([".mixer_"])', "MARKS is read before the module is imported, and is not found"),
        ('(\n    ".mixer_",\n)', "write it as a literal on one line: MARKS = .'.mixer_',.$"),
    ],
)
def test_marks_that_are_not_read_before_the_import_are_found(text, said, tmp_path):
    file = tmp_path / "cells.py"
    for marks, holds in (('(".mixer_",)', True), (text, False)):
        file.write_text(CELLS.replace('(".mixer_",)', marks))
        spec = importlib.util.spec_from_file_location("cells", file)
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        if holds:
            check_format(made, layers())
            continue
        with pytest.raises(AssertionError, match=said):
            check_format(made, layers())
