"""Checkpoints in directories: shards behind an index, and what reads their sites."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from birkhoff_cli import checkpoints
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, Unsupported, UsageError
from birkhoff_cli.containers import open_store

INDEX = "model.safetensors.index.json"
CONFIG = {"hc_mult": 2, "hc_sinkhorn_iters": 7, "hc_eps": 1e-3, "hidden_size": 3}
CONFIG |= {"num_hidden_layers": 2, "model_type": "deepseek_v4", "rms_norm_eps": 1e-6}
NAMINGS = {
    "modules": "model.layers.{}.{}_hc.{}",
    "original": "model.layers.{}.hc_{}_{}",
    "release": "layers.{}.hc_{}_{}",
    "of several parts": "model.language_model.layers.{}.{}_hc.{}",
    "torchtitan": "layers.{}.hc_{}_pre.hc_{}",
}


def tensors(rng, naming="release", n=2, width=3, layers=2):
    shapes = {"fn": (n * (n + 2), n * width), "base": (n * (n + 2),), "scale": (3,)}
    return {
        NAMINGS[naming].format(layer, branch, tensor): rng.normal(size=shape).astype(np.float32)
        for layer in range(layers)
        for branch in ("ffn", "attn")
        for tensor, shape in shapes.items()
    }


def sharded(folder, model, shards=2, config=CONFIG):
    """Every tensor in turn to the next shard, as no real program does."""
    folder.mkdir(exist_ok=True)
    homes = {name: f"model-{i % shards}.safetensors" for i, name in enumerate(model)}
    for home in sorted(set(homes.values())):
        save_file({k: v for k, v in model.items() if homes[k] == home}, folder / home)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": homes}))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def reference(base, n, iters, eps):
    """As the code of DeepSeek-V4 has it, in float64."""
    z = base[2 * n :].reshape(n, n).astype(np.float64)
    comb = np.exp(z - z.max(-1, keepdims=True))
    comb = comb / comb.sum(-1, keepdims=True) + eps
    comb = comb / (comb.sum(-2, keepdims=True) + eps)
    for _ in range(iters - 1):
        comb = comb / (comb.sum(-1, keepdims=True) + eps)
        comb = comb / (comb.sum(-2, keepdims=True) + eps)
    return comb.T


def test_static_matrices_are_those_that_the_trained_model_applied(checkpoints):
    from birkhoff_cli import checkpoints as formats

    folder = checkpoints / "hf_v4_origfmt"
    truth = np.load(folder / "truth.npz")
    found = formats.read(folder)
    trace = found.trace()
    assert (found.format, found.method, found.d) == ("deepseek_v4", "mhc", 4)
    assert (found.layers, found.width) == (4, 64)
    assert [s.name for s in trace.sites] == truth["site_names"].tolist()
    error = np.abs(trace.matrices[0] - truth["H_static"]).max()
    assert error <= 1e-5, f"largest error {error:.2e}"
    print(f"largest error {error:.2e}")
    assert found.assumptions == ()
    said = {s.name: (s.value, s.source) for s in found.settings}
    assert said == {
        "hc_mult": (4, "stored"),
        "iters": (20, "config"),
        "eps": (1e-6, "config"),
        "rms_norm_eps": (1e-6, "config"),
    }


def test_inspect_takes_a_directory(birkhoff, tmp_path, rng):
    sharded(tmp_path / "model", tensors(rng))
    for path in ("model", tmp_path / "model"):
        run = birkhoff("inspect", path)
        assert run.returncode == 0, run.stderr
        assert "deepseek_v4" in run.stdout and "comb^T" in run.stdout


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("shards", [0, 1, 3])
def test_every_naming_gives_the_matrix_of_the_formula(tmp_path, rng, naming, shards):
    model = tensors(rng, naming, n=3, layers=11)
    config = {**CONFIG, "hc_mult": 3, "num_hidden_layers": 11}
    folder = sharded(tmp_path / "model", model, max(shards, 1), config)
    if not shards:
        (folder / INDEX).unlink()
        (folder / "model-0.safetensors").rename(folder / "model.safetensors")
    trace = checkpoints.read(folder).trace()
    assert [s[:2] for s in trace.sites] == [(i, b) for i in range(11) for b in ("attn", "mlp")]
    for site, found in zip(trace.sites, trace.matrices[0], strict=True):
        branch = {"mlp": "ffn"}.get(site.branch, site.branch)
        base = model[NAMINGS[naming].format(site.layer, branch, "base")]
        np.testing.assert_allclose(found, reference(base, 3, 7, 1e-3), atol=2e-6)


def test_without_a_configuration_the_defaults_are_assumptions(tmp_path, rng):
    folder = sharded(tmp_path / "model", tensors(rng), config=None)
    found = checkpoints.read(folder)
    said = [a.split(" (")[0] for a in found.assumptions]
    assert said[:3] == ["sinkhorn iterations 20", "eps 1e-06", "rms_norm_eps 1e-06"]
    assert said[3].startswith("no more layers than names have, 2; nothing in the file says")
    chosen = checkpoints.read(folder, {"iters": "3", "eps": "0.5", "rms_norm_eps": "0"})
    assert len(chosen.assumptions) == 1
    assert (chosen.map.iters, chosen.map.eps) == (3, 0.5)
    sharded(folder, tensors(rng))
    assert checkpoints.read(folder, {"iters": "3"}).map.eps == 1e-3


def test_a_file_without_its_directory_is_read_with_the_defaults(tmp_path, rng):
    save_file(tensors(rng), tmp_path / "f", metadata={"config.json": "text"})
    assert len(checkpoints.read(tmp_path / "f").assumptions) == 4


@pytest.mark.parametrize(("family", "eps"), [("glm5_next_text", 1e-5), ("deepseek_v4", 1e-6)])
def test_relatives_have_defaults_of_their_own(tmp_path, rng, family, eps):
    folder = sharded(tmp_path / "model", tensors(rng), config={"model_type": family})
    said = {s.name: s.value for s in checkpoints.read(folder).settings}
    assert said["rms_norm_eps"] == eps


def test_the_configuration_of_the_text_part_is_used(tmp_path, rng):
    config = {"hc_sinkhorn_iters": 5, "text_config": CONFIG}
    folder = sharded(tmp_path / "model", tensors(rng, "of several parts"), config=config)
    assert checkpoints.read(folder).map.iters == 7


@pytest.mark.parametrize(
    ("place", "family"),
    [
        ("mtp.0", "deepseek_v4"),
        ("model.mtp_layers.0", "hy_v4"),
        ("layers.2", "glm5_next_text"),
        ("model.layers.2", "glm5_next"),
    ],
)
def test_sites_of_multi_token_prediction_are_left_out_and_said(tmp_path, rng, place, family):
    model = tensors(rng)
    model |= {k.replace("layers.1", place): v for k, v in model.items() if "layers.1" in k}
    config = {**CONFIG, "model_type": family}
    found = checkpoints.read(sharded(tmp_path / "model", model, config=config))
    assert len(found.sites) == 4
    assert found.assumptions[0].startswith("2 mtp sites (multi-token prediction) are left out")


@pytest.mark.parametrize(
    "naming",
    [
        "model.layers.0.{}_hc.{}",
        "layers.0.hc_{}_layer.hc_{}",
        "model.layers.0.hc_pre.hc_{}_layer.hc_{}",
        "model.layers.0.hc_{}_layer.hc_pre.hc_{}",
    ],
)
def test_hy_v4_mixes_nothing(tmp_path, rng, naming):
    shapes = {"fn": (8, 12), "base": (8,), "scale": (2,)}
    model = {
        naming.format(branch, tensor): rng.normal(size=shape).astype(np.float32)
        for branch in ("attn", "mlp")
        for tensor, shape in shapes.items()
    }
    found = checkpoints.read(sharded(tmp_path / "model", model, config=None))
    assert (found.map, found.method, found.d, found.width) == (None, "identity", 4, 3)
    assert "H = I" in found.convention
    said = [a.split(" (")[0] for a in found.assumptions]
    assert said[:3] == ["eps 1e-06", "rms_norm_eps 1e-05", "magnitude 2"]
    np.testing.assert_array_equal(found.trace().matrices, np.eye(4)[None, None].repeat(2, 1))


def test_only_headers_and_the_wanted_tensors_are_read(tmp_path, rng):
    model = tensors(rng)
    model["layers.0.ffn.experts.weight"] = np.zeros((1 << 24,), np.float32)
    folder = sharded(tmp_path / "model", model)
    with open_store(folder) as store:
        files = sum((folder / f).stat().st_size for f in (INDEX, "config.json"))
        heads = sum(
            int.from_bytes(path.read_bytes()[:8], "little") for path in folder.glob("*.safetensors")
        )
        assert store.bytes_read == files + heads
        store.read("layers.0.hc_attn_base")
        store.read("layers.0.hc_attn_base")
        assert store.bytes_read == files + heads + 8 * 4
        assert store.size == sum(p.stat().st_size for p in folder.iterdir())


def test_the_digest_covers_what_was_read_and_nothing_else(tmp_path, rng):
    def digest():
        return checkpoints.read(folder).inputs[0]["sha256"]

    model = tensors(rng)
    folder = sharded(tmp_path / "model", model)
    first = digest()
    assert digest() == first
    model["layers.1.hc_attn_fn"] += 1
    sharded(folder, model)
    assert digest() == first
    model["layers.1.hc_attn_base"] += 1
    sharded(folder, model)
    assert digest() != first
    model["layers.1.hc_attn_base"] -= 1
    sharded(folder, model, config={**CONFIG, "more": 1})
    assert digest() != first


def test_links_to_shards_are_followed(tmp_path, rng):
    folder = sharded(tmp_path / "blobs", tensors(rng))
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for file in folder.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert checkpoints.read(snapshot).layers == 2


REVISION = "0123456789abcdef0123456789abcdef01234567"


def cached(root, model, revision=REVISION):
    """As huggingface_hub keeps it: files are links to blobs that are named by their hash."""
    home = root / "models--ORG--NAME"
    for name in ("blobs", "refs", "snapshots/" + revision):
        (home / name).mkdir(parents=True)
    for k, file in enumerate(sharded(root / "plain", model).iterdir()):
        file.rename(home / "blobs" / f"{k:064x}")
        (home / "snapshots" / revision / file.name).symlink_to(f"../../blobs/{k:064x}")
    (home / "refs" / "main").write_text(revision)
    return home


def test_a_model_in_the_cache_of_hugging_face_is_read(birkhoff, tmp_path, rng):
    home = cached(tmp_path, tensors(rng))
    wanted = checkpoints.read(home / "snapshots" / REVISION)
    assert checkpoints.read(home).inputs == wanted.inputs
    assert wanted.inputs[0]["name"] == REVISION
    assert birkhoff("inspect", home).returncode == 0
    run = birkhoff("depth-drift", home, "--inputs", "gaussian", "-n", "10")
    assert run.returncode == 0, run.stderr
    other = "f" * 40
    (home / "snapshots" / REVISION).rename(home / "snapshots" / other)
    with pytest.raises(BadInput, match="is no directory there, though refs/main names it"):
        checkpoints.read(home)
    (home / "refs" / "main").unlink()
    assert checkpoints.read(home).inputs[0]["name"] == other
    (home / "snapshots" / REVISION).mkdir()
    with pytest.raises(BadInput, match="does not name a revision"):
        checkpoints.read(home)


@pytest.mark.parametrize("word", ["", "main", "../../plain", "0123/456789", "A" * 40, "\x1b[31m"])
def test_a_note_in_the_cache_that_names_no_revision_is_refused(tmp_path, rng, word):
    home = cached(tmp_path, tensors(rng))
    (home / "refs" / "main").write_text(word)
    with pytest.raises(BadInput, match="refs/main: does not name a revision") as error:
        checkpoints.read(home)
    assert word == "main" or not word or word not in str(error.value)


def test_a_revision_that_leads_out_of_the_cache_is_refused(tmp_path, rng):
    home = cached(tmp_path, tensors(rng))
    (home / "snapshots" / REVISION).rename(tmp_path / "elsewhere")
    (home / "snapshots" / REVISION).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="is no directory there"):
        checkpoints.read(home)


def test_a_note_in_the_cache_that_is_a_pipe_is_not_opened(tmp_path, rng):
    home = cached(tmp_path, tensors(rng))
    (home / "refs" / "main").unlink()
    os.mkfifo(home / "refs" / "main")
    with pytest.raises(BadInput, match="is a device, pipe or socket"):
        checkpoints.read(home)


def test_a_shard_that_is_replaced_meanwhile_is_refused(tmp_path, rng):
    folder = sharded(tmp_path / "model", tensors(rng))
    with open_store(folder) as store:
        data = (folder / "model-0.safetensors").read_bytes()
        (folder / "new").write_bytes(data)
        (folder / "new").rename(folder / "model-0.safetensors")
        with pytest.raises(BadInput, match="changed while it was read"):
            store.read(next(n for n, h in store.homes.items() if h == ("model-0.safetensors",)))


def rewritten(change):
    """A change of the index as an object."""

    def run(folder):
        index = json.loads((folder / INDEX).read_text())
        index["weight_map"] = change(index["weight_map"])
        (folder / INDEX).write_text(json.dumps(index))

    return run


def named(home):
    return rewritten(lambda homes: {**homes, next(iter(homes)): home})


def replaced(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def without(folder):
    (folder / "model-1.safetensors").unlink()


def fifo(folder):
    without(folder)
    os.mkfifo(folder / "model-1.safetensors")


def loop(folder):
    without(folder)
    (folder / "model-1.safetensors").symlink_to("model-1.safetensors")


def directory(folder):
    without(folder)
    (folder / "model-1.safetensors").mkdir()


def link(target, name="model-1.safetensors"):
    def run(folder):
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return run


def cut(folder):
    path = folder / "model-1.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


SECRET = b'{"secret": "hunter2", "weight_map": 1}'
NO_NAME = "names a shard that is no plain file name"
HOSTILE = {
    "a parent": (named("../model-0.safetensors"), NO_NAME),
    "dots": (named(".."), NO_NAME),
    "dots inside": (named("a..b"), NO_NAME),
    "a dot": (named("."), NO_NAME),
    "nothing": (named(""), NO_NAME),
    "absolute": (named("/etc/passwd"), NO_NAME),
    "a folder": (named("sub/model.safetensors"), NO_NAME),
    "a backslash": (named("sub\\model.safetensors"), NO_NAME),
    "a drive": (named("C:model.safetensors"), NO_NAME),
    "a NUL": (named("model-0.safetensors\0"), NO_NAME),
    "a surrogate": (named("\ud800"), NO_NAME),
    "a long name": (named("x" * 256), NO_NAME),
    "a number": (named(7), NO_NAME),
    "a list": (named(["model-0.safetensors"]), NO_NAME),
    "no map": (rewritten(lambda _: []), "has no weight_map"),
    "an empty map": (rewritten(lambda _: {}), "has no weight_map"),
    "many shards": (
        rewritten(lambda m: {**m, **{str(i): f"f{i}" for i in range(1001)}}),
        "lists 1003 shards",
    ),
    "a long tensor name": (rewritten(lambda m: {**m, "x" * 1025: "f"}), "name too long"),
    "a tensor elsewhere": (
        rewritten(lambda m: {**m, "gone\x1b": "model-0.safetensors"}),
        r"model-0.safetensors: lacks the tensor 'gone\\x1b'",
    ),
    "a missing shard": (without, "model-1.safetensors: no such file"),
    "a pipe": (fifo, "model-1.safetensors: is a device, pipe or socket"),
    "a loop of links": (loop, "model-1.safetensors: cannot be opened"),
    "a directory": (directory, "model-1.safetensors: is a directory"),
    "the kernel's files": (link("/proc/self/environ"), "is a device, pipe or socket"),
    "a device": (link("/dev/zero"), "is a device, pipe or socket"),
    "a foreign file": (link("/etc/passwd"), "is of no known kind"),
    "an archive": (
        replaced("model-1.safetensors", b"PK\x03\x04"),
        "does not end as a zip archive",
    ),
    "a shard cut short": (cut, "the last 1 bytes are missing"),
    "a key twice": (
        replaced(INDEX, b'{"weight_map": {"a": "f", "a": "g"}}'),
        "no strict JSON",
    ),
    "NaN": (replaced(INDEX, b'{"weight_map": NaN}'), "no strict JSON"),
    "infinity": (replaced(INDEX, b'{"weight_map": 1e999}'), "no strict JSON"),
    "a long number": (replaced(INDEX, b'{"weight_map": ' + b"9" * 5000 + b"}"), "no strict JSON"),
    "no UTF-8": (replaced(INDEX, b'{"weight_map": "\xff"}'), "no strict JSON"),
    "UTF-16": (replaced(INDEX, '{"weight_map": 1}'.encode("utf-16")), "no strict JSON"),
    "nothing at all": (replaced(INDEX, b""), "no strict JSON"),
    "a list instead": (replaced(INDEX, b"[]"), "is JSON, but no object"),
    "deep lists": (replaced(INDEX, b"[" * 100_000), "has more lists than any model needs"),
    "less deep lists": (replaced(INDEX, b"[" * 9_000), "no strict JSON"),
    "a huge index": (replaced(INDEX, b" " * ((32 << 20) + 1)), "is larger than 32 MB"),
    "a foreign index": (replaced(INDEX, SECRET), "has no weight_map"),
    "an index that is a device": (link("/dev/zero", INDEX), "is a device, pipe or socket"),
    "an index that loops": (link(INDEX, INDEX), "cannot be opened"),
    "a whole model as well": (
        replaced("model.safetensors", b""),
        "holds model.safetensors and an index that does not list it",
    ),
    "a configuration with a key twice": (
        replaced("config.json", b'{"hc_eps": 1, "hc_eps": 0}'),
        "config.json: is no strict JSON",
    ),
    "a configuration with NaN": (
        replaced("config.json", b'{"hc_eps": NaN}'),
        "config.json: is no strict JSON",
    ),
    "a configuration that is a device": (
        link("/dev/zero", "config.json"),
        "config.json: is a device",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_directories_are_refused_in_one_line(tmp_path, rng, case):
    change, sentence = HOSTILE[case]
    folder = sharded(tmp_path / "model", tensors(rng))
    change(folder)
    with pytest.raises(BirkhoffError, match=sentence) as error:
        checkpoints.read(folder)
    message = str(error.value)
    assert isinstance(error.value, BadInput | Unsupported)
    assert message.startswith(str(folder)) and message.isprintable()
    assert "hunter2" not in message and "root:" not in message
    assert len(message) < len(str(folder)) + 250


def test_a_byte_order_mark_is_read_over(tmp_path, rng):
    folder = sharded(tmp_path / "model", tensors(rng))
    for name in (INDEX, "config.json"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert checkpoints.read(folder).map.iters == 7


def test_a_loop_of_links_beside_a_checkpoint_is_no_checkpoint(tmp_path, rng):
    save_file(tensors(rng), tmp_path / "model.safetensors")
    (tmp_path / "loop").symlink_to("loop")
    assert checkpoints.read(tmp_path).layers == 2


def test_an_index_that_lists_nothing_is_refused(tmp_path):
    (tmp_path / "pytorch_model.bin.index.json").write_text("{}")
    with pytest.raises(BadInput, match="has no weight_map"):
        checkpoints.read(tmp_path)


CONTRADICTIONS = {
    "streams": ({"hc_mult": 4}, "hc_mult = 4, its tensors say 2"),
    "streams as text": ({"hc_mult": "2"}, "hc_mult = '2', its tensors say 2"),
    "width": ({"hidden_size": 5}, "hidden_size = 5, its tensors say 3"),
    "layers": ({"num_hidden_layers": 3}, "num_hidden_layers = 3, its tensors say 2"),
    "iterations": ({"hc_sinkhorn_iters": 100_001}, "hc_sinkhorn_iters = 100001, expected"),
    "half an iteration": ({"hc_sinkhorn_iters": 0.5}, "hc_sinkhorn_iters = 0.5, expected"),
    "true iterations": ({"hc_sinkhorn_iters": True}, "hc_sinkhorn_iters = True, expected"),
    "eps": ({"hc_eps": 1}, "hc_eps = 1, expected a number from 0 to below 1"),
    "negative eps": ({"hc_eps": -1e-6}, "hc_eps = -1e-06, expected"),
    "eps of the norm": ({"rms_norm_eps": 1}, "rms_norm_eps = 1, expected a number from 0 to"),
    "a true eps": ({"rms_norm_eps": True}, "rms_norm_eps = True, expected"),
    "eps as text": ({"hc_eps": "\x1b"}, r"hc_eps = '\\x1b', expected"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_configurations_that_cannot_be_are_refused(tmp_path, rng, case):
    change, sentence = CONTRADICTIONS[case]
    folder = sharded(tmp_path / "model", tensors(rng), config={**CONFIG, **change})
    with pytest.raises(BadInput, match=sentence):
        checkpoints.read(folder)


def other(name, value):
    return lambda model: {**model, name: np.asarray(value, model.get(name, np.float32()).dtype)}


def renamed(old, new):
    return lambda model: {k.replace(old, new): v for k, v in model.items()}


DAMAGED = {
    "another digit": (renamed("layers.1", "layers.\u0661"), "is no layer"),
    "a large layer": (renamed("layers.1", "layers.9999999"), "is no layer"),
    "a missing layer": (renamed("layers.1", "layers.7"), "layer 1 has no attn site"),
    "no base": (renamed("hc_attn_base", "x"), "layer 0, attn has no base of 1 axes"),
    "a flat fn": (other("layers.0.hc_attn_fn", np.zeros(8)), "has no fn of 2 axes"),
    "rows": (other("layers.0.hc_attn_fn", np.zeros((7, 6))), "is that of no number of streams"),
    "no rows": (other("layers.0.hc_attn_fn", np.zeros((0, 6))), "is that of no number of streams"),
    "columns": (other("layers.0.hc_attn_fn", np.zeros((8, 5))), "is that of no number of streams"),
    "mixed n": (
        other("layers.1.hc_ffn_base", np.zeros(15)),
        r"layer 1, mlp: base has shape \(15,\), expected \(8,\)",
    ),
    "NaN": (
        other("layers.1.hc_ffn_base", np.full(8, np.nan)),
        "layer 1, mlp: base holds NaN or infinity",
    ),
    "two namings": (
        lambda model: {**model, **renamed("layers", "model.layers")(model)},
        "are the same tensor",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_tensors_that_contradict_each_other_are_refused(tmp_path, rng, case):
    change, sentence = DAMAGED[case]
    folder = sharded(tmp_path / "model", change(tensors(rng)), config=None)
    with pytest.raises(BadInput, match=sentence):
        checkpoints.read(folder)


@pytest.mark.parametrize("word", ["1", "-1", "nan", "inf", "many", ""])
def test_an_eps_that_cannot_be_is_refused(tmp_path, rng, word):
    folder = sharded(tmp_path / "model", tensors(rng))
    with pytest.raises(UsageError, match="expected a number from 0 to below 1"):
        checkpoints.read(folder, {"eps": word})
    with pytest.raises(UsageError, match="itres"):
        checkpoints.read(folder, {"itres": "1"})


def test_the_directory_that_is_worked_in_has_a_name(tmp_path, rng, monkeypatch):
    monkeypatch.chdir(sharded(tmp_path / "model", tensors(rng)))
    assert checkpoints.read(Path()).inputs[0]["name"] == "model"


ALIASES = {
    **{"hc_sinkhorn_iters": 5, "mhc_sinkhorn_iterations": 5, "mhc_sinkhorn_iters": 5},
    **{"mhc_recur_norm": 5, "sinkhorn_iterations": 5},
}


@pytest.mark.parametrize("key", ALIASES)
@pytest.mark.parametrize("part", ["", "text_config"])
def test_settings_are_read_under_every_name_that_programs_give_them(tmp_path, rng, key, part):
    said = {key: 5, "mhc_eps": 1e-2, "mhc_num_residual_streams": 2, "num_hidden_layers": 2}
    config = {part: said} if part else said
    found = checkpoints.read(sharded(tmp_path / "model", tensors(rng), config=config))
    assert (found.map.iters, found.map.eps) == (5, 1e-2)
    wrong = {**said, "mhc_num_residual_streams": 3}
    with pytest.raises(BadInput, match="mhc_num_residual_streams = 3, its tensors say 2"):
        checkpoints.read(sharded(tmp_path / "other", tensors(rng), config=wrong))


def test_two_names_of_one_setting_that_differ_are_refused(tmp_path, rng):
    config = {**CONFIG, "mhc_sinkhorn_iterations": 9}
    folder = sharded(tmp_path / "model", tensors(rng), config=config)
    with pytest.raises(BadInput, match="hc_sinkhorn_iters = 7 and mhc_sinkhorn_iterations = 9"):
        checkpoints.read(folder)
    assert checkpoints.read(folder, {"iters": "9"}).map.iters == 9


def test_a_key_that_looks_like_a_setting_and_is_not_known_is_named(tmp_path, rng):
    config = {**CONFIG, "hc_warp": 3, "mhc_tau": 0.05, "mhc_enabled": True, "vocab_size": 9}
    found = checkpoints.read(sharded(tmp_path / "model", tensors(rng), config=config))
    assert [a.split(" of the config")[0] for a in found.assumptions] == [
        "hc_warp = 3",
        "mhc_tau = 0.05",
    ]


def test_the_largest_post_is_a_setting(tmp_path, rng):
    config = {**CONFIG, "mhc_post_mult_value": 3.0}
    found = checkpoints.read(sharded(tmp_path / "model", tensors(rng), config=config))
    assert {s.name: s.value for s in found.settings}["magnitude"] == 3
    with found.opened() as store:
        assert all(site.post.bounds == (0, 3) for site in found.connect(store))


@pytest.mark.parametrize(
    ("config", "more"),
    [
        ({"num_nextn_predict_layers": 1}, ()),
        ({"num_mtp_modules": 1}, ()),
        ({}, ("layers.2.eh_proj.weight",)),
        (None, ("layers.2.enorm.weight",)),
    ],
)
def test_a_layer_more_that_something_explains_is_left_out_and_said(tmp_path, rng, config, more):
    model = tensors(rng, layers=3) | {name: np.zeros(3, np.float32) for name in more}
    if config is not None:
        config = {**CONFIG, **config}
    found = checkpoints.read(sharded(tmp_path / "model", model, config=config))
    assert (found.layers, len(found.sites)) == (2, 4)
    assert any(a.startswith("2 mtp sites (multi-token") for a in found.assumptions)


def test_a_layer_more_that_nothing_explains_is_refused(tmp_path, rng):
    folder = sharded(tmp_path / "model", tensors(rng, layers=3))
    with pytest.raises(BadInput, match="num_hidden_layers = 2, its tensors say 3"):
        checkpoints.read(folder)


@pytest.mark.parametrize("padded", [("fn",), ("fn", "base")])
def test_rows_that_only_fill_a_tile_are_left_out_and_said(tmp_path, rng, padded):
    model = tensors(rng)
    whole = checkpoints.read(sharded(tmp_path / "whole", model))
    for name, array in model.items():
        if name.endswith(padded):
            model[name] = np.concatenate(
                [array, np.ones((24 - len(array), *array.shape[1:]))]
            ).astype(np.float32)
    found = checkpoints.read(sharded(tmp_path / "padded", model))
    np.testing.assert_array_equal(found.trace().matrices, whole.trace().matrices)
    assert any("fn has 24 rows, of which the first 8 are read" in a for a in found.assumptions)
    with found.opened() as one, whole.opened() as other:
        for site, right in zip(found.connect(one), whole.connect(other), strict=True):
            np.testing.assert_array_equal(site.weight, right.weight)


def test_a_model_of_another_name_is_read_and_said(tmp_path, rng):
    config = {**CONFIG, "model_type": "new_v5"}
    found = checkpoints.read(sharded(tmp_path / "model", tensors(rng), config=config))
    assert any("model_type 'new_v5' is not known here" in a for a in found.assumptions)


# a file by itself, and its configuration


@pytest.mark.parametrize("place", ["beside", "above"])
def test_a_file_named_by_itself_takes_the_configuration_near_it(tmp_path, rng, place):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(tensors(rng), folder / "weights.safetensors")
    home = folder if place == "beside" else tmp_path
    (home / "config.json").write_text(json.dumps(CONFIG))
    for path in (folder / "weights.safetensors", folder):
        found = checkpoints.read(path)
        assert found.map.iters == 7
        said = ["config.json is that of the folder above"] if place == "above" else []
        assert list(found.assumptions) == said


def test_a_configuration_that_has_nothing_to_do_with_a_file_is_no_reason_to_refuse_it(
    tmp_path, rng
):
    save_file(tensors(rng), tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text("{broken")
    found = checkpoints.read(tmp_path / "weights.safetensors")
    assert any("config.json beside the file is not read" in a for a in found.assumptions)
    with pytest.raises(BadInput, match="strict JSON"):
        checkpoints.read(tmp_path)


def test_a_configuration_above_that_is_no_models_is_left_alone(tmp_path, rng):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(tensors(rng), folder / "weights.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"hc_sinkhorn_iters": 3}))
    assert checkpoints.read(folder).map.iters == 20


def test_a_tensor_that_two_shards_have_is_one_or_is_refused(tmp_path, rng):
    """Of shards of two saves the numbers of one were read."""
    model = tensors(rng)
    name = next(n for n in model if n.endswith("hc_attn_base"))
    save_file(model, tmp_path / "a.safetensors")
    save_file({name: model[name]}, tmp_path / "b.safetensors")
    save_file({"other": model[name]}, tmp_path / "b.safetensors")
    listed = {"weight_map": dict.fromkeys(model, "a.safetensors") | {"other": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(listed))
    whole = checkpoints.read(tmp_path).trace().matrices
    for more, same in ((0, True), (1, False)):
        twice = {"other": model[name], name: model[name] + np.float32(more)}
        save_file(twice, tmp_path / "b.safetensors")
        if same:
            assert np.array_equal(checkpoints.read(tmp_path).trace().matrices, whole)
            continue
        with pytest.raises(BadInput, match="differs between a.* and b.*files of two models"):
            checkpoints.read(tmp_path)


def test_what_an_index_leaves_out_of_its_files_is_said(tmp_path):
    """The last layer, which the shards hold and the index does not list, was left out."""
    folder = sharded(tmp_path / "f", tensors(np.random.default_rng(0), layers=3), config=None)
    index = json.loads((folder / INDEX).read_text())
    homes = index["weight_map"]
    index["weight_map"] = {n: h for n, h in homes.items() if not n.startswith("layers.2.")}
    (folder / INDEX).write_text(json.dumps(index))
    found = checkpoints.read(folder)
    said = f"{INDEX} lists the whole model, though its files hold 6 more tensors"
    assert found.layers == 2
    assert f"{said} ('layers.2.hc_attn_base'), which are not read" in found.assumptions


@pytest.mark.parametrize("more", [0, 1])
def test_an_index_that_counts_more_bytes_than_its_files_have_is_said(more, tmp_path):
    model = tensors(np.random.default_rng(0))
    folder = sharded(tmp_path / "f", model, config=None)
    index = json.loads((folder / INDEX).read_text())
    size = sum(array.nbytes for array in model.values())
    index["metadata"] = {"total_size": size + more}
    (folder / INDEX).write_text(json.dumps(index))
    said = f"though it says that it has {size + more:,} bytes and its files have {size:,}"
    assert more == any(said in text for text in checkpoints.read(folder).assumptions)


def test_two_values_of_a_setting_in_one_configuration_are_said(tmp_path):
    """The one of the language model was taken in silence."""
    more = {"text_config": {**CONFIG, "hc_sinkhorn_iters": 3}}
    folder = sharded(tmp_path / "f", tensors(np.random.default_rng(0)), config={**CONFIG, **more})
    found = checkpoints.read(folder)
    assert found.map.iters == 3
    said = "hc_sinkhorn_iters = 3 is meant, as config.json says of the language model, though the"
    assert f"{said} whole configuration says 7" in found.assumptions
