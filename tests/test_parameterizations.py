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
