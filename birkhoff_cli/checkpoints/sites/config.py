"""What ``config.json`` says of hyper-connections, under the names that programs give it."""

import re
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints.sites.depth import depth_facts, in_one_model, is_draft, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.values import NOT_ITS_CODE, agree
from birkhoff_cli.containers import escape, where

CONFIG, BESIDE = "config.json", ("adapter_config.json", "gguf")
PARTS = ("text_config", "llm_config", "language_config")
"""Where a model of several parts says what its language model is."""

MAX_NESTED = 4
"""Depth of a part in parts."""

ITERS = (
    *("hc_sinkhorn_iters", "mhc_sinkhorn_iterations", "mhc_sinkhorn_iters", "mhc_recur_norm"),
    *("sinkhorn_iterations", "sinkhorn_iters", "hc_sinkhorn_iterations", "num_sinkhorn_iters"),
    *("num_sinkhorn_iterations", "mhc_num_sinkhorn_iters", "hc_iters", "mhc_iters"),
    *("hyper_connection_sinkhorn_iters", "hyper_connection_sinkhorn_iterations"),
)
STREAMS = (
    *("hc_mult", "mhc_num_residual_streams", "num_residual_streams", "mhc_expansion_rate"),
    *("mhc_num_stream", "hc_count"),
)
EPS = ("hc_eps", "mhc_eps")
NORM = ("rms_norm_eps", "norm_eps", "layernorm_epsilon")
POST = ("mhc_post_mult_value", "hc_magnitude")
LAYERS = ("num_hidden_layers", "n_layers", "num_layers")
WIDTH = ("hidden_size", "dim")
DRAFTS = (
    *("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_layers", "n_mtp_layers"),
    *("num_mtp_modules", "mtp_num_hidden_layers", "nextn_predict_layers"),
)
"""Layers of multi-token prediction, which stand behind those of the model."""

SETTING = re.compile(r"(?:^|_)(?:m?hc|hyper_?connections?|sinkhorn)(?:_|$)|residual_streams")
SWITCHES = re.compile(r"(?:use_|enable_)?(?:m?hc|hyper_connections)(?:_enabled?|_connections)?")
DRAFT_WORDS = ("eh_proj", "enorm", "hnorm", "shared_head")
DRAFT_TENSOR = re.compile(rf"(?:{'|'.join(DRAFT_WORDS)})(?:\..*)?")
"""What only a layer of multi-token prediction has."""


def model_config(store: NamedStore) -> Mapping[str, Any]:
    """``config.json``; of a model of several parts, the part about text.

    What is said of hyper-connections outside of that part is of the whole model, and counts too.
    """
    config = store.config.get(CONFIG)
    if not isinstance(config, dict):
        config = {}
    others = {CONFIG, *BESIDE}
    parts = {k: v for k, v in store.config.items() if isinstance(v, dict) and k not in others}
    inside = _text_part(parts)  # a torch file may hold what it was trained with
    if not _speaks(part := _text_part(config)):
        if _speaks(inside):
            config, part = inside, {**config, **inside}
    else:
        _note_other(store, part, inside, "the file itself")
        _note_other(store, part, config, "the whole configuration")
    outside = {key: value for key, value in config.items() if SETTING.search(key)}
    return {**outside, **part, "model_type": part.get("model_type", config.get("model_type", ""))}


def _note_other(
    store: NamedStore, part: Mapping[str, Any], other: Mapping[str, Any], where_: str
) -> None:
    """Note settings of hyper-connections that another configuration of the model has otherwise."""
    for key in filter(SETTING.search, part.keys() & other.keys()):
        if part[key] != other[key] and not isinstance(other[key], dict):
            sentence = (
                f"{escape(key, 40)} = {escape(part[key], 40)} is meant, as {CONFIG} says of the "
                f"language model, though {where_} says {escape(other[key], 40)}"
            )
            if sentence not in store.store.notes:
                store.store.notes.append(sentence)


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part by its name, else the first that has a setting of hyper-connections, else all."""
    for key in PARTS:
        if isinstance(part := config.get(key), dict):
            return part
    level: list[Mapping[str, Any]] = [config]
    for _ in range(MAX_NESTED):
        for part in level:
            if _speaks(part):
                return part
        level = [inner for part in level for inner in part.values() if isinstance(inner, dict)]
    return config


def _speaks(config: Mapping[str, Any]) -> bool:
    """Whether it has a setting of hyper-connections."""
    return any(SETTING.search(key) and not isinstance(config[key], dict) for key in config)


def agree_on(store: NamedStore, config: Mapping[str, Any], keys: Iterable[str], size: int) -> None:
    """Refuse a configuration that says another number under any of its names."""
    for key in keys:
        agree(store, config, key, size)


def unknown_settings(config: Mapping[str, Any], known: Iterable[str]) -> tuple[str, ...]:
    """A sentence for every key that looks like a setting of hyper-connections and is not used.

    Args:
        config: of the model.
        known: keys that the format reads.
    """
    used = {*known, *STREAMS}
    return tuple(
        f"{escape(key, 40)} = {escape(value, 40)} of the configuration is a setting that is not "
        f"known here: it has no part in H as it is read"
        for key, value in config.items()
        if SETTING.search(key) and key not in used and not SWITCHES.fullmatch(key)
    )


def trunk(
    store: NamedStore,
    pattern: re.Pattern[str],
    config: Mapping[str, Any],
    drafts: bool = False,
) -> float:
    """Number from which on layers are multi-token prediction; infinity if none are.

    Those whose tensors say so; and, where the configuration counts some, those behind the model's.

    Args:
        store: the checkpoint.
        pattern: of sites.
        config: of the model.
        drafts: whether the code has such layers, whatever the configuration counts.
    """
    stems = {name[: m.start("layer")] for name, m in in_one_model(store, pattern).items()}
    layer = re.compile(rf"(?:{'|'.join(map(re.escape, stems))})([0-9]{{1,6}})\.(.*)")
    every = "\n".join(store.tensors)  # of 100,000 names usually none has such a word
    some = stems and any(word in every for word in DRAFT_WORDS)
    matches = (layer.fullmatch(name) for name in store.tensors) if some else iter(())
    marked = [int(m[1]) for m in matches if m and DRAFT_TENSOR.fullmatch(m[2])]
    counted = drafts or any(type(config.get(key)) is int and config[key] > 0 for key in DRAFTS)
    layers = next((config[key] for key in LAYERS if type(config.get(key)) is int), 0)
    if counted and layers > 0:
        marked.append(layers)
    return min(marked, default=inf)


def depth_of(
    store: NamedStore,
    pattern: re.Pattern[str],
    layers: int,
    config: Mapping[str, Any],
    end: float,
    more: Iterable[re.Pattern[str]] = (),
) -> tuple[str, ...]:
    """What is assumed about the number of layers, and what is said of multi-token prediction.

    Args:
        store: the checkpoint.
        pattern: of sites.
        layers: those with sites, of the model itself.
        config: of the model.
        end: what `trunk` gives.
        more: patterns of sites of multi-token prediction.
    """
    facts = depth_facts(store, pattern, layers, config, LAYERS, end)
    beyond = {
        name[: match.start("tensor")]
        for name, match in matches(store, pattern)
        if int(match["layer"]) >= end
    }
    beyond |= {
        name[: match.start("tensor")]
        for form in (pattern, *more)
        for name, match in store.matching(form).items()
        if form is not pattern or is_draft(match)
    }
    return (*left_out(len(beyond)), *facts)


def left_out(sites: int) -> tuple[str, ...]:
    """The sentence about sites of multi-token prediction, if there are any."""
    if not sites:
        return ()
    return (
        f"{sites} mtp sites (multi-token prediction) are left out: the model's own depth "
        f"does not pass through them",
    )


def refuse_odd_layers(
    store: NamedStore, any_layer: re.Pattern[str], pattern: re.Pattern[str]
) -> None:
    """Refuse a site whose layer is no number, which would be left out.

    Raises:
        BadInput: naming the tensor.
    """
    for name, _ in matches(store, any_layer):
        if not pattern.fullmatch(name):
            raise BadInput(
                f"{where(store.path)}: '{escape(store.stored[name])}' is no layer; {NOT_ITS_CODE}"
            )
