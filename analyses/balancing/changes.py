"""What the variants of Sinkhorn and the rounding of its numbers change in the matrices."""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.balancing.stage import Stage, sum_error
from birkhoff_cli.analyses.balancing.tally import Key, Values
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalues
from birkhoff_cli.analyses.geometry.rounding import FORMATS


def measure_changes(stage: Stage) -> tuple[Values, Values]:
    """Variants and roundings against the matrices that are applied, and their composites."""
    product, second = composite(stage.h), _second(stage.h)
    sites: Values = {}
    products: Values = {}
    for part, name, h in _treated(stage):
        whole = composite(h)[:, None]
        for store, new, old in ((sites, h, stage.h), (products, whole, product[:, None])):
            store[Key(part, name, None, "entry_change")] = np.abs(new - old).max((-2, -1))
            store[Key(part, name, None, "row_error")] = sum_error(new, -1)
            store[Key(part, name, None, "column_error")] = sum_error(new, -2)
        sites[Key(part, name, None, "lambda_2_change")] = np.abs(_second(h) - second)
        norm = np.linalg.norm(whole, 2, axis=(-2, -1))
        products[Key(part, name, None, "spectral_norm")] = norm
    return sites, products


def _treated(stage: Stage) -> Iterator[tuple[str, str, Array]]:
    if stage.method and stage.logits is not None and (balancing := stage.balancing):
        for variant, method in balancing.variants.items():
            yield "variant", variant, _applied(method, stage.logits)
        for name, store in FORMATS.items():
            yield "rounding", f"{name} logits", _applied(stage.method, store(stage.logits))
    for name, store in FORMATS.items():
        yield "rounding", f"{name} matrix", store(stage.h)


def _applied(method: Parameterization, logits: Array) -> Array:
    h: Array = method(logits.reshape(*logits.shape[:-2], -1))
    return h


def composite(h: Array) -> Array:
    """``(n, sites, d, d)`` to ``(n, d, d)``, the last site leftmost."""
    product = h[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        for site in range(1, h.shape[1]):
            product = h[:, site] @ product
    if not np.isfinite(product).all():
        raise BadInput(f"the product of {h.shape[1]} sites exceeds the largest number; take fewer")
    return product


def _second(h: Array) -> Array:
    """Second largest modulus of an eigenvalue; none for d = 1."""
    if h.shape[-1] == 1:
        return np.full(h.shape[:-2], np.nan)
    return np.sort(np.abs(eigenvalues(h)), axis=-1)[..., -2]
