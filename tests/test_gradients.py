"""Jacobians: against autograd one by one, closed forms, and ranks that are proven or known."""

import json
from dataclasses import dataclass, replace
from itertools import permutations
from math import factorial

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from birkhoff_cli.analyses import gradients, parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.fitting.crosstalk import crosstalk
from birkhoff_cli.analyses.fitting.jacobian import jacobian
from birkhoff_cli.analyses.geometry.permutations import all_permutations
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_linear import MHCLinear
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.shc import SHC

EXAMPLES = [
    example
    for name in parameterizations.names()
    for example in discover.member(parameterizations.__name__, name).EXAMPLES
]


def run(*methods, dtype="float64", samples=4, **more):
    draws = Draws(samples=samples, dtype=dtype)
    return gradients.run(methods, draws=draws, **more)


def path_of(result):
    rows = [row for row in result.table.to_pylist() if row["kind"] == "path"]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("method", EXAMPLES, ids=repr)
def test_the_jacobian_is_that_of_every_matrix_alone(method):
    rng = np.random.default_rng(0)
    theta = method.initial() + rng.normal(size=(3, method.parameters))
    steps = jacobian(method, theta, "float64")
    with pytest.raises(StopIteration) as end:
        for _ in range(method.d**2 + 1):
            next(steps)
    h, slope = end.value.value
    assert slope.shape == (3, method.d**2, method.parameters)
    assert np.allclose(h, method(theta), rtol=0, atol=1e-12)
    for k in range(3):
        alone = torch.autograd.functional.jacobian(method, torch.asarray(theta[k]))
        assert np.allclose(slope[k], alone.reshape(method.d**2, -1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_dimension_of_the_image(d):
    """docs/mathematics.md 5.1 for go-mHC; every doubly stochastic matrix for mHC-lite; one per
    factor.
    """
    full, skew = (d - 1) ** 2, d * (d - 1) // 2
    expected = {
        GoMHC(d, s=1): skew,
        GoMHC(d, s=2): full,
        GoMHC(d, s=1, field="complex"): full,
        MHCLite(d): full,
        SHC(d): full,
        Identity(d): 0,
    }
    found = run(*expected, points=5).summary["methods"]
    assert [row["dimension"] for row in found] == list(expected.values())
    assert all(row["polytope"] == full for row in found)


def test_kromhc_has_one_dimension_for_each_factor_of_two():
    found = run(KromHC(4), KromHC(8), KromHC(6), points=5).summary["methods"]
    assert [row["dimension"] for row in found] == [2, 3, 1 + 4]


@pytest.mark.parametrize("s", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_go_mhc_has_rank_0_at_a_zero_skew_matrix_and_not_at_its_start(s, dtype):
    (row,) = run(GoMHC(4, s=s), dtype=dtype, points=3).summary["methods"]
    assert row["zero_rank"] == 0
    assert row["start_rank"] == (6 if s == 1 else 9)


def test_mhc_with_a_small_temperature_starts_with_no_gradient_at_all():
    both = MHC(variant="tokenbender"), MHC(tau=0.05)
    for row in run(*both, dtype="float32").summary["methods"]:
        assert row["start_norm"] == 0.0 and row["start_rank"] == 0 and row["vanishes_from"] < 1
    (row,) = run(MHC(), dtype="float32").summary["methods"]
    assert row["start_norm"] > 1e-4 and row["vanishes_from"] > 1
    for row in run(*both, dtype="float64").summary["methods"]:
        assert 0 < row["start_norm"] < 1e-60 and row["start_rank"] == 0, "exp(-160)"


def test_without_an_exponential_the_same_start_has_a_gradient():
    """B.9: |W| instead of exp; where W = 0 there is no derivative, and no rank."""
    logarithmic, linear = run(MHC(), MHCLinear(), points=3).summary["methods"]
    assert linear["start_distance"] == pytest.approx(logarithmic["start_distance"], rel=1e-4)
    assert linear["start_norm"] > 1000 * logarithmic["start_norm"]
    assert linear["zero_rank"] is None
    rows = run(MHCLinear(), points=3).table.to_pylist()
    assert rows[0]["scale"] == 0 and rows[0]["rank"] is rows[0]["norm"] is None


def test_shc_starts_where_its_rotations_have_less_effect():
    """U and V turned alike leave sigma U V^T as it is: half of the angles are lost."""
    for d in (3, 4, 5):
        (row,) = run(SHC(d), points=3).summary["methods"]
        assert row["start_rank"] == d * (d - 1) // 2 and row["zero_rank"] == d - 1


@pytest.mark.parametrize("d", [3, 4])
def test_the_norm_of_mhc_lite_in_closed_form(d):
    """dH/dz_k = a_k (P_k - H)."""
    path = path_of(run(MHCLite(d)))
    vertices = np.eye(d)[list(permutations(range(d)))]
    for scale, norm in zip(path["scale"], path["norm"], strict=True):
        weights = np.exp(scale * MHCLite(d).initial())
        weights /= weights.sum()
        h = np.tensordot(weights, vertices, 1)
        columns = weights * np.linalg.norm(vertices - h, axis=(1, 2))
        assert norm == pytest.approx(np.linalg.norm(columns), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    "method, slope",
    [(MHC(), 1), (MHCLite(), 1), (KromHC(), 1), (GoMHC(s=1), 0.5), (GoMHC(s=2), 0.5), (SHC(), 0)],
)
def test_gradients_fade_with_the_distance_to_the_vertex_or_with_its_root(method, slope):
    path = path_of(run(method, span=1e4, points=101))
    near = (path["vertex_distance"] < 1e-3) & (path["vertex_distance"] > 1e-7)
    near &= path["scale"] <= 1 if slope == 0.5 else path["scale"] >= 1
    assert near.sum() >= 2
    fit = np.polyfit(np.log(path["vertex_distance"][near]), np.log(path["norm"][near]), 1)
    assert fit[0] == pytest.approx(slope, abs=0.02)


@pytest.mark.parametrize("method", [MHCLite(4), BEHC(4, k=10), BEHC(5, basis="local-shift")])
def test_the_parts_of_a_mixtures_gradient_add_up_to_it(method):
    """Against autograd of the loss in the weights, and in the logits."""
    rng, d = np.random.default_rng(0), method.d
    theta, error, target = rng.normal(size=(5, method.parameters)), rng.normal(size=(d, d)), 4
    parts = crosstalk(theta, method.permutations, target, error)
    vertices = torch.eye(d, dtype=torch.float64)[torch.tensor(method.permutations)]
    wanted = vertices[target] + torch.asarray(error)

    def loss(weights):
        return (torch.tensordot(weights, vertices, 1) - wanted).square().sum() / d**2

    for k in range(5):
        z = torch.asarray(theta[k])
        weights = torch.softmax(z, 0)
        in_weight = torch.func.grad(loss)(weights)[target]
        in_logit = torch.func.grad(lambda z: loss(torch.softmax(z, 0)))(z)[target]
        whole = sum(parts[name][k] for name in ("signal", "crosstalk", "noise_floor"))
        assert whole == pytest.approx(float(in_weight), rel=1e-12)
        assert parts["logit_gradient"][k] == pytest.approx(float(in_logit), rel=1e-12)
        assert parts["gate"][k] == pytest.approx(float(weights[target]), rel=1e-12)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_parts_at_equal_weights(d):
    """All permutations share d entries with the target in sum, d / d! for each."""
    count = factorial(d)
    parts = crosstalk(np.zeros((1, count)), all_permutations(d), 0, np.eye(d))
    assert parts["gate"][0] == pytest.approx(1 / count)
    assert parts["signal"][0] == pytest.approx(2 / d * (1 / count - 1))
    assert parts["crosstalk"][0] == pytest.approx(2 / d**2 * (1 - d / count))
    assert parts["noise_floor"][0] == pytest.approx(-2 / d)


def test_only_mixtures_of_permutations_have_parts_and_noise_sets_their_floor():
    table = run(GoMHC(), MHCLite(), BEHC(), points=3, noise=0.0).table.to_pylist()
    mixtures = {"mhc-lite", next(row["method"] for row in table if "be-hc" in row["method"])}
    for row in table:
        assert (row["gate"] is None) == (row["method"] not in mixtures)
        if row["method"] in mixtures:
            assert row["noise_floor"] == 0 and row["crosstalk"] > 0


def test_a_method_that_nobody_has_seen():
    """Nothing here knows the methods by name."""

    @dataclass(frozen=True)
    class Diagonal(Parameterization):
        source = exact = ""
        parameters = 2

        def __call__(self, theta):
            h = torch if isinstance(theta, torch.Tensor) else np
            return theta[..., :1, None] * h.eye(self.d) + theta[..., 1:, None]

        def initial(self):
            return np.array([1.0, 0.0])

        def flops(self):
            return 0

    (row,) = run(replace(Diagonal(), d=3), points=3).summary["methods"]
    assert row["dimension"] == 2 and row["start_distance"] == 0
    assert row["start_norm"] == pytest.approx((3 + 9) ** 0.5)


def test_the_same_method_twice_and_with_other_sizes():
    found = run(GoMHC(3), GoMHC(3), GoMHC(4), points=3).summary["methods"]
    assert found[0]["dimension"] == found[1]["dimension"] == 4
    assert found[2] | {"d": 4} == found[2] and found[2]["dimension"] == 9


def test_the_path_holds_zero_the_start_and_the_span():
    path = path_of(run(SHC(), points=4, span=8.0))
    assert np.allclose(path["scale"], [0, 1 / 8, 1 / 2, 1, 2, 8])


@pytest.mark.parametrize(
    "methods, more, said",
    [
        ((), {}, "--method NAME"),
        ((SHC(),), {"span": 1.0}, "--span 1"),
        ((SHC(),), {"points": 1}, "--points 1"),
        ((SHC(),), {"noise": -1.0}, "--noise -1"),
        ((SHC(),), {"noise": float("nan")}, "--noise nan"),
    ],
)
def test_mistakes(methods, more, said):
    with pytest.raises(UsageError, match=said):
        run(*methods, **more)


def test_a_sampler_of_matrices_has_no_parameters():
    with pytest.raises(UsageError, match="--draw haar"):
        gradients.run((GoMHC(),), draws=Draws(4, draw="haar"))


def test_on_the_command_line(birkhoff, tmp_path):
    words = ("gradients", "--method", "mhc:tau=0.05", "--method", "mhc-lite", "--d", "3")
    for name in "ab":
        done = birkhoff(
            *words,
            "--dtype",
            "float32",
            "--json",
            "--quiet",
            "-o",
            f"{name}.parquet",
            "--plot",
            "g.png",
        )
        assert done.returncode == 0 and done.stderr == ""
    found = json.loads(done.stdout, parse_constant=pytest.fail)["methods"]
    assert [row["method"] for row in found] == ["mhc:tau=0.05", "mhc-lite"]
    assert found[0]["start_norm"] == 0 and found[1]["dimension"] == 4
    first, second = (pq.read_table(tmp_path / f"{n}.parquet") for n in "ab")
    assert first.equals(second)
    assert (tmp_path / "g.png").stat().st_size > 10_000
