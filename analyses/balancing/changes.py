"""What the variants of Sinkhorn and the rounding of its numbers change in the matrices."""

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.balancing.stage import Stage, parameters
from birkhoff_cli.analyses.balancing.tally import Key, Values
from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.geometry.dominant import second_modulus
from birkhoff_cli.analyses.geometry.lanes import matmul
from birkhoff_cli.analyses.geometry.rounding import FORMATS, stored
from birkhoff_cli.analyses.geometry.spectral_norms import dominant_singular_value

Name: TypeAlias = tuple[str, str]
"""Part of the table, and which variant or rounding."""


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
    names: dict[Name, Hashable] = {}
    maps: dict[Hashable, Callable[[], Array]] = {}
    for name, settings, make in _treated(stage):
        names[name] = settings
        maps.setdefault(settings, make)
    second, product = _second(stage.h), _composite(stage.h)
    of_sites, products = [], [product]
    for make in maps.values():  # one after the other: all of them would not fit a cache
        h = make()
        of_sites.append(_of_sites(h, stage.h, second))
        products.append(product if h is stage.h else _composite(h))
    of_products = _of_products(np.stack(products, 2))
    sites, whole = (
        _by_key(names, dict(zip(maps, of, strict=True))) for of in (of_sites, of_products)
    )
    return sites, whole


def _by_key(names: dict[Name, Hashable], numbers: dict[Hashable, dict[str, Array]]) -> Values:
    """Numbers of every variant and rounding, of numbers by map and metric."""
    return {
        Key(*name, None, metric): values
        for name, settings in names.items()
        for metric, values in numbers[settings].items()
    }


def _treated(stage: Stage) -> Iterator[tuple[Name, Hashable, Callable[[], Array]]]:
    """Variants and roundings: with equal settings they are one map; and what makes its lanes."""
    logits, balancing = stage.logits, stage.balancing
    if balancing and logits is not None:
        theta = parameters(logits)
        applied = balancing.effective(theta)
        for name, variant in balancing.variants.items():
            own = variant.balancing()
            settings = own.effective(theta) if own else variant
            balance = own.quick if own else variant
            known = settings == applied
            make = partial(_applied, stage) if known else partial(_balanced, balance, logits)
            yield ("variant", name), settings, make
        for name in FORMATS:
            key = "rounding", f"{name} logits"
            yield key, key, partial(_of_rounded, balancing.quick, logits, name)
    for name in FORMATS:
        key = "rounding", f"{name} matrix"
        yield key, key, partial(stored, stage.h, name, (0, 1))


def _applied(stage: Stage) -> Array:
    return stage.h


def _balanced(balance: Callable[[Array], Array], logits: Array) -> Array:
    return lanes(balance(parameters(logits)), 2).reshape(logits.shape)


def _of_rounded(balance: Callable[[Array], Array], logits: Array, format: str) -> Array:
    return _balanced(balance, stored(logits, format, (0, 1)))


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


def _of_products(products: Array) -> list[dict[str, Array]]:
    """The same of the composites of all maps ``(d, d, maps, n)``, the first applied: ``(n, 1)``."""
    d = len(products)
    norms = dominant_singular_value(products.reshape(d, d, -1)).reshape(products.shape[2:])
    changes = _changes(products, products[:, :, :1]) | {"spectral_norm": norms}
    return [
        {metric: values[k, :, None] for metric, values in changes.items()}
        for k in range(1, products.shape[2])
    ]


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


def _composite(h: Array) -> Array:
    """Product ``(d, d, n)`` over the sites of lanes ``(d, d, sites, n)``, the last leftmost."""
    product = h[:, :, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        for site in range(1, h.shape[2]):
            product = matmul(h[:, :, site], product)
    _refuse_infinite(product, h.shape[2])
    return product


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
