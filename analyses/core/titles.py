"""Titles of pictures: the method or the file, d, and how many matrices of how many sites.

Every title is made here, when the table is: a picture has it from the table's metadata.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.core.source import Drawn, Draws, Source
from birkhoff_cli.analyses.core.trace import MixingTrace, Site


def title(source: Source, amount: str | None = None) -> str:
    """What was drawn or read.

    Args:
        source: matrices.
        amount: what there is, where it is not the matrices of the source, such as targets.
    """
    if source.drawn is not None:
        return title_of_drawn(source.drawn, amount)
    return title_of_file(source.title, source.meta, source.d, source.sites, source.samples)


def title_of_drawn(drawn: Drawn, amount: str | None = None) -> str:
    """``go-mhc:s=2, d = 4, 1,000 stacks of 24 layers, draw haar``."""
    amount = amount or amount_of(drawn.draws)
    return ", ".join([title_of_method(drawn.method), amount, *how(drawn.draws)])


def title_of_method(method: Parameterization) -> str:
    """The method as it is typed, and its number of streams."""
    return f"{specification(method)}, d = {method.d}"


def amount_of(draws: Draws) -> str:
    """``20,000 matrices``, or stacks of layers."""
    if draws.layers in (None, 1):
        return f"{draws.samples:,} {'matrix' if draws.samples == 1 else 'matrices'}"
    return f"{count(draws.samples, 'stack')} of {count(draws.layers, 'layer')}"


def how(draws: Draws) -> list[str]:
    """How matrices are drawn, as far as it was asked for."""
    settings = [] if draws.draw is None else [f"draw {draws.draw}"]
    settings += [] if draws.scale is None else [f"scale {draws.scale:g}"]
    return settings + ([] if draws.dtype == "float64" else [draws.dtype])


def title_of_file(
    name: str, meta: Mapping[str, Any], d: int | None, sites: Sequence[Site], samples: int
) -> str:
    """``ckpt.pt, mhc, d = 4, 8 sites of 4 layers, 4,096 samples on tokens``.

    Args:
        name: of the file, without its folder.
        meta: of the trace, which may name the method and the streams.
        d: number of streams, where it is known.
        sites: of a sample.
        samples: how many.
    """
    recorded = meta.get("recorded", meta)
    facts = recorded if isinstance(recorded, Mapping) else {}
    method = " ".join(str(facts.get("method") or "").split())[:MAX_NAME].replace("$", "")
    streams = facts.get("streams")
    kind = streams.get("kind") if isinstance(streams, Mapping) else None
    layers = len({site.layer for site in sites})
    where = count(len(sites), "site")
    where += f" of {count(layers, 'layer')}" if 1 < layers < len(sites) else ""
    amount = count(samples, "sample") + (f" on {STREAMS[kind]}" if kind in STREAMS else "")
    parts = (name, method, "" if d is None else f"d = {d}", where, amount)
    return ", ".join(filter(None, parts))


MAX_NAME = 40
"""Letters of the name of a method that a file says."""

STREAMS = {"tokens": "tokens", "gaussian": "random streams"}
"""What goes through a checkpoint, by the word of ``--inputs``."""


def title_of_series(series: Sequence[Source]) -> str:
    """Of one as `title`; the first and the last of several files, and how many there are."""
    if len(series) == 1:
        return title(series[0])
    last = series[-1]
    name = name_of_series([trace.title for trace in series])
    return title_of_file(name, last.meta, last.d, last.sites, last.samples)


def name_of_series(names: Sequence[str]) -> str:
    """The name of one, or those of the first and the last of several, which a table may hold."""
    if len(names) == 1:
        return names[0]
    ends = names[0] if names[0] == names[-1] else f"{names[0]} ... {names[-1]}"
    return f"{ends} ({len(names)} steps)"


def common(titles: Sequence[str]) -> str:
    """What several titles share: of a sweep, all but what varies."""
    parts = [title.split(", ") for title in titles]
    return ", ".join(part for part in parts[0] if all(part in other for other in parts))


def title_of_pair(a: MixingTrace, b: str, samples: int) -> str:
    """Two models side by side, with what they have in common."""
    return title_of_file(f"{a.title} and {b}", {}, a.d, a.sites, samples)


def title_of_models(sources: Sequence[Source], probe: str) -> str:
    """How many files stand side by side, and what is measured of the methods beside them.

    Args:
        sources: of every model; all that are drawn are drawn alike.
        probe: how eigenvalues of these are looked for: targets, or sample.
    """
    drawn = [source.drawn for source in sources if source.drawn is not None]
    files = len(sources) - len(drawn)
    parts = [count(files, "file")] if files else []
    if drawn:
        draws = drawn[0].draws
        eigenvalues = "moved to as many targets" if probe == "targets" else "of them"
        parts += [f"{amount_of(draws)} of each method", f"eigenvalues {eigenvalues}", *how(draws)]
    return ", ".join(parts)
