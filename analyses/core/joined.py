"""One trace in several parts: ranks, shards and part files hold samples of the same sites."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from birkhoff_cli.analyses.core.array_trace import AXES
from birkhoff_cli.analyses.core.arrays import Array, regrouped
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.sentences import ASIDE, count
from birkhoff_cli.analyses.core.trace import MixingTrace, name_of


@dataclass(frozen=True)
class Joined(MixingTrace):
    """The samples of several traces of the same sites, one trace after another.

    Attributes:
        parts: the traces, in order.
    """

    parts: tuple[MixingTrace, ...] = field(default=(), repr=False)

    def _refuse(self, block: Array, start: int, what: str) -> None:
        """Let the part refuse the matrix: it names its file, and the sample in it."""
        first = 0
        for part in self.parts:
            if first < start + len(block) and start < first + part.samples:
                for _ in part:
                    pass
            first += part.samples
        super()._refuse(block, start, what)


def join(parts: Sequence[MixingTrace], notes: Sequence[str] = ()) -> MixingTrace:
    """The trace whose samples are those of all parts, in their order.

    Blocks are counted over all samples, so where a trace was cut changes no number of it.

    Args:
        parts: the traces.
        notes: what else is assumed.

    Raises:
        BadInput: parts of other sites, streams, dtypes or models; the message names two of them.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        if why := _why_apart(part, first):
            raise BadInput(
                f"{part.source}: is no part of one trace with {first.source}: {why}; "
                f"give parts of one run, or one of them; {ASIDE}"
            )

    def read(block: int, start: int) -> Iterator[Array]:
        return regrouped(chain.from_iterable(_from(parts, block, start)), block)

    return Joined(
        d=first.d,
        samples=sum(part.samples for part in parts),
        sites=first.sites,
        source=f"{first.source} and {len(parts) - 1} more",
        reader=read,
        dtype=first.dtype,
        step=first.step,
        meta=_meta(parts, notes),
        parts=tuple(parts),
    )


def _from(parts: Sequence[MixingTrace], block: int, start: int) -> Iterator[Iterator[Array]]:
    """The blocks of every part, without the samples before ``start``."""
    for part in parts:
        if start < part.samples:
            yield part.reader(block, start)
        start = max(0, start - part.samples)


def _why_apart(part: MixingTrace, first: MixingTrace) -> str | None:
    """What speaks against two traces being of one run."""
    if AXES in part.meta and part.meta[AXES] is None:
        return f"their arrays (n, d, d) do not say what n is: set {AXES} to samples or sites"
    if part.d != first.d:
        return f"it has {part.d} streams and the other {first.d}"
    if len(part.sites) != len(first.sites):
        return f"it has {len(part.sites)} sites and the other {len(first.sites)}"
    for k, (own, other) in enumerate(zip(part.sites, first.sites, strict=True)):
        if own[:2] != other[:2]:
            return (
                f"its site {k} is layer {own.layer}, {own.branch} and that of the other "
                f"layer {other.layer}, {other.branch}"
            )
    if part.dtype != first.dtype:
        return f"it is {part.dtype} and the other {first.dtype}"
    own_facts, other_facts = (identity(trace.meta) for trace in (part, first))
    for name in (n for n in own_facts if n in other_facts and own_facts[n] != other_facts[n]):
        return f"its {name} is {own_facts[name]} and that of the other {other_facts[name]}"
    return None


def identity(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a trace's metadata say of the model that made its matrices; nothing of a plain array."""
    recorded = meta.get("recorded")
    if not isinstance(recorded, Mapping):
        return {}
    while isinstance(recorded.get("recorded"), Mapping):  # a trace of a trace
        recorded = recorded["recorded"]
    settings = recorded.get("settings")
    facts = {name: recorded[name] for name in ("model", "method") if recorded.get(name)}
    if not isinstance(settings, Mapping):
        return facts
    values = {n: s["value"] for n, s in settings.items() if isinstance(s, dict) and "value" in s}
    files = recorded.get("inputs")
    checkpoint = files[0] if isinstance(files, list) and files else None
    if isinstance(checkpoint, dict) and "sha256" in checkpoint:
        name = name_of(str(checkpoint.get("name")))
        values["checkpoint"] = f"{name} ({str(checkpoint['sha256'])[:8]})"
    return {**facts, "format": recorded.get("format"), **values}


def _meta(parts: Sequence[MixingTrace], notes: Sequence[str]) -> dict[str, Any]:
    """Provenance of all parts: the facts of the first, every file, each assumption once."""
    files = [file for part in parts for file in part.meta.get("inputs", ())]
    assumed = [text for part in parts for text in part.meta.get("assumptions", ())] + [*notes]
    if any(site.branch == "file" for site in parts[0].sites):
        sites = count(len(parts[0].sites), "site")
        assumed.append(
            f"{len(parts)} files hold samples of the same {sites}, one file after another: arrays "
            f"do not say where they belong"
        )
    recorded = next((p.meta for p in parts if "recorded" in p.meta), {})
    whole = {**recorded, **parts[0].meta}
    return (
        whole
        | ({"inputs": files} if files else {})
        | ({"assumptions": list(dict.fromkeys(assumed))} if assumed else {})
    )
