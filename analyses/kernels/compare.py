"""Two dumps side by side, and a backward pass beside the exact derivative."""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.kernels.arithmetic import ULP, format_of, unit_of
from birkhoff_cli.analyses.kernels.gradient import pull_back
from birkhoff_cli.analyses.kernels.naming import AS_IS, LOGITS, RESULT
from birkhoff_cli.analyses.kernels.search import Fit

SLACK = 8.0
"""Times the rounding of the iteration, or units of the last place, within which dumps are equal."""


GRADIENTS = (
    quantity("gradient_within_rounding", "whether the gradient is an exact derivative"),
    quantity(
        "gradient_error_max",
        "largest |difference| from that derivative",
        range=AT_LEAST_0,
        good="near 0",
    ),
    quantity(
        "gradient_row_maximum",
        "whether the row maximum is differentiated or held constant; cancels where both agree",
    ),
)
"""What `compare_gradients` gives."""


def compare_stacks(a: Array, b: Array, tolerance: float) -> dict[str, Any]:
    """Hold two stacks ``(batch, n, n)`` against each other and against the transpose.

    Differences are counted in units of the coarser of both formats.
    """
    form = max((format_of(a), format_of(b)), key=lambda name: ULP[name])
    x, y = a.astype(float), b.astype(float)
    choices = {AS_IS: y, RESULT: y.swapaxes(1, 2)}
    off = {name: np.abs(x - other) for name, other in choices.items()}
    orientation = min(off, key=lambda name: float(np.nanmean(off[name])))
    other, error = choices[orientation], off[orientation]
    error[(x == other) | (np.isnan(x) & np.isnan(other))] = 0
    error[np.isnan(error)] = np.inf
    unit = unit_of(other, form)
    close = (error <= np.maximum(SLACK * unit, tolerance)).all((1, 2))
    return {
        "verdict": "match" if close.all() else "no_match",
        "threshold": SLACK,
        "match": None,
        "orientation": orientation,
        "dtype": form,
        "samples": len(a),
        "d": a.shape[-1],
        "error_max": float(error.max()),
        "error_ulp_max": float((error / unit).max()),
        "within_rounding": bool(close.all()),
        "matching": float(close.mean()),
    }


def compare_gradients(
    logits: Array, cotangent: Array, gradient: Array, fit: Fit, orientation: str
) -> dict[str, Any]:
    """Hold a gradient in the logits against the exact derivative of a recipe.

    Args:
        logits: ``(batch, n, n)``.
        cotangent: gradient in the matrices as the kernel gives them.
        gradient: gradient in the logits as the kernel gives it.
        fit: the recipe.
        orientation: of logits and results.
    """
    finite = np.isfinite(logits).all((1, 2)) & np.isfinite(cotangent).all((1, 2))
    z, up, down = logits[finite], cotangent[finite], gradient[finite]
    exact = {
        name: _pulled(z.astype(float), up.astype(float), fit, orientation, name == "constant")
        for name in ("differentiated", "constant")
    }
    narrow_z, narrow_up = z.astype(np.float32), up.astype(np.float32)
    single = _pulled(narrow_z, narrow_up, fit, orientation, False)
    scale = np.abs(exact["differentiated"]).max((1, 2), keepdims=True)
    noise = np.abs(single - exact["differentiated"]) / np.where(scale > 0, scale, 1)
    unit = ULP[max((format_of(down), format_of(up)), key=lambda name: ULP[name])]
    allowed = (SLACK * (noise.max((1, 2), keepdims=True) + unit)) * scale
    errors = {name: np.abs(down - value) for name, value in exact.items()}
    right = {name: bool((error <= allowed).all()) for name, error in errors.items()}
    best = min(errors, key=lambda name: float(errors[name].max(initial=0)))
    alike = bool((np.abs(exact["differentiated"] - exact["constant"]) <= allowed).all())
    return {
        "gradient_within_rounding": any(right.values()),
        "gradient_error_max": float(errors[best].max(initial=0)),
        "gradient_row_maximum": "cancels" if alike else best if right[best] else None,
    }


def _pulled(z: Array, up: Array, fit: Fit, orientation: str, constant: bool) -> Array:
    """The gradient in the logits as they lie in the dump.

    Transposed logits are the transposed result of the kernel that begins with the other side,
    which is how the recipe of a dump is written: only the result is turned.
    """
    own = up.swapaxes(1, 2) if orientation in (RESULT, LOGITS) else up
    return pull_back(z, own, fit.recipe, constant)
