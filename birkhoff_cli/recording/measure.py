"""The numbers of all sites in one step: one stacked computation on the device, one transfer.

Names and definitions are those of `birkhoff degeneration`, `gates`, `sinkhorn` and `check`. A
number that is not known is null: the distance to the nearest permutation above d = 6, the spread
where no Sinkhorn balances logits, what a site reads where it cannot be said.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from math import isfinite
from typing import Any, NamedTuple

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.sites.verdict import SATURATED, judge
from birkhoff_cli.recording.libraries._module import Seen, aside

FINITE = "finite"
"""False beside what is null because it is not finite."""

MAX_D = 6
"""Streams up to which all permutations are compared."""

SITE = (
    *("row_max_p50", "diagonal_fraction"),
    *("identity_distance", "barycenter_distance", "permutation_distance"),
    *("row_error_max", "column_error_max", "spread_max", "saturated_fraction"),
    *("negative_mass", "entropy", "effective_streams", "streams_read", "streams_written"),
)
"""Numbers of a site, in the order in which they are computed."""

COMPOSITE = (
    *("composite_row_min", "composite_row_max", "composite_column_min", "composite_column_max"),
    *("amax_forward_max", "amax_backward_max"),
    *("composite_spectral_norm_max", "composite_barycenter_distance"),
)
"""Numbers of the product over all sites."""

BAND = (0.1, 0.5, 0.9)
TOGETHER = ("row_max_p10", "row_max_p50", "row_max_p90", "diagonal_fraction")
"""Numbers of all sites together: quantiles of their row maxima, and a mean."""

SQUARINGS = 18
"""Of H^T H, whose largest eigenvalue then outgrows all others: the norm of H v over v is off by at
most 1 in 2^(SQUARINGS + 2), for the worst ratio of the two largest singular values."""


class Numbers(NamedTuple):
    """What was measured in one step: by site, and of the product over all of them.

    Attributes:
        sites: the numbers of every site by its name, with None for what is not finite.
        composite: the numbers of the product.
        together: row maxima and the diagonal fraction of all sites.
        verdict: of all sites together.
        off: of every site, how far off its own streams H was; above 1 it is another version.
        finite: whether every matrix is, and the product.
        d: number of streams.
    """

    sites: dict[str, dict[str, Any]]
    composite: dict[str, Any]
    together: dict[str, Any]
    verdict: str | None
    off: dict[str, float]
    finite: bool
    d: int


def measure(seen: Mapping[Site, Seen]) -> Numbers:
    """The numbers of what every site did; one host synchronisation."""
    import torch

    _hold_alike(seen)
    with aside(next(iter(seen.values())).mixing.device.type):
        stacked = torch.stack([s.mixing.float() for s in seen.values()])
        numbers = _mixing(stacked) | {
            "spread_max": _spread(seen),
            "streams_read": _gates(seen, "pre"),
            "streams_written": _gates(seen, "post"),
        }
        columns = [*(numbers[name] for name in SITE), _off(seen)]
        rows = torch.stack(columns, 1).flatten()
        band = [q[0] for q in _quantiles(stacked.amax(-1).flatten()[None], *BAND)]
        product = torch.stack(_composite(stacked))
        of_all = torch.cat([rows.to(product), product, torch.stack(band).to(product)])
        values = of_all.cpu().tolist()
    return _named(list(seen), values, int(stacked.shape[-1]))


def _hold_alike(seen: Mapping[Site, Seen]) -> None:
    """Hold that all sites mixed the same tokens of as many streams.

    Raises:
        BadInput: two did not.
    """
    first, *others = seen
    for site in others:
        shape, other = (tuple(seen[s].mixing.shape) for s in (first, site))
        if shape != other:
            raise BadInput(f"{site.name} mixed {_of(other)}, {first.name} {_of(shape)}")


def _of(shape: tuple[int, ...]) -> str:
    return f"{shape[0]:,} tokens with d = {shape[-1]}"


def _mixing(h: Array) -> dict[str, Array]:
    """The numbers of `SITE` that need H alone, ``(sites,)`` each, of ``(sites, tokens, d, d)``."""
    import torch

    d, size = h.shape[-1], h.abs()
    eye = torch.eye(d, device=h.device, dtype=h.dtype)
    largest = h.amax(-1)
    diagonal = h.diagonal(dim1=-2, dim2=-1)
    rest = h.masked_fill(eye.bool(), -torch.inf).amax(-1)
    on = (diagonal > rest).all(-1).float().mean(-1) if d > 1 else largest[:, 0, 0] * 0 + 1
    rows, columns = ((h.sum(axis) - 1).abs().amax(-1) for axis in (-1, -2))
    total = size.sum((-1, -2))
    share = h / h.sum(-1, keepdim=True)
    entropy = -torch.special.xlogy(share, share).sum(-1)
    finite = _like_nan(h)
    return {
        "row_max_p50": _quantiles(largest.flatten(1), 0.5)[0],
        "diagonal_fraction": on + finite,
        "identity_distance": (h - eye).norm(dim=(-2, -1)).mean(-1),
        "barycenter_distance": (h - 1 / d).norm(dim=(-2, -1)).mean(-1),
        "permutation_distance": _nearest(h),
        "row_error_max": rows.amax(-1),
        "column_error_max": columns.amax(-1),
        "saturated_fraction": (torch.maximum(rows, columns) > SATURATED).float().mean(-1) + finite,
        "negative_mass": (size.sum((-1, -2)) - h.sum((-1, -2))).div(2 * total).mean(-1),
        "entropy": entropy.mean((-1, -2)),
        "effective_streams": entropy.exp().mean((-1, -2)),
    }


def _quantiles(values: Array, *shares: float) -> list[Array]:
    """The values of every row below which these shares of them lie."""
    ordered = values.sort(-1).values
    ranks = [round(q * (values.shape[1] - 1)) for q in shares]
    return [ordered[:, k] for k in ranks]


def _like_nan(h: Array) -> Array:
    """0 for a site whose matrices are finite, else NaN."""
    return (h * 0).sum((-1, -2, -3))


def _nearest(h: Array) -> Array:
    """Mean distance to the nearest permutation matrix; NaN above `MAX_D`."""
    import torch

    d = h.shape[-1]
    if d > MAX_D:
        return h.flatten(1)[:, 0] * torch.nan
    weights = [sum(h[..., i, j] for i, j in enumerate(p)) for p in permutations(range(d))]
    heaviest = torch.stack(weights).amax(0)  # |H - P|^2 = |H|^2 + d - 2 tr(P^T H)
    square = h.square().sum((-1, -2)) + d - 2 * heaviest
    return square.clamp(min=0).sqrt().mean(-1)


def _gates(seen: Mapping[Site, Seen], name: str) -> Array:
    """Mean effective number of streams that a gate reads or writes; NaN where it is not known."""
    import torch

    like = next(iter(seen.values())).mixing
    means = []
    for one in seen.values():
        gate = getattr(one, name)
        if gate is None:
            means.append(torch.full((), torch.nan, device=like.device))
            continue
        share = gate.float().abs()
        share = share / share.sum(-1, keepdim=True)
        means.append((-torch.special.xlogy(share, share).sum(-1)).exp().mean())
    return torch.stack(means)


def _spread(seen: Mapping[Site, Seen]) -> Array:
    """Largest log(largest / smallest) of what Sinkhorn balances; NaN where it is not known."""
    import torch

    unknown = torch.full((), torch.nan, device=next(iter(seen.values())).mixing.device)
    ends = [None if s.logits is None else s.logits.float().aminmax(dim=-1) for s in seen.values()]
    return torch.stack([unknown if e is None else (e.max - e.min).amax() for e in ends])


def _off(seen: Mapping[Site, Seen]) -> Array:
    import torch

    like = next(iter(seen.values())).mixing
    none = torch.zeros((), device=like.device)
    return torch.stack([none if s.off is None else s.off.float() for s in seen.values()])


def _composite(h: Array) -> list[Array]:
    """The numbers of `COMPOSITE`, scalars."""
    wide = h if h.device.type == "mps" else h.double()  # Apple's GPUs have no float64
    product = wide[0]
    for site in wide[1:]:
        product = site @ product
    rows, columns = product.sum(-1), product.sum(-2)
    scale = product.abs().amax((-2, -1), keepdim=True)  # its square may leave the number range
    square = (product / scale).mT @ (product / scale)
    for _ in range(SQUARINGS):
        square = square / square.norm(dim=(-2, -1), keepdim=True)
        square = square @ square
    norms = (product @ square).norm(dim=(-2, -1)) / square.norm(dim=(-2, -1))
    return [
        *(rows.amin(), rows.amax(), columns.amin(), columns.amax()),
        product.abs().sum(-1).amax(),
        product.abs().sum(-2).amax(),
        norms.amax(),
        (product - 1 / h.shape[-1]).norm(dim=(-2, -1)).mean(),
    ]


def _named(sites: Sequence[Site], values: Sequence[float], d: int) -> Numbers:
    """Numbers by name; six digits, and None for what is not finite."""
    width = len(SITE) + 1
    rows = [values[k * width : (k + 1) * width] for k in range(len(sites))]
    together = {n: sum(row[k] for row in rows) / len(rows) for k, n in enumerate(SITE)}
    finite = [isfinite(row[SITE.index("identity_distance")]) for row in rows]
    product, band = values[len(rows) * width : -len(BAND)], values[-len(BAND) :]
    return Numbers(
        {
            site.name: _spell(dict(zip(SITE, row, strict=False)), is_finite)
            for site, row, is_finite in zip(sites, rows, finite, strict=True)
        },
        _spell(dict(zip(COMPOSITE, product, strict=True)), all(map(isfinite, product))),
        _digits({**dict(zip(TOGETHER, [*band, together["diagonal_fraction"]], strict=True))}),
        str(judge(together, d).item()) if all(finite) and d > 1 else None,
        {s.name: row[-1] for s, row in zip(sites, rows, strict=True)},
        all(finite) and all(map(isfinite, product)),
        d,
    )


def _spell(numbers: Mapping[str, float], finite: bool) -> dict[str, Any]:
    """Numbers of what may not be finite, which is then said: null alone is not known."""
    return {**({} if finite else {FINITE: False}), **_digits(numbers)}


def _digits(numbers: Mapping[str, float]) -> dict[str, Any]:
    """Six digits of each; JSON holds neither NaN nor infinity."""
    return {n: float(f"{v:.6g}") if isfinite(v) else None for n, v in numbers.items()}
