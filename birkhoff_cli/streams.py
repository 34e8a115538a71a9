"""What a checkpoint's streams carry, and so which matrices its sites apply.

``static``: nothing, the input-dependent part is zero. ``gaussian``: random directions, what the
dynamic part could do; every site's streams are drawn on their own. ``tokens=FILE``: what the model
makes of real tokens.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, regrouped
from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import Unsupported, UsageError
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.random_numbers import INPUTS, block_generator
from birkhoff_cli.analyses.core.source import MAX_SAMPLES
from birkhoff_cli.analyses.core.trace import MixingTrace, Reader, in_blocks
from birkhoff_cli.text import escape
from birkhoff_cli.values import path_of

if TYPE_CHECKING:
    from birkhoff_cli.analyses.networks.connection import Connection
    from birkhoff_cli.analyses.networks.language_model import LanguageModel
    from birkhoff_cli.analyses.networks.token_run import TokenRun
    from birkhoff_cli.checkpoints import Checkpoint

    Take: TypeAlias = Callable[["Connection", Array | None], Array]
    """From a site and logits of its streams to what the site makes of them."""

SAMPLES = 1000
SEQUENCES = 4


class Word(str):
    """A word of ``--inputs``: ``static``, ``gaussian`` or ``tokens=FILE``.

    Raises:
        UsageError: it is none of these.
    """

    def __new__(cls, text: str) -> "Word":
        """The case of the kind does not matter."""
        kind, equals, file = text.partition("=")
        word = super().__new__(cls, kind.lower() + equals + file)
        if word.kind not in KINDS:
            raise UsageError(f"--inputs {_not_inputs(text)}")
        if bool(file) is not (word.kind == "tokens"):
            spelling = next(known for known in WORDS if known.startswith(word.kind))
            raise UsageError(f"--inputs {escape(text)} cannot be; say --inputs {spelling}")
        return word

    @property
    def kind(self) -> str:
        """``static``, ``gaussian`` or ``tokens``."""
        return self.partition("=")[0]

    @property
    def path(self) -> Path | None:
        """The file of tokens, if there is one."""
        file = self.partition("=")[2]
        return path_of(file) if file else None

    def moved(self, move: Callable[[Path], Path | str]) -> "Word":
        """The same word with another path."""
        return self if self.path is None else Word(f"{self.kind}={move(self.path)}")

    @property
    def options(self) -> tuple[str, ...]:
        """Options that go with it."""
        return KINDS[self.kind].options


def _not_inputs(text: str) -> str:
    """The sentence for a word that is none, of a file for one that is named alone."""
    file = re.sub("^tokens?[:/]", "", text)
    if os.path.isfile(file):  # noqa: PTH113, a name may be odd
        return f"{escape(text)} cannot be; say --inputs tokens={escape(file)}"
    return unknown(escape(text.partition("=")[0]), WORDS, "inputs")


@dataclass(frozen=True)
class Inputs:
    """What goes through a checkpoint's sites. Of no effect for matrices that were recorded."""

    inputs: Annotated[
        Word,
        "static, gaussian or tokens=FILE (.bin, .npy) [static]",
    ] = field(default_factory=lambda: Word("static"))
    samples: Annotated[int | None, "random streams of gaussian [1000]"] = None
    sequences: Annotated[int | None, "sequences of tokens to run [4]"] = None
    length: Annotated[int | None, "tokens in a sequence [as it was trained]"] = None
    random: Annotated[bool, "sequences from random places, not one after another"] = False

    def __post_init__(self) -> None:
        """Refuse words that are none, and options that these inputs do not have."""
        object.__setattr__(self, "inputs", Word(self.inputs))
        for option in OPTIONS:
            value = getattr(self, option)
            if value is not None and value is not False and option not in self.inputs.options:
                raise UsageError(f"--{option} has no meaning with --inputs {self.inputs.kind}")


def trace(checkpoint: "Checkpoint", inputs: Inputs, seed: int) -> MixingTrace:
    """The matrices that a checkpoint's sites apply.

    Args:
        checkpoint: as it was read, static.
        inputs: what the streams carry.
        seed: of gaussian streams and of random places.

    Raises:
        Unsupported: this format's dynamic part or forward pass is not known here.
    """
    return KINDS[inputs.inputs.kind].trace(checkpoint, inputs, seed)


def _static(checkpoint: "Checkpoint", inputs: Inputs, seed: int) -> MixingTrace:
    del inputs, seed
    trace = replace(checkpoint.trace(), gates=_gates_of(checkpoint, partial(_still, checkpoint)))
    if checkpoint.map is None:
        return trace
    theta = checkpoint.theta[None]
    return replace(trace, map=checkpoint.map, theta=theta, parameters=in_blocks(theta))


def _still(checkpoint: "Checkpoint", block: int, first: int) -> Iterator[Array]:
    """H_pre, H_post and H where the input-dependent part is zero: one sample."""
    with checkpoint.opened() as store:
        assert checkpoint.connect is not None  # see `_gates_of`
        rows = np.stack([site.weights(None).rows for site in checkpoint.connect(store)])
    return in_blocks(rows[None])(block, first)


def _gates_of(checkpoint: "Checkpoint", reader: Reader) -> Reader:
    """The reader; where the gates are not known, one that says so."""
    why = checkpoint.ungated
    if not why and checkpoint.connect is None:
        why = f"how {checkpoint.format} makes H_pre and H_post is not known here"

    def refuse(block: int, first: int) -> Iterator[Array]:
        del block, first
        raise Unsupported(
            f"{escape(checkpoint.path)}: {why}; its matrices can be read by every other command"
        )

    return refuse if why else reader


def _gaussian(checkpoint: "Checkpoint", inputs: Inputs, seed: int) -> MixingTrace:
    """Streams of uniform direction, drawn for every site on its own."""
    samples = SAMPLES if inputs.samples is None else inputs.samples
    require(samples >= 1, f"-n/--samples {samples}", "at least 1")
    require(samples <= MAX_SAMPLES, f"-n/--samples {samples}", f"{MAX_SAMPLES:,} at most")
    if checkpoint.connect is None:
        raise Unsupported(
            f"{escape(checkpoint.path)}: how H follows the streams is not known for "
            f"{checkpoint.format}; use --inputs static"
        )
    with checkpoint.opened() as store:
        sites = tuple(site.without_weight() for site in checkpoint.connect(store))
        digest = store.digest()

    def read(take: "Take", axes: int) -> Reader:
        def blocks(block: int, first: int) -> Iterator[Array]:
            for start in range(first, samples, block):
                rng, n = block_generator(seed, start // block, INPUTS), min(block, samples - start)
                values = [take(site, draw(n, rng)) for site, draw in sites]
                yield np.stack([np.broadcast_to(v, (n, *v.shape[-axes:])) for v in values], axis=1)

        return blocks

    return replace(
        checkpoint.trace(),
        map=checkpoint.map,
        samples=samples,
        reader=read(lambda site, z: site.weights(z).mixing, 2),
        parameters=read(lambda site, z: site.parameters(z), 1) if checkpoint.map else None,
        gates=_gates_of(checkpoint, read(lambda site, z: site.weights(z).rows, 2)),
        dtype=np.dtype(np.float64),
        meta=checkpoint.meta
        | {"inputs": [digest], "streams": {"kind": "gaussian", "samples": samples, "seed": seed}},
    )


def _tokens(checkpoint: "Checkpoint", inputs: Inputs, seed: int) -> MixingTrace:
    from birkhoff_cli.analyses.networks import token_run as tokens

    run = token_run(checkpoint, inputs, seed)

    def read(take: Callable[["LanguageModel", Array], Array]) -> Reader:
        def blocks(block: int, first: int) -> Iterator[Array]:
            model, length = tokens.in_torch(run.load()), run.tokens.shape[1]
            before = first // length
            before -= before % tokens.sequences_in_batch(run.tokens)  # from every start the same
            parts = (take(model, batch) for batch in tokens.batches(run.tokens[before:]))
            for part in parts:
                yield from regrouped(chain([part[first - before * length :]], parts), block)

        return blocks

    return replace(
        checkpoint.trace(),
        map=checkpoint.map,
        samples=run.samples,
        reader=read(tokens.matrices),
        parameters=read(tokens.parameters) if checkpoint.map else None,
        gates=_gates_of(checkpoint, read(tokens.gates)),
        meta=run.meta,
        run=run,
    )


def token_run(checkpoint: "Checkpoint", inputs: Inputs, seed: int) -> "TokenRun":
    """The model in a checkpoint and the tokens to run it on; both are read once, to check them.

    Raises:
        UsageError: no tokens, or sequences that are none or longer than the model's.
        Unsupported: no forward pass is known here for this format, or for this model.
        BadInput: damaged weights, or tokens that the model does not know.
    """
    from birkhoff_cli import tokens
    from birkhoff_cli.analyses.networks.token_run import TokenRun

    file = inputs.inputs.path
    if file is None:
        raise UsageError(f"--inputs {inputs.inputs} runs no model here; say --inputs tokens=FILE")
    model, digest = _model(checkpoint)
    length = model.block if inputs.length is None else inputs.length
    sequences = SEQUENCES if inputs.sequences is None else inputs.sequences
    require(sequences >= 1, f"--sequences {sequences}", "at least 1")
    require(1 <= length <= model.block, f"--length {length}", f"1 to {model.block} with this model")
    rng = _generator(seed) if inputs.random else None
    sample, digests = tokens.read(file, sequences, length, model.vocabulary, rng)
    facts = {"kind": "tokens", "sequences": sequences, "length": length}
    sites = {"random": True, "seed": seed} if inputs.random else {"random": False}
    return TokenRun(
        load=lambda: _model(checkpoint)[0],
        tokens=sample,
        sites=checkpoint.sites,
        source=escape(checkpoint.path),
        step=checkpoint.step,
        meta=checkpoint.meta
        | {"d": checkpoint.d, "inputs": [digest, digests], "streams": facts | sites},
    )


def _model(checkpoint: "Checkpoint") -> tuple["LanguageModel", Mapping[str, Any]]:
    """All weights, and the digest of what was read."""
    if checkpoint.model is None:
        raise Unsupported(
            f"{escape(checkpoint.path)}: the forward pass of {checkpoint.format} models is not "
            f"known here, so tokens cannot be run; use --inputs gaussian"
        )
    with checkpoint.opened() as store:
        return checkpoint.model(store), store.digest()


def _generator(seed: int) -> np.random.Generator:
    """A stream of random numbers that is not that of other draws with this seed."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(1,))))


class Kind(NamedTuple):
    """One word of ``--inputs``, and the options that go with it."""

    trace: Callable[["Checkpoint", Inputs, int], MixingTrace]
    options: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "static": Kind(_static, ()),
    "gaussian": Kind(_gaussian, ("samples",)),
    "tokens": Kind(_tokens, ("sequences", "length", "random")),
}
WORDS = ("static", "gaussian", "tokens=FILE")
OPTIONS = tuple(dict.fromkeys(option for kind in KINDS.values() for option in kind.options))
