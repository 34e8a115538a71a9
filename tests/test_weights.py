"""Learned weights: against the tensors of checkpoints, and against the matrices they make."""

import csv
import json
from dataclasses import replace
from functools import reduce
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import birkhoff_cli
from birkhoff_cli import tables
from birkhoff_cli.analyses import parameterizations, weights
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.mixture import dominant
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.testing import stand_ins
from conftest import ROOT
from test_streaming_contract import as_bytes, of_ranges, of_whole

EXAMPLES = ROOT / "examples"


def examples():
    """Every example of a method that mixes permutations."""
    for name in parameterizations.names():
        for method in discover.member(parameterizations.__name__, name).EXAMPLES:
            if method.mixtures() and name != "averaged-go-mhc":
                yield method


METHODS = list(examples())


def softmax(logits):
    powers = np.exp(np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def tensors(path, name):
    """One tensor of every site, attention before mlp."""
    import torch

    model = torch.load(path, weights_only=True)["model"]
    layers = 1 + max(int(key.split(".")[2]) for key in model if key.startswith("transformer.h."))
    return np.stack(
        [
            model[f"transformer.h.{layer}.hc_{branch}.{name}"].numpy()
            for layer in range(layers)
            for branch in ("attn", "mlp")
        ]
    )


def entropy(p):
    p = np.asarray(p)
    return -np.sum(p[p > 0] * np.log(p[p > 0]))


def products(rows):
    """Weights of the products of one site, each with its mixtures, factor after factor."""
    found = {}
    for row in rows:
        found.setdefault((row["summand"], row["factor"]), []).append(row)
    only = [{"weight": 1.0, "term": None}]
    sums = found.pop((None, None)) if (None, None) in found and len(found) > 1 else only
    return [(s["weight"], [own for (t, _), own in found.items() if t == s["term"]]) for s in sums]


def matrix(rows):
    """The mixture of permutation matrices that rows of one mixture describe."""
    eye = np.eye(len(rows[0]["permutation"]))
    return sum(row["weight"] * eye[row["permutation"]] for row in rows)


def rebuilt(rows):
    """H of the rows of one site."""
    return sum(weight * reduce(np.kron, map(matrix, own)) for weight, own in products(rows))


def enumerated(rows):
    """Weight of the identity and entropy over every term of H, one by one."""
    every, identity = [], 0.0
    for share, own in products(rows):
        for choice in product(*own):
            every.append(share * np.prod([row["weight"] for row in choice]))
            if all(row["permutation"] == [*range(len(row["permutation"]))] for row in choice):
                identity += every[-1]
    return identity, entropy(every)


def by_site(result):
    found = {}
    for row in result.table.to_pylist():
        found.setdefault(row["site"], []).append(row)
    return found


# against tensors


def test_be_hc_as_its_tensors_say(birkhoff):
    alpha = softmax(tensors(EXAMPLES / "be-hc.pt", "static_alpha")[:, 4:])
    done = birkhoff("weights", EXAMPLES / "be-hc.pt", "--json")
    summary = json.loads(done.stdout)
    assert summary["alpha_1_mean"] == pytest.approx(alpha[:, 0].mean(), rel=1e-12)
    assert summary["entropy_mean"] == pytest.approx(np.mean([entropy(a) for a in alpha]), rel=1e-12)
    assert summary["entropy_uniform"] == pytest.approx(np.log(24))
    assert round(summary["alpha_1_mean"], 4) == 0.1163
    assert summary["alpha_1_initial"] == pytest.approx(np.e / (np.e + 23))
    found = by_site(birkhoff_cli.weights(EXAMPLES / "be-hc.pt"))
    for rows, own in zip(found.values(), alpha, strict=True):
        np.testing.assert_allclose([row["weight"] for row in rows], own, rtol=1e-12)
        assert {row["alpha_1"] for row in rows} == {rows[0]["weight"]}
        assert rows[0]["entropy"] == pytest.approx(entropy(own), rel=1e-12)
        assert rows[0]["effective_terms"] == pytest.approx(np.exp(entropy(own)), rel=1e-12)
        assert rows[0]["permutation"] == [0, 1, 2, 3]
    assert round(found[0][0]["alpha_1"], 4) == 0.1058


def test_what_is_learned_is_no_decomposition():
    """The terms that decompose finds are others: there the identity has three times the weight."""
    terms = birkhoff_cli.decompose(EXAMPLES / "be-hc.pt").table.to_pylist()
    identity = [r["weight"] for r in terms if r["site"] == 0 and r["permutation"] == [0, 1, 2, 3]]
    learned = by_site(birkhoff_cli.weights(EXAMPLES / "be-hc.pt"))[0][0]["alpha_1"]
    assert identity[0] > 2.5 * learned


@pytest.mark.parametrize("name", ["mhclite_mhc_lite_n4", "kromhc_n4"])
def test_recorded_matrices_are_the_mixtures(checkpoints, name):
    """Of real code, which applies the transpose: the permutations are those of our H."""
    truth = np.load(checkpoints / name / "truth.npz")["H_static"]
    found = by_site(birkhoff_cli.weights(checkpoints / name / "ckpt.pt"))
    for rows, h in zip(found.values(), truth, strict=True):
        np.testing.assert_allclose(rebuilt(rows), h, atol=1e-6)
        np.testing.assert_allclose((rows[0]["alpha_1"], rows[0]["entropy"]), enumerated(rows))


def test_a_transposed_layout_of_ones_own_has_the_inverse_permutations(tmp_path, rng):
    import torch

    theta = rng.normal(size=24)
    torch.save({"blocks.0.mix": torch.tensor(theta)}, tmp_path / "f.pt")
    said = {"tensors": "blocks.{layer}.mix", "as": "mhc-lite", "transpose": "true"}
    trace = birkhoff_cli.load(tmp_path / "f.pt", set=said)
    rows = by_site(weights.run(trace))[0]
    np.testing.assert_allclose(rebuilt(rows), trace.matrices[0, 0], atol=1e-6)
    assert rows[0]["alpha_1"] == pytest.approx(softmax(theta)[0], rel=1e-6)


# every method


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_weights_of_a_draw_make_its_matrix(method):
    result = weights.run((Drawn(method, Draws(samples=1), seed=3),))
    rows = by_site(result)[0]
    h = next(iter(Drawn(method, Draws(samples=1), seed=3)))[0, 0]
    np.testing.assert_allclose(rebuilt(rows), h, atol=1e-12)
    np.testing.assert_allclose(
        (rows[0]["alpha_1"], rows[0]["entropy"]), enumerated(rows), atol=1e-12
    )
    summary = result.summary
    assert summary["entropy_uniform"] >= rows[0]["entropy"] - 1e-12
    assert summary["effective_terms_mean"] <= summary["terms"] + 1e-9


def test_weights_of_matrices_that_are_learned_themselves_have_no_identity():
    method = parameterizations.load("averaged-go-mhc")(4, s=3)
    result = weights.run((Drawn(method, Draws(samples=7, draw="gaussian"), seed=1),))
    rows, summary = result.table.to_pylist(), result.summary
    theta = np.concatenate(
        [*Drawn(method, Draws(samples=7, draw="gaussian"), seed=1).read_parameters(range(1))]
    )[:, 0]
    np.testing.assert_allclose(
        [row["weight"] for row in rows], softmax(theta[:, -3:]).mean(0), rtol=1e-12
    )
    assert {row["alpha_1"] for row in rows} == {None} and summary["alpha_1_mean"] is None
    assert summary["dominant_permutations"] == []
    assert summary["identity_dominant_fraction"] is None


def test_the_heaviest_term_of_a_sum_of_products():
    """Of two summands the second has nine tenths, and there both factors swap."""
    method = KromSum(4)
    theta = np.log([0.9, 0.1, 0.8, 0.2, 0.2, 0.8, 0.3, 0.7, 0.1, 0.9])
    mixtures = method.mixtures()
    permutation, weight = dominant(mixtures, [m.weights(theta) for m in mixtures])
    assert permutation == (3, 2, 1, 0)
    assert weight == pytest.approx(0.9 * 0.8 * 0.7)
    h = method(theta)
    assert np.unravel_index(h.argmax(), h.shape) in [(0, 3), (1, 2), (2, 1), (3, 0)]


# where streams move them


@pytest.mark.parametrize(
    "inputs", ["gaussian", f"tokens={EXAMPLES / 'val.bin'}"], ids=["gaussian", "tokens"]
)
@pytest.mark.parametrize("name", ["be-hc", "mhc-lite"])
def test_mean_weights_make_the_mean_matrix(name, inputs):
    """H is linear in the weights, so that means over the same samples agree."""
    sizes = {"samples": 300} if inputs == "gaussian" else {"sequences": 2}
    trace = birkhoff_cli.load(EXAMPLES / f"{name}.pt", inputs=inputs, **sizes)
    found = by_site(weights.run(trace))
    for rows, h in zip(found.values(), trace.matrices.astype(float).mean(0), strict=True):
        np.testing.assert_allclose(rebuilt(rows), h, atol=1e-6)


def test_percentiles_are_over_samples():
    trace = birkhoff_cli.load(EXAMPLES / "be-hc.pt", inputs="gaussian", samples=200)
    theta = np.concatenate([*trace.read_parameters(range(trace.blocks))])
    alpha = softmax(theta[:, 5])
    rows = by_site(weights.run(trace))[5]
    for name, q in (("p10", 10), ("p50", 50), ("p90", 90)):
        np.testing.assert_allclose([r[name] for r in rows], np.percentile(alpha, q, axis=0))
    spread = [entropy(a) for a in alpha]
    assert rows[0]["entropy"] == pytest.approx(np.mean(spread))
    assert rows[0]["entropy_p90"] == pytest.approx(np.percentile(spread, 90))
    assert rows[0]["alpha_1_p10"] == pytest.approx(np.percentile(alpha[:, 0], 10))
    assert rows[0]["effective_terms"] == pytest.approx(np.mean(np.exp(spread)))
    assert alpha[:, 0].std() > 0.01


def test_blocks_of_40_320_weights_to_a_matrix_fit_in_memory():
    """A block of a checkpoint's 500,000 entries would hold 2.5 GB; small ones stay as they are."""
    trace = birkhoff_cli.load(EXAMPLES / "mhc-lite.pt", inputs="gaussian", samples=5000)
    assert trace.block == 500_000 // (8 * 16)
    large = replace(trace, d=8, map=MHCLite(8))
    assert 1 <= large.block <= 8_000_000 / (8 * 40_320)


def test_any_cut_gives_the_same_bytes():
    def result():
        source = Drawn(BEHC(4), Draws(samples=6500), seed=3)
        assert source.blocks > 3
        return weights.run((source,))

    whole, cut = result(), result()
    assert as_bytes(whole, of_whole(whole)) == as_bytes(cut, of_ranges(cut, [1, 3]))


# a series, and what has none


def test_a_series_has_its_steps(birkhoff, tmp_path):
    for step in (5, 10):
        stand_ins.write(tmp_path / "be-hc" / f"ckpt_{step:06}.pt", stand_ins.Sizes())
    done = birkhoff("weights", tmp_path / "be-hc", "--json", "--plot", "w.png", "-o", "w.parquet")
    summary = json.loads(done.stdout)
    assert [one["step"] for one in summary["steps"]] == [5, 10]
    assert summary["alpha_1_mean"] == summary["steps"][1]["alpha_1_mean"]
    assert summary["steps"][0]["alpha_1_mean"] != summary["alpha_1_mean"]
    assert (tmp_path / "w.png").exists()
    assert birkhoff("plot", "w.parquet", "--plot", "again.png").returncode == 0


def test_csv_has_permutations_as_text_which_reads_back(birkhoff, tmp_path):
    for name in ("w.csv", "w.parquet"):
        done = birkhoff("weights", EXAMPLES / "kromhc.pt", "-o", name)
        assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "w.parquet").to_pylist()
    with (tmp_path / "w.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert cells[1]["permutation"] == "1 0" and cells[0]["dominant"].count(" ") == 3
    for name in ("permutation", "dominant"):
        assert [[*map(int, c[name].split())] for c in cells] == [row[name] for row in rows]
    assert [float(c["weight"]) for c in cells] == [row["weight"] for row in rows]


def test_a_list_that_is_not_known_is_an_empty_cell_and_one_of_lists_is_refused(tmp_path):
    lists = pa.array([[1, 0], None, [], [-3]], pa.list_(pa.int32()))
    table = pa.table({"p": lists, "q": pa.array([0.5, 1, 2, 3])})
    with (tmp_path / "t.csv").open("wb") as file:
        tables.load("csv").write(table.to_batches(), table.schema, file, dict)
    assert (tmp_path / "t.csv").read_text() == '"p","q"\n"1 0",0.5\n,1\n"",2\n"-3",3\n'
    nested = pa.table({"p": pa.array([[[1], [2, 3]]])})
    with (tmp_path / "t.csv").open("wb") as file, pytest.raises(UsageError, match="lists of lists"):
        tables.load("csv").write(nested.to_batches(), nested.schema, file, dict)


def test_a_method_without_weights_is_named_with_those_that_have_some(birkhoff, tmp_path):
    for words in ([EXAMPLES / "hc.pt"], ["--method", "go-mhc"], [EXAMPLES / "shc.pt"]):
        done = birkhoff("weights", *words)
        assert done.returncode == 4 and done.stderr.count("\n") == 1
        assert "no mixture weights; these have: averaged-go-mhc, be-hc, krom-sum" in done.stderr
    np.save(tmp_path / "h.npy", MHC(4).draw(3))
    done = birkhoff("weights", "h.npy")
    assert done.returncode == 4 and "decompose" in done.stderr


def test_matrices_that_are_drawn_as_such_have_no_parameters(birkhoff):
    done = birkhoff("weights", "--method", "be-hc", "--draw", "dirichlet")
    assert done.returncode == 2 and "use gaussian, uniform, init" in done.stderr


def test_models_of_several_methods_are_no_series():
    one, other = (birkhoff_cli.load(EXAMPLES / f"{name}.pt") for name in ("be-hc", "mhc-lite"))
    with pytest.raises(BadInput, match="differ in their method"):
        weights.run((one, other))
    with pytest.raises(Unsupported, match="no mixture weights"):
        weights.run((one, birkhoff_cli.load(EXAMPLES / "hc.pt")))


def test_the_published_start_is_known_without_a_checkpoint():
    result = birkhoff_cli.weights(BEHC(64), samples=1, draw="init")
    assert result.summary["alpha_1_mean"] == pytest.approx(np.e / (np.e + 63))
