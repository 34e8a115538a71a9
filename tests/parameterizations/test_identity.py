import numpy as np
import pytest
import torch

from birkhoff_cli.analyses.parameterizations.identity import Identity


@pytest.mark.parametrize("d", [1, 2, 7])
def test_it_is_the_identity_in_any_batch_shape(d):
    assert (Identity(d)(np.zeros((3, 2, 0))) == np.eye(d)).all()
    assert (Identity(d)(torch.zeros(2, 0)).numpy() == np.eye(d)).all()


def test_only_the_pre_and_the_post_map_are_counted():
    assert Identity(4).count(64) == 2 * 4 * 4 * 64 + 2 * 4 + 2
    assert Identity(4).parameters == 0
    assert Identity(4).flops() == 0
