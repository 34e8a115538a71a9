"""Record the mixing matrices of a torch model in your own process, while it runs.

    with birkhoff.record(model, "trace.parquet") as recorder:
        model(tokens)
    birkhoff.spectrum(recorder.trace).summary

Known hyper-connections are found in the model by what they are, not by where they were imported
from; the files of `libraries` know them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints.sites import paths
from birkhoff_cli.checkpoints.sites.names import bare
from birkhoff_cli.recording import libraries
from birkhoff_cli.recording.libraries._module import ADD, Detach, Fill, Give, Module, recompile
from birkhoff_cli.recording.passes import Passes
from birkhoff_cli.recording.recorder import Recorder
from birkhoff_cli.recording.steps import Steps

if TYPE_CHECKING:
    from torch import nn

LIBRARIES = discover.members(libraries.__name__)
BRANCHES = {
    **{"hc_attn": "attn", "hc_mlp": "mlp", "attn_hc": "attn", "ffn_hc": "mlp"},
    **{"attn_hyper_connection": "attn", "mlp_hyper_connection": "mlp"},
    "self_attention_hyper_connection": "attn",
}
"""What readers of checkpoints call the branches, by the names of their modules."""


@dataclass(frozen=True)
class Mixer:
    """A module that mixes streams, and where in the model it is."""

    site: Site
    library: str
    module: Module

    def attach(self, give: Give) -> Detach:
        """Hand every matrix that the module applies to ``give``."""
        library = discover.member(libraries.__name__, self.library)
        detach: Detach = library.attach(self.module, give)
        return detach

    def feed(self, fill: Fill) -> None:
        """Call the module alone on one token's streams."""
        discover.member(libraries.__name__, self.library).feed(self.module, fill)


@contextmanager
def record(
    model: "nn.Module",
    path: str | Path | None = None,
    *,
    every: int = 1,
    tokens: int | None = None,
) -> Iterator[Recorder]:
    """Record every matrix that a model's hyper-connections apply inside the block.

    Every matrix is held against what the module itself made of its streams; a version that does
    something else is refused, never recorded wrong. Where a module computes in bfloat16, H is what
    its tensors give in float32, and the two agree to rounding. Sites are in the order in which the
    model calls them.

    It may stand around training: what activation checkpointing calls again is left out, NaN is kept
    as NaN, and an error of ours ends the recording, not the training: it is a warning at once, and
    is raised when the block ends. What is in the file has been there since its pass ended, as
    ``NAME.part.arrow``, which the block's end turns into the file.

    Args:
        model: a torch module with hyper-connections of a known library.
        path: where to write the trace, if anywhere; ``NAME.rankR`` in a distributed run.
        every: of so many passes the last is recorded.
        tokens: how many of a pass, evenly spaced; every one if not given.

    Raises:
        Unsupported: no known hyper-connection in the model, or a variant that is not known.
        BadInput: nothing was recorded, or passes that do not fit together.
    """
    mixers = mixers_of(model)
    libraries = sorted({mixer.library for mixer in mixers})
    meta = {"model": type(model).__name__, "libraries": libraries}
    with Recorder(path, meta, every=every, tokens=tokens) as recorder, ExitStack() as attached:
        attached.callback(recompile)
        for mixer in mixers:
            attached.callback(mixer.attach(partial(recorder.look, mixer.site)))
        steps = Steps(model, recorder.stepped)
        attached.callback(steps.attach())

        def begin(training: bool) -> None:
            if training:
                steps.passed()
            recorder.begin(training)

        attached.callback(Passes(model, begin, recorder.end).attach())
        recompile()
        yield recorder


def mixers_of(model: Module) -> list[Mixer]:
    """Every known hyper-connection in a model that has some.

    Raises:
        Unsupported: it has none.
    """
    if mixers := find(model):
        return mixers
    raise Unsupported(
        f"{type(model).__name__} has no hyper-connections of {', '.join(LIBRARIES)}; {ADD}"
    )


def find(model: Module) -> list[Mixer]:
    """Every known hyper-connection in a model, by depth as far as names tell."""
    modules = {}
    for name, module in model.named_modules():
        if library := _library(module):
            modules[tuple(filter(None, bare(name).split(".")))] = (library, module)
    order = paths.ordered(list(modules))
    return [Mixer(site, *modules[path]) for site, path in zip(_named(order), order, strict=True)]


def _library(module: Module) -> str | None:
    """The library whose module it is; only those are imported whose attributes it has."""
    package = libraries.__name__
    for name in LIBRARIES:
        attributes = discover.constant(package, name, "ATTRIBUTES")
        if not attributes or not all(hasattr(module, a) for a in attributes):
            continue
        if discover.member(package, name).owns(module):
            return name
    return None


def _named(order: list[paths.Path]) -> Iterator[Site]:
    """Names as checkpoints of the same models have them."""
    for site in paths.named(order):
        branch = BRANCHES.get(site.branch)
        yield Site(site.layer, branch, f"layers.{site.layer}.{branch}") if branch else site
