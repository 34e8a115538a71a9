"""Matrices without streams: the parameters of H, and no branch that reads or writes."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection, Gate


def connection(theta: Array, map_: Parameterization) -> Connection:
    """One matrix: ``x_out = H x_in``, and no branch that reads or writes."""
    none = Gate(np.zeros(map_.d, theta.dtype))
    return Connection(map_, map_.d, 0, Gate(theta), none, none)
