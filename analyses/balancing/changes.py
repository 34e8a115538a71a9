"""What the variants of Sinkhorn and the rounding of its numbers change in the matrices."""

from collections.abc import Iterator

import numpy as np

from birkhoff_cli.analyses.balancing.stage import Stage, sum_error
from birkhoff_cli.analyses.balancing.tally import Key, Values
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.geometry.dominant import second_modulus
from birkhoff_cli.analyses.geometry.rounding import FORMATS


def measure_changes(stage: Stage) -> tuple[Values, Values]:
    """Variants and roundings against the matrices that are applied, and their composites."""
    product, second = composite(stage.h), second_modulus(stage.h)
    sites: Values = {}
    products: Values = {}
    measured: list[tuple[Array, _Changes]] = []
    for part, name, h in _treated(stage):
        changes = next((changes for other, changes in measured if other is h), None)
        if changes is None:  # maps that are one on these logits share an array
            changes = _changes(h, stage.h, product, second)
            measured.append((h, changes))
        for store, numbers in zip((sites, products), changes, strict=True):
            store |= {Key(part, name, None, metric): v for metric, v in numbers.items()}
    return sites, products


_Changes = tuple[dict[str, Array], dict[str, Array]]
"""Of the sites, ``(n, sites)``, and of the composite, ``(n, 1)``, by metric."""


def _changes(h: Array, applied: Array, product: Array, second: Array) -> _Changes:
    whole = composite(h)[:, None]
    sites, products = (
        {
            "entry_change": np.abs(new - old).max((-2, -1)),
            "row_error": sum_error(new, -1),
            "column_error": sum_error(new, -2),
        }
        for new, old in ((h, applied), (whole, product[:, None]))
    )
    sites["lambda_2_change"] = np.abs(second_modulus(h) - second)
    products["spectral_norm"] = np.linalg.norm(whole, 2, axis=(-2, -1))
    return sites, products


def _treated(stage: Stage) -> Iterator[tuple[str, str, Array]]:
    method, logits = stage.method, stage.logits
    if method and logits is not None and (balancing := stage.balancing):
        theta = logits.reshape(*logits.shape[:-2], -1)
        known = {balancing.effective(theta): stage.h}
        for name, variant in balancing.variants.items():
            own = variant.balancing()
            settings = own.effective(theta) if own else variant
            if settings not in known:
                known[settings] = variant(theta)
            yield "variant", name, known[settings]
        for name, store in FORMATS.items():
            yield "rounding", f"{name} logits", _applied(method, store(logits))
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
