"""Rounding of matrices, of parameters and of a model, against ml_dtypes, plain numpy and torch."""

import json
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from birkhoff_cli import checkpoints, load
from birkhoff_cli.analyses import quantise
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.geometry.rounding import FLOATS, INTEGERS
from birkhoff_cli.analyses.networks import language_model as lm
from birkhoff_cli.analyses.networks import token_run
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from conftest import ROOT
from test_extras import run as without_torch

TYPES = {
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
    "fp8-e4m3": ml_dtypes.float8_e4m3fn,
    "fp8-e5m2": ml_dtypes.float8_e5m2,
}
MODEL, TOKENS = ROOT / "examples" / "be-hc.pt", ROOT / "examples" / "val.bin"
ERRORS = {"row_error": -1, "column_error": -2}


def plain(x, format, axis=None):
    """Numbers as the format holds them; those along an axis, or all, share a step."""
    if format in TYPES:
        return x.astype(TYPES[format]).astype(float)
    top = 2 ** (INTEGERS[format] - 1) - 1
    step = np.abs(x).max(axis=axis, keepdims=True) / top
    return np.round(x / step) * step


def product(h):
    whole = np.eye(h.shape[-1])
    for matrix in h:
        whole = matrix @ whole
    return whole


def rows_of(result):
    return {(r["what"], r["format"], r["metric"], r["site"]): r for r in result.table.to_pylist()}


def trace_of(theta, map_):
    h = map_(theta)
    sites = tuple(Site(k, "attn", str(k)) for k in range(h.shape[1]))
    return replace(in_memory(h, sites, "made"), map=map_, theta=theta)


def test_every_format_is_in_the_table():
    assert (*FLOATS, *INTEGERS) == quantise.FORMATS == (*TYPES, *INTEGERS)


@pytest.mark.parametrize("scales", ["tensor", "row"])
@pytest.mark.parametrize("format", quantise.FORMATS)
def test_numbers_are_those_of_plain_numpy(format, scales, rng):
    theta = rng.normal(size=(1, 5, 16)).astype(np.float32)
    map_ = MHC(4, iters=3)
    trace = trace_of(theta, map_)
    result = quantise.run(trace, formats=format, scales=scales)
    rows = rows_of(result)
    h = trace.matrices[0].astype(float)
    rounded = {
        "theta": np.stack(
            [map_(plain(t, format).astype(np.float32)).astype(float) for t in theta[0]]
        ),
        "matrices": np.stack([plain(m, format, 1 if scales == "row" else None) for m in h]),
    }
    for what, found in rounded.items():
        assert not np.allclose(found, h, atol=1e-5, rtol=0)
        for site in range(5):
            expected = {
                "distance": np.linalg.norm(found[site] - h[site]),
                "entry_change": np.abs(found[site] - h[site]).max(),
                **{m: np.abs(found[site].sum(axis) - 1).max() for m, axis in ERRORS.items()},
            }
            for metric, value in expected.items():
                assert rows[what, format, metric, site]["max"] == pytest.approx(value, abs=1e-7)
        whole, old = product(found), product(h)
        expected = {
            "distance": np.linalg.norm(whole - old),
            "row_error": np.abs(whole.sum(-1) - 1).max(),
            "spectral_norm": np.linalg.norm(whole, 2),
        }
        for metric, value in expected.items():
            row = rows[what, format, f"composite_{metric}", None]
            assert row["mean"] == pytest.approx(value, abs=1e-6)
    assert [r["what"] for r in result.summary["roundings"]] == ["theta", "matrices"]
    errors = np.abs(h.sum(-1) - 1).max()
    assert result.summary["row_error_max"] == pytest.approx(errors, abs=1e-12)


def test_whole_numbers_are_between_minus_and_plus_their_largest(rng):
    """Per row: 15 steps for int4, whose ends are the largest modulus of the row."""
    h = rng.normal(size=(3, 2, 4, 4))
    trace = in_memory(h, (Site(0, "attn", "a"), Site(0, "mlp", "b")), "made")
    result = quantise.run(trace, formats="int4", scales="row")
    (row,) = result.summary["roundings"]
    half = np.abs(h).max(-1, keepdims=True) / 14
    assert row["entry_change_max"] <= half.max() and row["what"] == "matrices"
    exact = half * 2 * rng.integers(-6, 8, size=h.shape)
    exact[..., 0] = half[..., 0] * 14  # the largest of its row: the step is exact
    again = quantise.run(in_memory(exact, trace.sites, "made"), formats="int4", scales="row")
    assert again.summary["roundings"][0]["entry_change_max"] < 1e-14


def test_exact_sums_survive_rounding_of_parameters_and_not_of_matrices():
    """BE-HC's claim of H, at every precision: theta may be rounded, what it makes may not."""
    summary = quantise.run(load(ROOT / "examples" / "be-hc.pt")).summary
    for row in summary["roundings"]:
        drift = max(row["composite_row_error_max"], row["composite_column_error_max"])
        assert (drift < 2e-6) is (row["what"] == "theta"), row


@pytest.mark.parametrize("what", ["theta", "matrices", "model"])
@pytest.mark.parametrize("scales", ["tensor", "row"])
def test_losses_are_those_of_a_model_that_was_rounded_by_hand(what, scales):
    torch = pytest.importorskip("torch")
    trace = load(MODEL, inputs=f"tokens={TOKENS}", sequences=3, length=16)
    summary = quantise.run(trace, what=what, formats="int6", scales=scales).summary
    row, tokens = summary["roundings"][0], trace.run.tokens
    expected = _loss_by_hand(what, scales, tokens, torch)
    assert row["loss"] == pytest.approx(expected, abs=1e-5)
    assert abs(row["loss"] - summary["loss"]) > 1e-7
    assert row["loss_change"] == pytest.approx(row["loss"] - summary["loss"])
    assert row["retention"] == pytest.approx(row["accuracy"] / summary["accuracy"])
    bare = _loss_by_hand("nothing", scales, tokens, torch)
    assert summary["loss"] == pytest.approx(bare, abs=1e-5)
    assert summary["samples"] == 48


def _loss_by_hand(what, scales, tokens, torch):
    """Tensors rounded one by one, and a forward pass in float64, site after site."""

    def rounded(x):
        return plain(x, "int6", -1 if scales == "row" and x.ndim > 1 else None)

    checkpoint = checkpoints.read(MODEL)
    with checkpoint.opened() as store:
        model = checkpoint.model(store)
    x = (model.embedding, model.positions)
    if what == "model":
        x = tuple(map(rounded, x))
    embedding, positions = (torch.tensor(np.asarray(a)).double() for a in x)
    streams = (embedding[tokens] + positions[: tokens.shape[1]])[..., None, :]
    streams = streams.expand(*streams.shape[:-2], 4, -1)
    for site, branch in zip(model.connections, model.branches, strict=True):
        one = site
        if what in ("theta", "model"):
            weight = rounded(site.weight.T).T  # outputs last in memory, rows of torch's own
            one = site.converted(lambda a: plain(np.asarray(a), "int6") if np.any(a) else a)
            one = replace(one, weight=weight)
        one = one.converted(lambda a: torch.tensor(np.asarray(a, float)))
        weights = one(streams)
        h = weights.mixing
        if what == "matrices":
            flat = h.reshape(-1, 4, 4).numpy()
            axis = (-1,) if scales == "row" else (-2, -1)
            h = torch.tensor(plain(flat, "int6", axis)).reshape(h.shape)
        inner, outer = branch.inner, branch.outer
        if what == "model":
            inner, outer = (a._replace(weight=rounded(a.weight)) for a in (inner, outer))
        own = branch._replace(inner=inner, outer=outer)
        own = lm.Branch(own.name, *(_doubled(a, torch) for a in own[1:]))
        read = (weights.pre[..., None, :] @ streams)[..., 0, :]
        written = lm._branch(own, read, model.heads)
        streams = h @ streams + weights.post[..., None] * written[..., None, :]
    width = streams.shape[-1]
    norm = _doubled(model.norm, torch)
    last = torch.nn.functional.layer_norm(streams, (width,), *norm, lm.EPS).sum(-2)
    logits = last @ embedding.T
    following = torch.tensor(tokens[:, 1:]).flatten()
    found = logits[:, :-1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(found, following).item()


def _doubled(affine, torch):
    return type(affine)(*(None if a is None else torch.tensor(a).double() for a in affine))


def test_losses_do_not_depend_on_how_batches_are_cut(monkeypatch):
    pytest.importorskip("torch")
    trace = load(MODEL, inputs=f"tokens={TOKENS}", sequences=5, length=16)
    one = quantise.run(trace, formats="int8").summary
    monkeypatch.setattr(token_run, "TOKENS", 32)
    two = quantise.run(trace, formats="int8").summary
    assert one["loss"] == pytest.approx(two["loss"], abs=1e-6)
    assert one["roundings"][0]["distance_max"] == pytest.approx(
        two["roundings"][0]["distance_max"], rel=1e-4
    )


def test_what_cannot_be_rounded_is_refused(rng):
    h = MHC(3)(rng.normal(size=(2, 1, 9)))
    trace = in_memory(h, (Site(0, "attn", "a"),), "made")
    for what in ("theta", "both"):
        with pytest.raises(UsageError, match="parameters of made are not known"):
            quantise.run(trace, what=what)
    with pytest.raises(UsageError, match="tokens=FILE"):
        quantise.run(trace, what="model")
    with pytest.raises(UsageError, match="did you mean 'int8'"):
        quantise.run(trace, formats="int7")
    with pytest.raises(BadInput, match="no matrices"):
        quantise.run(in_memory(h[:0], trace.sites, "made"))
    gaussian = load(MODEL, inputs="gaussian", samples=3)
    with pytest.raises(UsageError, match="random streams"):
        quantise.run(gaussian, what="theta")
    assert {r["what"] for r in quantise.run(gaussian).summary["roundings"]} == {"matrices"}


def test_without_torch_static_matrices_are_rounded_and_tokens_refused(tmp_path):
    done = without_torch(f"quantise {MODEL} --json", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "loss" not in json.loads(done.stdout)
    done = without_torch(f"quantise {MODEL} --inputs tokens={TOKENS}", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "birkhoff-cli[torch]" in done.stderr


def test_a_single_token_has_no_next_one(birkhoff):
    pytest.importorskip("torch")
    words = ("--inputs", f"tokens={TOKENS}", "--sequences", "1", "--length", "1")
    done = birkhoff("quantise", MODEL, *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
