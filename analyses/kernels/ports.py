"""What went wrong where a model was ported: one mistake that explains most of the sites.

Tried for every site that differs: the transpose, the map of the transposed logits, the map with
other settings, and the matrices of every other site.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.trace import MixingTrace, Site

MAX_COMPARED = 64
"""Samples that are looked at: a mistake shows at the first."""


class Models(NamedTuple):
    """Two models, as far as mistakes are looked for.

    Attributes:
        sites: of both.
        a: ``(samples, sites, d, d)``, the first samples of the first model.
        b: those of the second.
        tolerance: ``(sites,)``, what rounding explains.
    """

    sites: Sequence[Site]
    a: Array
    b: Array
    tolerance: Array

    def equal(self, a: Array, b: Array) -> Array:
        """Which sites are equal, ``(sites,)``, of matrices ``(samples, sites, d, d)``."""
        off = np.abs(a - b).max((0, 2, 3))
        return np.nan_to_num(off, nan=np.inf) <= self.tolerance


def explain(first: MixingTrace, second: MixingTrace, tolerance: Array) -> str | None:
    """The mistake that explains most of the sites that differ, in a sentence; None if none does.

    Args:
        first: one model.
        second: the other, of the same sites and streams.
        tolerance: ``(sites,)``, the largest difference that rounding explains.
    """
    a, b = (first_samples(trace) for trace in (first, second))
    models = Models(first.sites, a, b, tolerance)
    differs = ~models.equal(a, b)
    if not differs.any():
        return None
    mistakes = [(what, here & differs) for what, here in _mistakes(models, first, second)]
    mistakes = [(what, here) for what, here in mistakes if here.any()]
    permuted = _of_places(models, differs)
    best = max(mistakes, key=lambda pair: int(pair[1].sum()), default=None)
    if permuted is not None and (best is None or permuted[1] > best[1].sum()):
        return permuted[0]
    if best is None:
        return None
    what, here = best
    rest = int((differs & ~here).sum())
    more = f"; {rest} more differ otherwise" if rest else ""
    return f"{what} at {int(here.sum())} of {len(models.sites)} sites{more}"


def first_samples(trace: MixingTrace) -> Array:
    """At most `MAX_COMPARED` samples ``(samples, sites, d, d)``, float64."""
    block = next(iter(trace.read(range(1))))
    return np.asarray(block[:MAX_COMPARED], np.float64)


def _mistakes(
    models: Models, first: MixingTrace, second: MixingTrace
) -> Iterator[tuple[str, Array]]:
    """Every mistake that can be made at one site, and the sites that it explains."""
    yield "H is transposed", models.equal(models.a, models.b.swapaxes(2, 3))
    for trace, other in ((second, models.a), (first, models.b)):
        if trace.map is None or trace.theta is None:
            continue
        turned = trace.map.transpose_parameters(trace.theta)
        if turned is not None:
            h = np.asarray(trace.map(turned), np.float64)
            yield "rows and columns of the logits are exchanged", models.equal(other, h)
        whose = first.source if trace is second else second.source
        for change, method in trace.map.variations():
            h = np.asarray(method(trace.theta), np.float64)
            yield f"{whose} has {change}", models.equal(other, h)


def _of_places(models: Models, differs: Array) -> tuple[str, int] | None:
    """Sites that stand in the place of others: how, and how many."""
    homes = {int(site): _home(models, int(site)) for site in np.flatnonzero(differs)}
    moved = {site: home for site, home in homes.items() if home is not None}
    if not moved:
        return None
    return _shifted(models, moved) or _exchanged(models, moved)


def _home(models: Models, site: int) -> int | None:
    """The one site of the second model that holds this site's matrices."""
    off = np.abs(models.a[:, site, None] - models.b).max((0, 2, 3))
    homes = np.flatnonzero(off <= models.tolerance)
    return int(homes[0]) if len(homes) == 1 else None


def _shifted(models: Models, homes: dict[int, int]) -> tuple[str, int] | None:
    """All of them by the same number of sites, perhaps from the last on to the first."""
    (step, count), *_ = Counter(home - site for site, home in homes.items()).most_common(1)
    per_layer = len({site.branch for site in models.sites})
    total = len(models.sites)
    around = all((home - site - step) % total == 0 for site, home in homes.items())
    if count < 2 or (count < len(homes) and not (around and 2 * abs(step) < total)):
        return None
    layers, rest = divmod(abs(step), per_layer)
    distance = {1: "one layer"}.get(layers, f"{layers} layers")
    distance = (
        distance if layers and not rest else {1: "one site"}.get(abs(step), f"{abs(step)} sites")
    )
    way = "ahead" if step > 0 else "behind"
    return f"shifted by {distance}: the second model is {way} at {count} of {total} sites", count


def _exchanged(models: Models, homes: dict[int, int]) -> tuple[str, int] | None:
    """Pairs of sites that hold one another's matrices."""
    pairs = [(i, j) for i, j in homes.items() if i < j and homes.get(j) == i]
    if not pairs:
        return None
    exchanges = [_pair(models.sites[i], models.sites[j]) for i, j in pairs]
    shown = ", ".join(exchanges[:MAX_SHOWN])
    more = f" and {len(exchanges) - MAX_SHOWN} more pairs" if len(exchanges) > MAX_SHOWN else ""
    return f"{shown} exchanged{more}", 2 * len(pairs)


MAX_SHOWN = 3


def _pair(one: Site, other: Site) -> str:
    if one.layer == other.layer:
        return f"layers.{one.layer}: {one.branch} and {other.branch}"
    return f"{one.name} and {other.name}"
