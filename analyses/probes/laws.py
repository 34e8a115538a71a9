"""The exact law of a product of independent random matrices, where it is known.

If independent B_l have a law that no permutation of rows or of columns changes, then
``E ||B_L ... B_1 - J/d||_F^2 = (d - 1) c^L`` with ``c = d^2 Var / (d - 1)``, Var the variance of
an entry.

Source: MATH 7 for the variances, MATH 8 for the law.
"""

from fractions import Fraction
from math import factorial

from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite

UNIFORM = {2: Fraction(1, 12), 3: Fraction(2, 45), 4: Fraction(18, 605)}
"""Variance of an entry of a uniform point of the Birkhoff polytope, by d."""


def mean_square_factor(method: Parameterization, draws: Draws) -> float | None:
    """The factor c of one layer; None where no closed form is known."""
    d = method.d
    variance = _variance(method, draws.draw or method.default_draw)
    return None if variance is None or d < 2 else float(d * d * variance / (d - 1))


def _variance(method: Parameterization, how: str) -> Fraction | None:
    """Variance of an entry, where the law is invariant and the variance is known."""
    d = method.d
    if how == "polytope":
        return UNIFORM.get(d)
    if how == "dirichlet" and isinstance(method, MHCLite):
        return Fraction(d - 1, d * d * (factorial(d) + 1))
    if how == "haar" and isinstance(method, GoMHC):
        n = d * method.s
        if method.field == "real":
            return Fraction(2 * (d - 1) ** 2, d * d * (n - 1) * (n + 2)) if n > 1 else None
        return Fraction((d - 1) ** 2, d * d * (n * n - 1)) if n > 1 else None
    return None
