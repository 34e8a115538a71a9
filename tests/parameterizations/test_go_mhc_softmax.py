"""go-mhc-softmax is what the paper's notebook makes of its raw parameters, in its own words."""

import numpy as np
import pytest

from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.go_mhc_softmax import GoMHCSoftmax

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("d, s", [(3, 1), (4, 2), (2, 3)])
def test_it_is_the_notebook_s_formula(d, s, rng):
    raw = torch.tensor(rng.normal(size=(5, d * s, d * s)) * 3)
    soft = torch.softmax(raw, dim=-1)
    skew = soft - soft.mT
    eye = torch.eye(d * s, dtype=raw.dtype)
    q = torch.linalg.solve(eye - skew, eye + skew)
    blocks = q.reshape(5, d, s, d, s).permute(0, 1, 3, 2, 4)
    expected = blocks.square().sum((-1, -2)) / s
    found = GoMHCSoftmax(d, s=s)(raw.flatten(1).numpy())
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-14)


def test_its_matrices_are_those_of_go_mhc(rng):
    theta = rng.normal(size=(4, 36)) * 5
    soft = torch.softmax(torch.tensor(theta).reshape(4, 6, 6), -1).numpy()
    row, column = np.tril_indices(6, -1)
    own = soft[:, column, row] - soft[:, row, column]
    assert np.abs(own).max() < 1
    np.testing.assert_array_equal(GoMHCSoftmax(3, s=2)(theta).round(14), GoMHC(3)(own).round(14))
