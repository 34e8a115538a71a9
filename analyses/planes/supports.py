"""The exact supports of methods in the plane of a cycle, where they are known.

Two planes: the *projection* of all d x d matrices onto the plane of a d-cycle, and the *slice*,
the matrices that lie in the plane of a 3-cycle. A doubly stochastic matrix in the latter is a
circulant 3 x 3 block beside an identity; what holds for d = 3 then holds for d (MATH 4.4).

Source: MATH 3, 4. An average of two or more points of a connected plane set reaches the whole
convex hull (Fenchel; Bunt): hence averaged-go-mhc.
"""

from math import factorial
from typing import get_args

import numpy as np

from birkhoff_cli.analyses.core.parameterization import COLUMNS, ROWS, Parameterization
from birkhoff_cli.analyses.geometry.hypocycloids import Shape, Support
from birkhoff_cli.analyses.parameterizations.averaged_go_mhc import AveragedGoMHC
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.shc import SHC


def projection(method: Parameterization) -> Support | None:
    """Closure of the projections onto the plane of the d-cycle; None if not known."""
    method = single(method)
    d = method.d
    if isinstance(method, GoMHC):
        known = method.s == 1 or d in (3, 4)
        return Support("scallops", d, method.s, proven=method.s == 1) if known else None
    if isinstance(method, KromHC | KromGoMHC | KromSum):
        symmetric = max(_sides(method)) <= 2  # z is real
        return Support("segment", d) if symmetric else None
    shape = "polygon" if isinstance(method, BEHC) and _has_cycle(method) else _shape(method)
    return _support(shape, d)


def in_slice(method: Parameterization) -> Support | None:
    """Closure of the matrices in the plane of a 3-cycle; None if not known."""
    method = single(method)
    if isinstance(method, GoMHC):
        if method.s == 1 and method.field == "real":
            return Support("arcs", 3)
        return Support("scallops", 3, method.s, proven=method.s == 1)
    if isinstance(method, BEHC) and method.d == 3 and _has_cycle(method):
        return Support("polygon", 3)
    if method.d > 3 and isinstance(method, SHC):
        return None
    return _support(_shape(method), 3)


def is_local(method: Parameterization) -> bool:
    """Whether the matrices with a 3 x 3 block beside I are those of d = 3 beside I (or limits)."""
    if isinstance(method, MHC):  # what is added to entries keeps them from 0
        return _shape(method) is not None
    return isinstance(method, GoMHC | AveragedGoMHC | MHCLite | Identity)


def single(method: Parameterization) -> Parameterization:
    """The same set of matrices without Kronecker products or averages of only one."""
    if isinstance(method, KromSum) and (method.terms == 1 or _whole(method.term)):
        return single(method.term)
    if isinstance(method, KromHC | KromGoMHC) and _whole(method):
        return max(method.parts, key=lambda part: part.d)
    if isinstance(method, AveragedGoMHC) and method.s == 1:
        return method.term
    return method


def _shape(method: Parameterization) -> str | None:
    if isinstance(method, MHC):  # a doubly stochastic matrix is a fixed point of every sweep
        return "polygon" if {ROWS, COLUMNS} & method.exact else None
    if isinstance(method, BEHC):
        return "polygon" if method.d < 20 and method.parameters == factorial(method.d) else None
    if isinstance(method, AveragedGoMHC | MHCLite):
        return "polygon"
    return {Identity: "point", HC: "plane", SHC: "disk"}.get(type(method))


def _support(shape: str | None, d: int) -> Support | None:
    return next((Support(known, d) for known in get_args(Shape) if known == shape), None)


def _has_cycle(method: BEHC) -> bool:
    """Whether all powers of the d-cycle are among the permutations."""
    have = {tuple(p) for p in method.permutations.tolist()}
    shifts = (np.arange(method.d) + np.arange(method.d)[:, None]) % method.d
    return {tuple(p) for p in shifts.tolist()} <= have


def _whole(method: KromHC | KromGoMHC) -> bool:
    return method.d in _sides(method)


def _sides(method: KromHC | KromGoMHC | KromSum) -> list[int]:
    parts = method.term.parts if isinstance(method, KromSum) else method.parts
    return [part.d for part in parts]
