"""What it costs that one of two models is stored in a narrower number format than the other.

The format is told by the numbers, not by the file: values that were rounded to bf16 are often kept
as float32.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.analyses.kernels.arithmetic import ULP, format_of, round_to
from birkhoff_cli.analyses.kernels.ports import first_samples

FILLED = 0.1
"""Share of numbers that need the last digit of a format before they count as rounded to it."""

MARGIN = 2.0
"""Times the difference that rounding makes: the narrow side may have been rounded otherwise."""


def storage_rounding(a: MixingTrace, b: MixingTrace) -> Array:
    """Largest difference at every site that the narrower format explains, ``(sites,)``.

    Of two checkpoints of the same map the logits are rounded: what that changes is measured. Of
    matrices it is a unit of the last place.
    """
    sites = len(a.sites)
    if a.theta is not None and b.theta is not None and a.map is not None and a.map == b.map:
        forms = [_stored(np.asarray(trace.theta)) for trace in (a, b)]
        if forms[0] == forms[1]:
            return np.zeros(sites)
        fine, form = min(
            ((b, forms[0]), (a, forms[1])), key=lambda pair: -ULP[pair[1]]
        )  # the other side of the coarser format
        theta = np.asarray(fine.theta)
        near = round_to(theta.astype(np.float32), form).astype(theta.dtype)
        exact, rounded = (np.asarray(a.map(x), float) for x in (theta, near))
        return MARGIN * np.abs(exact - rounded).max((0, 2, 3))
    forms = [_stored(first_samples(trace)) for trace in (a, b)]
    unit = max(ULP[form] for form in forms)
    return np.full(sites, unit if unit > ULP["float32"] else 0.0)


def _stored(values: Array) -> str:
    """The format of values; float32 if they are no more than simple numbers such as 0 and 1."""
    form = format_of(values)
    if form not in ("bf16", "fp16"):
        return form
    unit = ULP[form]
    mantissa = np.frexp(values[values != 0])[0] * 2
    odd = np.round(mantissa / unit) % 2
    return form if odd.size and odd.mean() >= FILLED else "float32"
