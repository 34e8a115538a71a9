"""The exact law of a product of independent random matrices, where it is known.

If independent B_l have a law that no permutation of rows or of columns changes, then
``E ||B_L ... B_1 - J/d||_F^2 = (d - 1) c^L`` with ``c = d^2 Var / (d - 1)``, Var the variance of
an entry.

Source: docs/mathematics.md 8.
"""

from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws


def mean_square_factor(method: Parameterization, draws: Draws) -> float | None:
    """The factor c of one layer; None where no closed form is known."""
    d = method.d
    variance = method.entry_variance(draws.draw or method.default_draw)
    return None if variance is None or d < 2 else float(d * d * variance / (d - 1))
