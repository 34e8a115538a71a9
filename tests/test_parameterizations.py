"""What every method promises, over the examples that its file gives."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.geometry.orthogonal import block_norms, cayley, skew
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.testing import methods as contracts
from birkhoff_cli.testing.methods import CONTRACTS, hold_claims
from conftest import ROOT

EXAMPLES = [
    example
    for name in parameterizations.names()
    for example in discover.member(parameterizations.__name__, name).EXAMPLES
]
every = pytest.mark.parametrize("method", EXAMPLES, ids=repr)
LIBRARIES = contracts.libraries()


@every
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
def test_it_keeps(contract, method):
    contract(method)


@every
@settings(max_examples=15, deadline=None)
@given(
    data=st.data(),
    spread=st.sampled_from([1.0, 30.0, 1e3]),
    library=st.sampled_from(list(LIBRARIES)),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_what_it_calls_exact_holds_to_rounding(method, data, spread, library, dtype):
    size = np.dtype(dtype).itemsize * 8
    entries = st.floats(-spread, spread, width=size)
    theta = data.draw(arrays(dtype, (2, method.parameters), elements=entries))
    h = method(LIBRARIES[library](theta))
    assert h.shape == (2, method.d, method.d)
    hold_claims(h, method.exact)


def test_numpy_parameters_never_import_torch():
    code = (
        "import sys, numpy as np\n"
        "from birkhoff_cli.analyses import parameterizations as p\n"
        "from birkhoff_cli.analyses.core import discover\n"
        "rng = np.random.default_rng(0)\n"
        "for name in p.names():\n"
        "    for e in discover.member(p.__name__, name).EXAMPLES:\n"
        "        e(e.initial())\n"
        "        [e.draw(2, rng, how) for how in e.distributions]\n"
        "assert not {'torch', 'array_api_compat', 'scipy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("d, s", [(2, 1), (3, 3), (4, 2), (12, 1)])
def test_a_go_mhc_matrix_does_not_depend_on_those_beside_it(field, d, s, rng):
    """Large parameters of one matrix send it alone to LAPACK.

    NumPy rounds a product of complex numbers by where it is in an array.
    """
    method = GoMHC(d, s=s, field=field)
    theta = rng.normal(size=(30, method.parameters))
    theta[7] *= 50
    h = method(theta)
    rounding = 0 if field == "real" else 1e-14
    alone = np.stack([method(each) for each in theta])
    np.testing.assert_allclose(alone, h, rtol=0, atol=rounding)
    in_rows = method(theta.reshape(5, 6, -1)).reshape(h.shape)
    np.testing.assert_allclose(in_rows, h, rtol=0, atol=rounding)
    exact = block_norms(cayley(skew(theta, d * s, field)), s)
    np.testing.assert_allclose(h, exact, rtol=0, atol=1e-13)
