"""Shapes that signatures state: jaxtyping reads them, and beartype holds calls to them."""

import inspect
import types
from importlib import import_module
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest
import torch

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.array_trace import array_trace
from birkhoff_cli.analyses.core.facts import Facts
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.geometry import (
    decomposition,
    distances,
    eigenvalues,
    orthogonal,
    polytope,
    projection,
)
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.recording.recorder import Recorder

beartype = pytest.importorskip("beartype", reason="pip install -e '.[dev]'")
jaxtyping = pytest.importorskip("jaxtyping", reason="pip install -e '.[dev]'")

Refused = jaxtyping.TypeCheckError


def read(hint):
    """A hint with its shapes as jaxtyping's types; None where it has none."""
    if get_origin(hint) is Annotated:
        array, shape = get_args(hint)[:2]
        return jaxtyping.Shaped[np.ndarray | torch.Tensor, shape] if array is Any else None
    parts = [read(part) for part in get_args(hint)]
    if not any(parts):
        return None
    if get_origin(hint) is tuple:
        return tuple[tuple(parts)]
    return next(filter(None, parts)) | None


def shapes(function):
    """Those of a function by the names of its arguments; names in quotes are of classes."""
    hints = function.__annotations__.items()
    return {name: shape for name, hint in hints if (shape := read(hint)) is not None}


def held(function, of=None):
    """A function that refuses arrays of other shapes than it states, or than ``of`` states."""
    same = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    same.__kwdefaults__ = function.__kwdefaults__
    same.__annotations__ = shapes(of or function)
    return jaxtyping.jaxtyped(same, typechecker=beartype.beartype)


def rng():
    return np.random.default_rng(0)


H = polytope.uniform(4, 3, rng())
THETA = rng().standard_normal((2, 5, 15))
WEIGHTS, PERMS = decomposition.decompose(H)
SKEW = orthogonal.skew(THETA, 6)
R = distances.rotations(H)
CALLS = [
    (decomposition.decompose, (H,)),
    (decomposition.rebuild, (WEIGHTS, PERMS)),
    (projection.nearest_permutation, (H,)),
    (projection.nearest_doubly_stochastic, (H,)),
    (projection.only_doubly_stochastic, (H,)),
    (projection.nearest_mixture, (H, np.eye(9)[:, :4])),
    (eigenvalues.eigenvalues, (H,)),
    (eigenvalues.eigenvalues, (H[:, None],)),
    (eigenvalues.eigenvalue_parts, (H[0],)),
    (polytope.uniform, (4, 3, rng())),
    (polytope.dirichlet, (4, 3, rng())),
    (polytope.sinkhorn_uniform, (4, 3, rng())),
    (orthogonal.skew, (THETA, 6)),
    (orthogonal.skew, (torch.from_numpy(THETA), 6)),
    (orthogonal.cayley, (SKEW,)),
    (orthogonal.orthostochastic, (THETA, 3, 2)),
    (orthogonal.orthostochastic, (torch.from_numpy(THETA), 3, 2)),
    (orthogonal.block_norms, (orthogonal.cayley(SKEW), 2)),
    (orthogonal.haar, (4, 3, rng())),
    (distances.frobenius, (H, H[:1])),
    (distances.spectral, (H, H)),
    (distances.divergence, (H, H)),
    (distances.spectral_wasserstein, (H, H)),
    (distances.rotations, (H,)),
    (distances.geodesic, (R, R)),
    (array_trace, (H,)),
    (Parameterization.theta, (GoMHC(3), 4, rng(), "uniform")),
    (Parameterization.draw, (GoMHC(3), 4, rng())),
    (Parameterization.draw, (GoMHC(3), 4)),
    (Recorder.add, (Recorder(), 0, "attn", H)),
]
ABSTRACT = {
    Facts.__call__,
    Facts.mix,
    Facts.eigenvalues,
    Facts.nearest,
    Facts.transpose_parameters,
    Parameterization.initial,
}
"""What members write out; held to for each of them below."""

MODULES = (
    *(
        f"birkhoff_cli.analyses.geometry.{m.__name__.rpartition('.')[2]}"
        for m in (decomposition, distances, eigenvalues, orthogonal, polytope, projection)
    ),
    "birkhoff_cli.analyses.core.array_trace",
    "birkhoff_cli.analyses.core.facts",
    "birkhoff_cli.analyses.core.parameterization",
    "birkhoff_cli.recording.recorder",
)


def stating():
    """Every function of these modules that states a shape."""
    for name in MODULES:
        module = import_module(name)
        owners = [module, *(c for c in vars(module).values() if inspect.isclass(c))]
        for owner in (o for o in owners if getattr(o, "__module__", name) == name):
            for function in vars(owner).values():
                if (
                    inspect.isfunction(function)
                    and function.__module__ == name
                    and shapes(function)
                ):
                    yield function


def test_every_function_that_states_a_shape_is_held_to_it():
    assert {*stating()} == {function for function, _ in CALLS} | ABSTRACT


@pytest.mark.parametrize("function, args", CALLS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_call_keeps_the_shapes_that_it_states(function, args):
    held(function)(*args)


@pytest.mark.parametrize(
    "function, args",
    [
        (decomposition.decompose, (H[:, :2],)),
        (decomposition.rebuild, (WEIGHTS[:2], PERMS)),
        (eigenvalues.eigenvalues, (H[..., :2],)),
        (orthogonal.cayley, (SKEW[..., 0],)),
        (distances.frobenius, (H, H[:, :2, :2])),
        (array_trace, (H[..., :2],)),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_other_shapes_are_refused_before_anything_is_computed(function, args):
    with pytest.raises(Refused):
        held(function)(*args)


def test_a_function_that_gives_another_shape_than_it_states_is_found():
    def transposed(x: "Annotated[Any, 'n k']") -> "Annotated[Any, 'n k']":
        return x.T

    transposed.__annotations__ = dict.fromkeys(("x", "return"), Annotated[Any, "n k"])
    held(transposed)(np.zeros((3, 3)))
    with pytest.raises(Refused):
        held(transposed)(np.zeros((3, 2)))


@pytest.mark.parametrize("name", parameterizations.names())
def test_members_keep_the_shapes_of_a_parameterization(name):
    for member in import_module(parameterizations.load(name).__module__).EXAMPLES:
        cls, d, p = type(member), member.d, member.parameters
        theta = member.theta(6, rng(), "gaussian").reshape(2, 3, p)
        calls = {
            "__call__": (Facts.__call__, (theta,), (2, 3, d, d)),
            "eigenvalues": (Facts.eigenvalues, (theta,), (2, 3, d)),
            "transpose_parameters": (Facts.transpose_parameters, (theta,), (2, 3, p)),
            "mix": (Facts.mix, (theta[0, 0], np.zeros((d, 7))), (d, 7)),
            "initial": (Parameterization.initial, (), (p,)),
        }
        for attribute, (stated, args, shape) in calls.items():
            given = held(getattr(cls, attribute), of=stated)(member, *args)
            assert given is None or given.shape == shape, attribute


def test_no_command_imports_jaxtyping():
    import subprocess
    import sys

    from conftest import ROOT

    code = (
        "import sys; sys.argv = 'birkhoff spectrum --method go-mhc -n 3 -q'.split()\n"
        "from birkhoff_cli.app import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "assert not {'jaxtyping', 'beartype'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
