"""Counts against the tables of the papers, typed here; where those disagree with themselves."""

import json
from math import factorial, log, log2

import numpy as np
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import methods
from birkhoff_cli.analyses import complexity, parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.errors import TooLarge, UsageError
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.networks import language_model, small_model, speed
from birkhoff_cli.analyses.networks.live_memory import peak_bytes
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.identity import Identity
from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.shc import SHC


def run(*methods, **more):
    return complexity.run(methods, **more)


def rows(*methods, **more):
    return {(r["method"], r["d"]): r for r in run(*methods, **more).summary["rows"]}


@pytest.mark.parametrize("width", [1, 384, 7168])
@pytest.mark.parametrize("d", [2, 4, 8, 16])
def test_table_1(d, width):
    found = rows(*complexity.published(), KromGoMHC(s=3), d=str(d), width=width, layers=5)
    rest = 2 * d**2 * width + 2 * d + 3
    k = int(log2(d))
    logits = {
        "mhc": d**2,
        "go-mhc:s=1": d * (d - 1) // 2,
        "go-mhc:s=2": 2 * d * (2 * d - 1) // 2,
        "mhc-lite": factorial(d),
        "kromhc": 2 * k,
        "krom-go-mhc:s=3": k * 6 * 5 // 2,
    }
    for name, p in logits.items():
        row = found[name, d]
        assert row["parameters"] == p
        learned = (d * width + 1) * p + rest
        for count, expected in ((row["learned"], learned), (row["model"], 10 * learned)):
            assert count == (expected if expected <= 2**53 else float(expected))


def test_table_4():
    found = rows(*complexity.published(), KromHC(16, factors=(4, 4)), d="2,4,8,16")
    for d in (2, 4, 8, 16):
        k = int(log2(d))
        assert found["mhc", d]["flops"] == 4 * 20 * d**2
        for s in (1, 2):
            flops = 8 / 3 * (d * s) ** 3 + 4 * (d * s) ** 2
            assert found[f"go-mhc:s={s}", d]["flops"] == pytest.approx(flops, abs=0.5)
        assert found["mhc-lite", d]["flops"] == (3 + 2 * d**2) * factorial(d)
        krom = 3 * k * 2 + 2 * k * 2**2 * 2 + (2 ** (2 * k + 2) - 2**4) / (2**2 - 1)
        assert found["kromhc", d]["flops"] == krom
    fours = 3 * 2 * 24 + 2 * 2 * 4**2 * 24 + (4**6 - 4**4) / (4**2 - 1)
    assert found["kromhc:factors=4x4", 16]["flops"] == fours


def test_table_2_is_how_table_4_grows():
    found = rows(*complexity.published(), GoMHC(s=4), GoMHC(s=8), d="16,17,32,64,128")

    def order(name, low=64, high=128):
        return log2(found[name, high]["flops"] / found[name, low]["flops"])

    assert order("mhc") == 2
    assert order("go-mhc:s=2") == pytest.approx(3, abs=0.01)
    assert order("kromhc") == pytest.approx(2, abs=0.05), "C d^2 wins over C log d"
    by_s = found["go-mhc:s=8", 128]["flops"] / found["go-mhc:s=4", 128]["flops"]
    assert log2(by_s) == pytest.approx(3, abs=0.01)
    lite = found["mhc-lite", 17]["flops"] / found["mhc-lite", 16]["flops"]
    assert lite == pytest.approx(17 * (17 / 16) ** 2, rel=1e-3), "d^2 d!"


def nano_gpt(layers, width, vocabulary, context):
    """Learned numbers of a GPT without biases, its head tied to the embedding."""
    return (vocabulary + context) * width + layers * (12 * width**2 + 2 * width) + width


TABLE_9 = {  # overhead, total: millions, as printed
    ("mhc-lite", 4): ("0.60", "30.74"),
    ("kromhc", 4): ("0.23", "30.37"),
    ("go-mhc:s=1", 4): ("0.46", "30.60"),
    ("go-mhc:s=2", 4): ("1.34", "31.48"),
    ("kromhc", 8): ("0.84", "30.98"),
    ("go-mhc:s=1", 8): ("2.98", "33.12"),
    ("go-mhc:s=2", 8): ("10.06", "40.20"),
    ("mhc-lite", 8): ("1487.46", "1517.60"),
}


def test_table_9_as_printed():
    """With a padded vocabulary, a norm's gain at each site and (ds)^2 skew entries; rounded."""
    found = rows(d="4,8", width=384, layers=6)
    base = nano_gpt(6, 384, vocabulary=50304, context=512)
    assert f"{base / 1e6:.2f}" == "30.14"
    for key, (overhead, total) in TABLE_9.items():
        ours = f"{(base + found[key]['allocated']) / 1e6:.2f}"
        assert ours == total
        assert f"{float(ours) - 30.14:.2f}" == overhead


def test_table_9_is_not_table_1():
    """Without the gains, the entries that go unused and the padding, no go-mHC row fits."""
    found = rows(d="4,8", width=384, layers=6)
    base = nano_gpt(6, 384, vocabulary=50257, context=512)
    assert f"{base / 1e6:.2f}" == "30.12", "the vocabulary that G.1 names"
    for (name, d), (overhead, _) in TABLE_9.items():
        gap = abs(found[name, d]["model"] / 1e6 - float(overhead))
        assert gap > 0.1 if name.startswith("go-mhc") else 0 < gap < 0.05


def test_d_16_is_two_orders_above_kromhc_and_mhc_lite_thirteen():
    """Section 4.3 says 2 and 16; 16 is the number of its own zeros."""
    found = rows(d="16")
    krom, lite = found["kromhc", 16]["flops"], found["mhc-lite", 16]["flops"]
    assert round(log(found["go-mhc:s=2", 16]["flops"] / krom, 10)) == 2
    assert int(log(lite / krom, 10)) == 13 and int(log(lite, 10)) == 16


def test_figure_7_of_shc():
    """6.07 B at n = 8 is printed as the hyper-connections' share; it is the whole model."""
    found = rows(MHCLite(), SHC(), d="8", width=768, layers=12)
    lite = found["mhc-lite", 8]["model"]
    base = nano_gpt(12, 768, vocabulary=50304, context=1024)
    assert f"{base / 1e9:.2f}" == "0.12"
    assert f"{lite / 1e9:.2f}" == "5.95" and f"{(lite + base) / 1e9:.2f}" == "6.07"
    shc = found["shc", 8]
    assert shc["parameters"] == 7**2
    assert shc["learned"] == 8 * 768 * 49 + 49 + 2 * 64 * 768 + 2 * 8 + 2 + 3 + 2, "eq. 8"


def test_what_cannot_be_made_has_a_reason():
    result = run(MHCLite(), KromHC(6, factors=(2, 3)), KromHC(), d="4,6,8,9,11")
    table = {(r["method"], r["d"]): r for r in result.table.to_pylist()}
    feasible = {f["method"]: f for f in result.summary["feasible"]}
    assert table["mhc-lite", 8]["reason"] is None
    assert "362,880 permutation" in table["mhc-lite", 9]["reason"]
    assert table["mhc-lite", 9]["parameters"] == factorial(9), "it still has a count"
    assert feasible["mhc-lite"]["up_to"] == 8
    lost = table["kromhc:factors=2x3", 8]
    assert lost["parameters"] is None and "such as 2,2,2" in lost["reason"]
    assert feasible["kromhc:factors=2x3"]["up_to"] == 6
    assert feasible["kromhc"]["up_to"] == 9, "11! permutations of one factor"


@pytest.mark.parametrize("name", parameterizations.names())
def test_the_specification_of_a_method_is_what_the_command_line_reads(name):
    for example in discover.member(parameterizations.__name__, name).EXAMPLES:
        assert methods.parse(specification(example)).build(example.d) == example
    assert (
        specification(KromHC(6, factors=(3, 2))) == "kromhc:factors=3x2"
        and specification(SHC(5)) == "shc"
    )


def test_factorials_beyond_the_integers_are_right_to_rounding():
    table = run(MHCLite(), d="20,128").table
    assert table["parameters"].to_pylist() == [float(factorial(20)), float(factorial(128))]
    assert np.isfinite(table["model_flops"].to_numpy()).all()


def test_speed_is_measured_only_when_asked(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 1e-3)
    monkeypatch.setattr(speed, "ROUNDS", 1)
    assert "forward" not in run(GoMHC(), d="2").table.schema.names
    draws = Draws(samples=8, dtype="float32")
    methods = GoMHC(s=1), MHCLite(), MHC(variant="tokenbender")
    result = run(*methods, d="2,9", measure=True, draws=draws)
    table = {(r["method"], r["d"]): r for r in result.table.to_pylist()}
    for key in (("go-mhc:s=1", 2), ("go-mhc:s=1", 9), ("mhc:variant=tokenbender", 9)):
        assert table[key]["batch"] == 8 and table[key]["forward"] > 0
        assert table[key]["forward_backward"] > 0 and table[key]["reason"] is None
        assert table[key]["tokens"] > 0 and table[key]["tokens_backward"] > 0
        assert table[key]["dense"] > 0 and table[key]["gather"] is None
    lost = table["mhc-lite", 9]
    assert {lost[c.name] for c in speed.SPEEDS} == {None, "there is no matrix"} and lost["reason"]


def test_a_method_that_needs_no_matrix_is_timed_both_ways(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 1e-3)
    monkeypatch.setattr(speed, "ROUNDS", 2)
    row = run(BEHC(k=5), d="32", measure=True, width=4, draws=Draws(samples=8)).summary["rows"][0]
    assert row["gather"] > 0 and row["spread"] >= 0
    result, h, basis = 32 * 4 * 8, 32**2 * 8, 32**2 * 5 * 8
    assert row["dense_bytes"] >= basis + h
    assert result < row["gather_bytes"] < basis, "O(K n) and not O(K n^2)"


def test_what_the_model_needs_too_much_memory_for_is_said_and_can_be_made_all_the_same(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 1e-3)

    def refuse(_, what):
        if "model" in what:
            raise TooLarge(f"{what} would need it all")

    monkeypatch.setattr(speed, "require_memory", refuse)
    result = run(GoMHC(), d="2", measure=True, draws=Draws(samples=8))
    (row,) = result.table.to_pylist()
    assert row["tokens"] is None and row["forward"] > 0 and row["dense"] > 0
    assert row["unmeasured"] == "the small model with its gradients would need it all"
    assert result.summary["verdict"] == "feasible"


def test_a_rate_is_the_median_of_rounds_and_their_spread(monkeypatch):
    """Rounds of 1, 2, 4, 2 and 2 seconds for ten things each; the first call is not counted."""
    now, lengths = [0.0], iter([9, 1, 2, 4, 2, 2])

    def call():
        now[0] += next(lengths)

    monkeypatch.setattr(speed.time, "process_time", lambda: now[0])
    monkeypatch.setattr(speed, "SECONDS", 1)
    assert speed._rate(call, "cpu", 10) == (5, (10 - 2.5) / 5)
    assert next(lengths, None) is None


def test_the_most_memory_at_once():
    """Two terms and their product; what was given, views of it and what is gone do not count."""
    import torch

    a = torch.ones(30, 30)
    assert peak_bytes(lambda: (a + 1) @ (a - 1), a) == 3 * 3600
    assert peak_bytes(lambda: ((a + 1).sum(), (a + 1).sum()), a) == 3600 + 4 + 4
    assert peak_bytes(lambda: a[:5].T, a) == 0


@pytest.mark.parametrize("method", [GoMHC(4), BEHC(3), HC(2), Identity(2)], ids=repr)
def test_the_small_model_mixes_by_the_method_and_learns_all_it_has(method):
    import torch

    like = torch.zeros((), dtype=torch.float64)
    model = small_model.small_model(method, like, 3)
    sites = model.connections
    assert sum(c.weight.numel() for c in sites) == small_model.count_weights(method)
    tokens = torch.arange(6).reshape(2, 3)
    every = list(language_model.states(model, tokens))
    assert len(every) == len(sites) == 8
    h = every[-1].weights.mixing
    assert h.shape[-2:] == (method.d,) * 2 and h.dtype == torch.float64
    theta = sites[-1].parameters(sites[-1].logits(every[-1].before))
    torch.testing.assert_close(h, method(theta))
    if method.parameters:
        assert h.flatten(0, -3).std(0).max() > 0, "H follows the streams"
    learned = []
    trained = model.converted(lambda a: learned.append(a.detach().requires_grad_()) or learned[-1])
    value = language_model.loss(trained, tokens, tokens)
    found = torch.autograd.grad(value, learned, allow_unused=True)
    used = [g is not None and bool((g != 0).any()) for g in found]
    assert sum(used) >= len(used) - (4 * 8 if not method.parameters else 8)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"d": "0"}, "--d 0"),
        ({"d": "129"}, "1 to 128"),
        ({"d": "two"}, "say --d 4"),
        ({"width": 0}, "--width 0"),
        ({"layers": -1}, "--layers -1"),
    ],
)
def test_mistakes(wrong, said):
    with pytest.raises(UsageError, match=said):
        run(**wrong)


def test_a_sampler_of_matrices_has_no_parameters_to_measure():
    draws = Draws(samples=8, draw="haar")
    with pytest.raises(UsageError, match="--draw haar"):
        run(GoMHC(), d="2", measure=True, draws=draws)


def test_on_the_command_line(birkhoff, tmp_path):
    command = ("complexity", "--method", "go-mhc:s=3", "--method", "kromhc", "--d", "2,4")
    for name in ("a.parquet", "b.parquet"):
        done = birkhoff(*command, "--json", "-o", name, "--plot", "c.png", "--width", "64")
        assert done.returncode == 0 and done.stderr == ""
    assert [r["d"] for r in json.loads(done.stdout)["rows"]] == [2, 4, 2, 4]
    first, second = (pq.read_table(tmp_path / f"{n}.parquet") for n in "ab")
    assert first.equals(second) and len(first) == 4
    assert (tmp_path / "c.png").stat().st_size > 10_000
    done = birkhoff("complexity", "--d", "2,x")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
