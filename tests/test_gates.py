"""What branches read and write: against recorded gates, tensors, and products written out."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import birkhoff_cli
from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses import gates
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.trace import Site, in_blocks, in_memory
from birkhoff_cli.analyses.sites.gates import read_again
from birkhoff_cli.checkpoints.sites.names import NamedStore
from conftest import ROOT
from models import MODELS, N
from test_streaming_contract import as_bytes, of_ranges, of_whole

EXAMPLES = ROOT / "examples"
RUN = (
    *("mhclite_hc_n4", "mhclite_mhc_n4", "mhclite_mhc_lite_n4", "kromhc_n4"),
    *("tb_mhc_tau1", "tb_mhc_ortho"),
)


def by_gate(result, names=("mean",)):
    """Columns ``(sites, streams)`` of pre and of post."""
    rows = result.table.to_pylist()
    sites, streams = (1 + max(row[name] for row in rows) for name in ("site", "stream"))
    return {
        gate: [
            np.array([r[name] for r in rows if r["gate"] == gate], float).reshape(sites, streams)
            for name in names
        ]
        for gate in ("pre", "post")
    }


def trace_of(rows, step=None):
    """A trace of gates and matrices ``(samples, sites, d + 2, d)``."""
    sites = tuple(Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(rows.shape[1]))
    whole = in_memory(rows[:, :, 2:], sites, "test", step=step)
    return replace(whole, gates=in_blocks(rows))


# real code


@pytest.mark.parametrize("name", RUN)
def test_gates_on_tokens_are_those_that_the_models_own_code_applied(checkpoints, name):
    folder = checkpoints / name
    truth = np.load(folder / "truth.npz")
    trace = birkhoff_cli.load(folder / "ckpt.pt", inputs=f"tokens={folder / 'tokens.npy'}")
    count, sites = truth["H_pre"].shape[:2]
    part = np.concatenate([*trace.read_gates(range(trace.blocks))])[:count, :sites]
    assert trace.samples == 256
    found = by_gate(gates.run((trace_of(part),)), ("mean", "p10", "p50", "p90"))
    for gate in ("pre", "post"):
        own = truth[f"H_{gate}"].astype(float)
        expected = [own.mean(0), *np.percentile(own, (10, 50, 90), axis=0)]
        for values, right in zip(found[gate], expected, strict=True):
            np.testing.assert_allclose(values, right, atol=1e-5)


def test_the_same_numbers_come_of_the_command(birkhoff):
    words = ["gates", EXAMPLES / "mhc-lite.pt", "--inputs", f"tokens={EXAMPLES / 'val.bin'}"]
    done = birkhoff(*words, "--json")
    trace = birkhoff_cli.load(EXAMPLES / "mhc-lite.pt", inputs=f"tokens={EXAMPLES / 'val.bin'}")
    rows = np.concatenate([*trace.read_gates(range(trace.blocks))]).astype(float)
    np.testing.assert_array_equal(rows[:, :, 2:], trace.matrices)
    summary = json.loads(done.stdout)
    for word, own in (("read", rows[:, :, 0]), ("written", rows[:, :, 1])):
        share = own / own.sum(-1, keepdims=True)
        number = np.exp(-(share * np.log(share)).sum(-1)).mean(0)
        assert summary[f"streams_{word}"] == pytest.approx(number.mean(), rel=1e-9)
        assert summary[f"streams_{word}_min"] == pytest.approx(number.min(), rel=1e-9)
        assert summary[f"streams_{word}_max"] == pytest.approx(number.max(), rel=1e-9)
        assert summary[f"{word}_total"] == pytest.approx(own.sum(-1).mean(), rel=1e-9)


# every format


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def same(x):
    return x


def twice(x):
    return 2 * sigmoid(x)


def above(x):
    return sigmoid(x) + 1e-6


def clipped(x):
    return sigmoid(np.clip(x, -10, 10))


FIRST, FLAT = (lambda t: t[:, 0]), (lambda t: t.ravel()[:N])
SECOND = lambda t: t.ravel()[N : 2 * N]  # noqa: E731
ALPHA, BETA = "static_alpha", "static_beta"
STATIC = {
    "mhc-lite hc": ((ALPHA, FIRST, same), (BETA, FLAT, same)),
    "mhc-lite mhc": ((ALPHA, FIRST, sigmoid), (BETA, FLAT, twice)),
    "mhc-lite mhc_lite": ((ALPHA, FLAT, sigmoid), (BETA, FLAT, twice)),
    "kromhc": ((ALPHA, FLAT, sigmoid), (BETA, FLAT, twice)),
    "trained": ((ALPHA, FLAT, sigmoid), (BETA, FLAT, twice)),
    "tokenbender mhc": (("H_pre_logits", FLAT, softmax), ("H_post_logits", FLAT, softmax)),
    "tokenbender hc": ((ALPHA, FIRST, same), (BETA, FLAT, same)),
    "lucidrains hc": ((ALPHA, FIRST, same), (BETA, FLAT, same)),
    "lucidrains mhc": ((ALPHA, FIRST, sigmoid), (BETA, FLAT, twice)),
    "v4 modules": (("base", FLAT, above), ("base", SECOND, twice)),
    "v4 original": (("base", FLAT, above), ("base", SECOND, twice)),
    "v4 release": (("base", FLAT, above), ("base", SECOND, twice)),
    "hy_v4": (("base", FLAT, above), ("base", SECOND, lambda x: twice(x) + 1e-6)),
    "megatron numbered": (("bias", FLAT, sigmoid), ("bias", SECOND, twice)),
    "motif3": (("bias_pre", FLAT, clipped), ("bias_post", FLAT, clipped)),
    "xing4": (("hc_base", FLAT, above), ("hc_base", SECOND, twice)),
    "xing4 apart": ((".bias", FLAT, above), (".bias", SECOND, twice)),
    "openpangu2": (("branch_beta", FLAT, above), ("branch_beta", SECOND, twice)),
    "glm in megatron": ((".bias", FLAT, above), (".bias", SECOND, twice)),
    "maxtext": (("pre_beta", FLAT, above), ("post_beta", FLAT, twice)),
    "gguf": (("base.weight", FLAT, above), ("base.weight", SECOND, twice)),
}
"""Of each gate: a tensor by the end of its name, the numbers in it, what they pass through."""

UNGATED = {
    "logits": "how this package makes H_pre and H_post",
    "gemma3n": "AltUp has no H_pre and H_post",
    "own": "mixing matrices, without H_pre and H_post",
    "notebook": "a batch of matrices, without H_pre and H_post",
    "tokens": "mix the tokens of a sequence",
}
LIKE_OTHERS = {"lucidrains one list", "megatron stacked", "megatron hybrid", "maxtext scanned"}


def test_every_model_is_here():
    assert STATIC.keys() | UNGATED.keys() | LIKE_OTHERS | {"qwen4"} == MODELS.keys()


def read(name):
    store = MODELS[name].store()
    return formats.interpret(store, dict(MODELS[name].settings)), NamedStore(store)


@pytest.mark.parametrize("name", [*STATIC, *sorted(LIKE_OTHERS), "qwen4"])
def test_gates_pass_through_what_their_code_base_has(name):
    found, store = read(name)
    weights = [site.weights(None) for site in found.connect(store)]
    assert not found.ungated and len(weights) == len(found.sites)
    for part in weights:
        assert part.rows.shape == (N + 2, N)
        np.testing.assert_array_equal(part.rows[0], part.pre)
        np.testing.assert_array_equal(part.rows[1], part.post)
    for k, gate in enumerate(STATIC.get(name, ())):
        end, pick, through = gate
        arrays = MODELS[name].arrays
        here = [key for key in arrays if re.search(rf"{re.escape(end)}$", key)]
        expected = [through(pick(arrays[key].astype(float))) for key in here]
        # names are in order of layers, attention first
        np.testing.assert_allclose([w.rows[k] for w in weights], expected, rtol=1e-5)


@pytest.mark.parametrize("name", UNGATED)
def test_a_format_whose_gates_are_not_known_says_so(name):
    assert UNGATED[name] in read(name)[0].ungated


def test_a_format_without_gates_is_refused_by_the_command(birkhoff):
    done = birkhoff("gates", EXAMPLES / "be-hc-tokens.pt")
    assert done.returncode == 4 and done.stderr.count("\n") == 1
    assert "be-hc-tokens.pt: its blocks mix the tokens of a sequence" in done.stderr


def test_a_model_that_mixes_nothing_still_has_gates(birkhoff, cases):
    done = birkhoff("gates", cases / "hyv4_release", "--inputs", "gaussian", "--json")
    summary = json.loads(done.stdout)
    assert summary["method"] == "identity" and summary["samples"] == 1000
    assert 1 < summary["streams_read"] < summary["d"]


# Qwen4-Exp: gates of every channel


def test_qwen4_by_its_formula(rng):
    found, store = read("qwen4")
    arrays = MODELS["qwen4"].arrays
    streams = rng.normal(size=(6, 7, N, 5)).astype(np.float32)
    for k, (place, site) in enumerate(zip(found.sites, found.connect(store), strict=True)):
        begin = f"model.layers.{place.layer}.{place.branch}_hyper_connection"
        norm, down, up, inject = (
            arrays[f"{begin}.{name}.weight"].astype(float)
            for name in (
                *("hc_norm", "input_mix_weight_down"),
                *("input_mix_weight_up", "block_inject_weight"),
            )
        )
        weights = site(streams[k])
        for t, x in enumerate(streams[k].astype(float)):
            y = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-6)
            y = y.ravel() * (1 + norm)
            low = down @ y / N
            gate = sigmoid(up @ (low * sigmoid(low))).reshape(N, 5)
            np.testing.assert_allclose(weights.pre[t], gate.mean(1) / N, atol=1e-6)
            np.testing.assert_allclose(weights.post[t], 2 * sigmoid(inject @ y / N), atol=1e-5)
        np.testing.assert_array_equal(weights.mixing, np.broadcast_to(np.eye(N), (7, N, N)))
        still = site.weights(None)
        np.testing.assert_array_equal(still.rows, [[0.5 / N] * N, [1.0] * N, *np.eye(N)])


def test_random_streams_of_qwen4_are_of_uniform_direction(rng):
    """Logits against those of explicit directions, within five standard errors."""
    found, store = read("qwen4")
    site = next(iter(found.connect(store)))
    _, draw = site.without_weight()
    n = 20_000
    ours, theirs = draw(n, rng), site.logits(rng.standard_normal((n, N, site.width)))
    for power in (1, 2):
        a, b = ours**power, theirs**power
        error = np.sqrt((a.var(0) + b.var(0)) / n)
        assert (np.abs(a.mean(0) - b.mean(0)) <= 5 * error).all()
    assert site.without_weight()[0].weights(ours).rows.shape == (n, N + 2, N)


# numbers


def test_effective_numbers_in_closed_form():
    d = 5
    kinds = {"one": np.eye(d)[2], "all": np.full(d, -0.3), "two": np.array([1, -1, 0, 0, 0])}
    for word, number in (("one", 1), ("all", d), ("two", 2)):
        rows = np.concatenate([[kinds[word]] * 2, np.eye(d)])[None, None]
        summary = gates.run((trace_of(rows),)).summary
        assert summary["streams_read"] == pytest.approx(number)
        assert summary["streams_written"] == pytest.approx(number)


def test_streams_that_are_never_read_are_named():
    d, sites = 4, 3
    rows = np.zeros((1, sites, d + 2, d))
    rows[:, :, 2:] = np.eye(d)
    rows[0, :, 0] = [1, 1, 0.03, 0]  # a share of 0.0148 of stream 2: above 0.05 / 4
    rows[0, :, 1] = [0, 1, 0.02, 0]  # 0.0196
    rows[0, 1, 1, 0] = 1  # written once
    summary = gates.run((trace_of(rows),)).summary
    assert summary["never_threshold"] == 0.0125
    assert summary["streams_never_read"] == [3] and summary["streams_never_written"] == [3]
    rows[0, :, 0] = [1, 1, 0.01, 0]
    assert gates.run((trace_of(rows),)).summary["streams_never_read"] == [2, 3]


def test_a_gate_that_is_zero_has_no_number():
    rows = np.zeros((1, 2, 5, 3))
    result = gates.run((trace_of(rows),))
    assert result.summary["streams_read"] is None
    assert "nothing passes through a branch" in result.answer
    assert {row["share"] for row in result.table.to_pylist()} == {None}


def test_what_is_read_of_earlier_branches_written_out(rng):
    """The coefficients of every branch's output in what each site reads, by running the streams."""
    samples, sites, d = 3, 5, 4
    rows = rng.normal(size=(samples, sites, d + 2, d))
    found = read_again(rows)
    for n in range(samples):
        outputs = np.eye(sites + 1)  # the embedding, and what each branch makes, as unknowns
        x = np.tile(outputs[0], (d, 1))
        for site in range(sites):
            pre, post, h = rows[n, site, 0], rows[n, site, 1], rows[n, site, 2:]
            read = pre @ x
            if site:
                assert found[0, site, n] == pytest.approx(read[site])
                assert found[2, site, n] == pytest.approx(abs(read[site]) / np.abs(read).sum())
                before = rows[n, site - 1, 1]
                cosine = pre @ before / np.linalg.norm(pre) / np.linalg.norm(before)
                assert found[1, site, n] == pytest.approx(cosine)
            x = h @ x + np.outer(post, outputs[site + 1])
    assert np.isnan(found[:, 0]).all()


def test_an_ordinary_residual_reads_all_branches_alike():
    rows = np.ones((1, 4, 3, 1))
    found = [r["last_share"] for r in gates.run((trace_of(rows),)).table.to_pylist()]
    assert found[::2] == [None, 1 / 2, 1 / 3, 1 / 4] and found[1::2] == [None] * 4


def test_any_cut_gives_the_same_bytes(rng):
    rows = rng.normal(size=(33_000, 3, 6, 4))

    def result():
        trace = trace_of(rows)
        assert trace.blocks > 3
        return gates.run((trace,))

    whole, cut = result(), result()
    assert as_bytes(whole, of_whole(whole)) == as_bytes(cut, of_ranges(cut, [1, 3]))


# a series, and what is refused


def test_a_series_has_its_steps(birkhoff, tmp_path):
    done = birkhoff("gates", EXAMPLES / "mhc", "--json", "--plot", "g.png", "-o", "g.parquet")
    summary = json.loads(done.stdout)
    assert [one["step"] for one in summary["steps"]] == [0, 150, 300, 450, 600]
    assert summary["streams_read"] == summary["steps"][-1]["streams_read"]
    assert (tmp_path / "g.png").exists()
    assert birkhoff("plot", "g.parquet", "--plot", "again.png").returncode == 0


def test_matrices_alone_have_no_gates(birkhoff):
    birkhoff("trace", EXAMPLES / "mhc-lite.pt", "-o", "t.parquet", "-q")
    done = birkhoff("gates", "t.parquet")
    assert done.returncode == 4 and "neither H_pre nor H_post" in done.stderr
    with pytest.raises(Unsupported, match="neither H_pre nor H_post"):
        _ = gates.run((in_memory(np.eye(3)[None, None], (Site(0, "attn", "s"),), "x"),)).summary


def test_gates_that_are_not_finite_are_refused():
    rows = np.ones((2, 3, 6, 4))
    rows[1, 2, 0, 0] = np.nan
    with pytest.raises(BadInput, match="H_pre, H_post or H of layer 1, attn, sample 1"):
        _ = gates.run((trace_of(rows),)).summary
