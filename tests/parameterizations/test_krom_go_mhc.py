from functools import reduce

import numpy as np
import pytest

from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("s, factors", [(1, (2, 3)), (2, (3, 2)), (2, ()), (3, (6,))])
def test_it_is_the_kronecker_product_of_go_mhc_matrices(field, s, factors, rng):
    method = KromGoMHC(6, s, factors, field)
    theta = rng.normal(size=method.parameters)
    parts, rest = [], theta
    for side in factors or (2, 3):
        part = GoMHC(side, s, field)
        parts.append(part(rest[: part.parameters]))
        rest = rest[part.parameters :]
    assert len(rest) == 0
    assert np.allclose(method(theta), reduce(np.kron, parts), rtol=0, atol=1e-14)


def test_published_counts():
    """go-mHC, section 4.2: (d C + 1) times the sum of s i (s i - 1) / 2."""
    method = KromGoMHC(6, s=2)
    assert method.parameters == 4 * 3 // 2 + 6 * 5 // 2
    assert method.count(64) == (6 * 64 + 1) * 21 + 2 * 36 * 64 + 12 + 3
    assert method.flops() == GoMHC(2).flops() + GoMHC(3).flops() + 36


def test_it_is_near_the_identity_at_the_start_and_not_stuck():
    h = KromGoMHC(4)(KromGoMHC(4).initial())
    assert np.abs(h - np.eye(4)).max() < 0.3
    assert (h.argmax(-1) == np.arange(4)).all()


@pytest.mark.parametrize(
    "options", [{"factors": (4,)}, {"s": 0}, {"field": "quaternion"}, {"factors": (-2, -3)}]
)
def test_refusals(options):
    with pytest.raises(UsageError, match="cannot be; expected"):
        KromGoMHC(6, **options)
