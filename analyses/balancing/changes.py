"""What the variants of Sinkhorn and the rounding of its numbers change in the matrices."""

from collections.abc import Iterator, Sequence

import numpy as np

from birkhoff_cli.analyses.balancing.stage import Stage, sum_error
from birkhoff_cli.analyses.balancing.tally import Key, Values
from birkhoff_cli.analyses.core.arrays import Array, lanes
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.geometry.dominant import second_modulus
from birkhoff_cli.analyses.geometry.rounding import FORMATS
from birkhoff_cli.analyses.geometry.spectral_norms import largest_singular_value

EPS = float(np.finfo(float).eps)


def measure_changes(stage: Stage) -> tuple[Values, Values]:
    """Variants and roundings against the matrices that are applied, and their composites."""
    treated = list(_treated(stage))
    maps = list({id(h): h for _, _, h in treated}.values())  # those that are one share an array
    second = second_modulus(stage.h)
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
    changes["lambda_2_change"] = np.abs(second_modulus(h) - second)
    return changes


def _of_products(maps: Sequence[Array], applied: Array) -> Iterator[dict[str, Array]]:
    """The same of the composites of all maps, ``(n, 1)``."""
    products = composite(np.stack([applied, *maps]))
    d = products.shape[-1]
    norms = largest_singular_value(np.ascontiguousarray(lanes(products, 2)).reshape(d, d, -1), EPS)
    norms = norms.reshape(len(products), -1, 1)
    for product, norm in zip(products[1:, :, None], norms[1:], strict=True):
        yield {**_changes(product, products[0, :, None]), "spectral_norm": norm}


def _changes(h: Array, applied: Array) -> dict[str, Array]:
    return {
        "entry_change": np.abs(h - applied).max((-2, -1)),
        "row_error": sum_error(h, -1),
        "column_error": sum_error(h, -2),
    }


def _treated(stage: Stage) -> Iterator[tuple[str, str, Array]]:
    method, logits = stage.method, stage.logits
    if method and logits is not None and (balancing := stage.balancing):
        theta = logits.reshape(*logits.shape[:-2], -1)
        known = {balancing.effective(theta): stage.h}
        for name, variant in balancing.variants.items():
            own = variant.balancing()
            settings = own.effective(theta) if own else variant
            if settings not in known:
                known[settings] = own.quick(theta) if own else variant(theta)
            yield "variant", name, known[settings]
        for name, store in FORMATS.items():
            rounded = store(logits).reshape(*logits.shape[:-2], -1)
            yield "rounding", f"{name} logits", balancing.quick(rounded)
    for name, store in FORMATS.items():
        yield "rounding", f"{name} matrix", store(stage.h)


def composite(h: Array) -> Array:
    """``(..., sites, d, d)`` to ``(..., d, d)``, the last site leftmost."""
    product = h[..., 0, :, :]
    with np.errstate(over="ignore", invalid="ignore"):
        for site in range(1, h.shape[-3]):
            product = h[..., site, :, :] @ product
    if not np.isfinite(product).all():
        raise BadInput(f"the product of {h.shape[-3]} sites exceeds the largest number; take fewer")
    return product
