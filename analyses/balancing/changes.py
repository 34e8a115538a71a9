"""What the variants of Sinkhorn and the rounding of its numbers change in the matrices."""

from collections.abc import Iterator, Sequence

import numpy as np

from birkhoff_cli.analyses.balancing.stage import Stage, parameters
from birkhoff_cli.analyses.balancing.tally import Key, Values
from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.geometry.dominant import second_modulus
from birkhoff_cli.analyses.geometry.lanes import matmul
from birkhoff_cli.analyses.geometry.rounding import FORMATS, stored
from birkhoff_cli.analyses.geometry.spectral_norms import dominant_singular_value


def measure_changes(stage: Stage) -> tuple[Values, Values]:
    """Variants and roundings against the matrices that are applied, and their composites."""
    parts = [_measure(part) for part in stage.parts()]
    if len(parts) == 1:
        return parts[0]
    sites, products = (
        {key: np.concatenate([part.pop(key).T for part in of_parts], 1).T for key in [*of_parts[0]]}
        for of_parts in zip(*parts, strict=True)
    )
    return sites, products


def _measure(stage: Stage) -> tuple[Values, Values]:
    """The same of so few samples that they stay in cache."""
    treated = list(_treated(stage))
    maps = list({id(h): h for _, _, h in treated}.values())  # those that are one share an array
    second = _second(stage.h)
    of_sites = {id(h): _of_sites(h, stage.h, second) for h in maps}
    of_products = dict(zip(map(id, maps), _of_products(maps, stage.h), strict=True))
    sites, products = (
        {
            Key(part, name, None, metric): values
            for part, name, h in treated
            for metric, values in numbers[id(h)].items()
        }
        for numbers in (of_sites, of_products)
    )
    return sites, products


def _of_sites(h: Array, applied: Array, second: Array) -> dict[str, Array]:
    """Numbers of every site, ``(n, sites)``, by metric."""
    changes = _changes(h, applied)
    own = second if h is applied else _second(h)
    changes["lambda_2_change"] = np.abs(own - second)
    return {metric: values.T for metric, values in changes.items()}


def _second(h: Array) -> Array:
    """Second moduli ``(sites, n)`` of lanes."""
    d = len(h)
    return second_modulus(batch_first(h.reshape(d, d, -1), 2)).reshape(h.shape[2:])


def _of_products(maps: Sequence[Array], applied: Array) -> Iterator[dict[str, Array]]:
    """The same of the composites of all maps, ``(n, 1)``."""
    every = {id(h): h for h in (applied, *maps)}
    products = _composites(list(every.values()))
    d = len(products)
    norms = dominant_singular_value(products.reshape(d, d, -1)).reshape(products.shape[2:])
    numbers = {key: k for k, key in enumerate(every)}
    for k in (numbers[id(h)] for h in maps):
        changes = _changes(products[:, :, k], products[:, :, 0])
        changes["spectral_norm"] = norms[k]
        yield {metric: values[:, None] for metric, values in changes.items()}


def _changes(h: Array, applied: Array) -> dict[str, Array]:
    """Of lanes ``(d, d, ...)``."""
    apart = h - applied
    return {
        "entry_change": np.abs(apart, out=apart).max((0, 1)),
        "row_error": _sum_error(h, 1),
        "column_error": _sum_error(h, 0),
    }


def _sum_error(h: Array, axis: int) -> Array:
    off = h.sum(axis)
    off -= 1
    largest: Array = np.abs(off, out=off).max(0)
    return largest


def _treated(stage: Stage) -> Iterator[tuple[str, str, Array]]:
    method, logits, shape = stage.method, stage.logits, stage.h.shape

    def as_lanes(h: Array) -> Array:
        return lanes(h, 2).reshape(shape)

    if method and logits is not None and (balancing := stage.balancing):
        theta = parameters(logits)
        known = {balancing.effective(theta): stage.h}
        for name, variant in balancing.variants.items():
            own = variant.balancing()
            settings = own.effective(theta) if own else variant
            if settings not in known:
                known[settings] = as_lanes(own.quick(theta) if own else variant(theta))
            yield "variant", name, known[settings]
        for name in FORMATS:
            rounded = stored(logits, name, (0, 1))
            yield "rounding", f"{name} logits", as_lanes(balancing.quick(parameters(rounded)))
    for name in FORMATS:
        yield "rounding", f"{name} matrix", stored(stage.h, name, (0, 1))


def _composites(maps: Sequence[Array]) -> Array:
    """Products over the sites of lanes ``(d, d, sites, n)``, the last leftmost.

    Returns:
        ``(d, d, len(maps), n)``.
    """
    sites, n = maps[0].shape[2:]
    product = np.stack([h[:, :, 0] for h in maps], 2)
    flat = product.reshape(*product.shape[:2], -1)
    with np.errstate(over="ignore", invalid="ignore"):
        for site in range(1, sites):
            factor = np.stack([h[:, :, site] for h in maps], 2)
            flat = matmul(factor.reshape(flat.shape), flat)
    _refuse_infinite(flat, sites)
    return flat.reshape(product.shape)


def composite(h: Array) -> Array:
    """``(..., sites, d, d)`` to ``(..., d, d)``, the last site leftmost."""
    product = h[..., 0, :, :]
    with np.errstate(over="ignore", invalid="ignore"):
        for site in range(1, h.shape[-3]):
            product = h[..., site, :, :] @ product
    _refuse_infinite(product, h.shape[-3])
    return product


def _refuse_infinite(product: Array, sites: int) -> None:
    if not np.isfinite(product).all():
        raise BadInput(f"the product of {sites} sites exceeds the largest number; take fewer")
