"""Make ``recorded/*.tar.xz`` and ``cases.tar.xz`` from ``../shared``.

Run ``PYTHONPATH=. python tests/data/cut.py [FOLDER ...]`` after ``../shared`` has changed.
A trained checkpoint is cut by writing zeros over the values that no test needs: names, shapes,
layout and settings are those of the original file, and every value that is left is what the
original code computed. `README.md` beside this file says what is left.
"""

import io
import json
import lzma
import re
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from birkhoff_cli.containers import torch_zip

DATA = Path(__file__).parent
SHARED = DATA.parents[2] / "shared"
MAX_BYTES = 200_000
"""Bytes that an archive may have."""

STREAMS = 16
"""Tokens whose streams are kept."""

XZ = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 2, "pb": 2}]
"""Most of it is float32: what a byte is likely to be follows from its place in a group of four."""

Rows: TypeAlias = "int | tuple[int, ...] | None"
"""The leading rows of a tensor, those rows, or all."""

Rules: TypeAlias = Mapping[str, Rows]
"""By a pattern of tensors' names, the rows that are kept; of a tensor without a pattern, none."""

STATIC = r"\.hc_(attn|mlp)\.(static_\w+|\w+_scale|H_\w+_logits)$"
SITES = r"(^|\.)h\.0\.hc_(attn|mlp)\.(dynamic_\w+|norm\.gamma)$"
FIRST_SITE = SITES.replace("attn|mlp", "attn")
BRANCH = r"(^|\.)h\.0\.hc_attn\.branch\."
EMBEDDINGS = r"(^|\.)(wte|wpe)\.weight$"
NANOGPT: Rules = dict.fromkeys((STATIC, SITES, BRANCH, EMBEDDINGS))

LUCIDRAINS: Rules = dict.fromkeys(
    (r"^layers\.\d\.(static|dynamic|norm\.|\w+_scale)", r"^layers\.0\.branch\.")
)
DEEPSEEK: Rules = dict.fromkeys((r"layers\.\d\.hc_\w+_(base|scale)$", r"layers\.0\.hc_\w+_fn$"))
MEGATRON: Rules = {
    r"^decoder\.layers\.\w+_hyper_connection\.(bias|alpha_\w+)$": None,
    r"^decoder\.layers\.\w+_hyper_connection\.mapping_proj\.weight$": 1,  # of layers
}

BEGINNING = (slice(0, 1), slice(0, STREAMS))
"""The first tokens of the first window."""


class Plan(NamedTuple):
    """What is kept of a folder."""

    tensors: Rules
    more: Mapping[str, Rules] = {}
    """Of single files, beside `tensors`."""
    sites: int = 2
    """First sites whose matrices follow from the tensors that are kept."""
    windows: tuple[slice, slice] = (slice(None), slice(None))
    """Windows and positions of the tokens."""
    tokens: int = 64
    """First tokens whose matrices are kept."""
    text: bool = False
    """Whether the held-out text is kept."""


def plan_series() -> Plan:
    """Four steps of one run: of each the first site on the first tokens."""
    tokens = np.load(SHARED / "checkpoints" / "series_mhc_n4" / "tokens.npy")[BEGINNING]
    first: Rules = {
        **dict.fromkeys((STATIC, FIRST_SITE)),
        r"wte\.weight$": tuple(np.unique(tokens).tolist()),
        r"wpe\.weight$": STREAMS,
    }
    # The first update is held to our trainer's: embeddings, the branches drawn first and last.
    start = dict.fromkeys((EMBEDDINGS, r"h\.[05]\.hc_attn\.branch\.(0\.|1\.c_proj)"))
    return Plan(first, {"ckpt_000001.pt": start}, 1, BEGINNING, STREAMS, text=True)


def plans() -> dict[str, Plan]:
    """By folder of ``../shared/checkpoints``."""
    return {
        "gomhc_toy_s1": Plan({"": None}, sites=12),
        "hf_v4_origfmt": Plan(DEEPSEEK),
        "kromhc_n4": Plan(NANOGPT),
        "lucid_mhc": Plan(LUCIDRAINS),
        "megatron_main": Plan(MEGATRON),
        "mhclite_hc_n4": Plan(NANOGPT, text=True),
        "mhclite_mhc_lite_n4": Plan(NANOGPT),
        "mhclite_mhc_n4": Plan(NANOGPT, text=True),
        "series_mhc_n4": plan_series(),
        "tb_mhc_ortho": Plan(NANOGPT),
        "tb_mhc_tau1": Plan(NANOGPT),
    }


def rows_of(name: str, rules: Rules) -> Iterator[Rows]:
    return (rows for pattern, rows in rules.items() if re.search(pattern, name))


def mark(kept: np.ndarray, name: str, rules: Rules) -> None:
    """Set the elements of a tensor that are kept."""
    for rows in rows_of(name, rules):
        if rows is None:
            kept[...] = True
        else:
            kept[slice(rows) if isinstance(rows, int) else list(rows)] = True


def zero(data: bytearray, start: int, kept: np.ndarray) -> None:
    """Zero the bytes from ``start`` on that are not kept."""
    np.frombuffer(data, np.uint8, len(kept), start)[~kept] = 0


def cut_zip(data: bytearray, kept: Mapping[str, np.ndarray]) -> None:
    """Zero what is not kept of the storages of a torch archive, in place, with its checksums.

    Args:
        data: the archive.
        kept: a mask of the bytes of each record ``data/KEY`` of which some are kept.
    """
    archive = zipfile.ZipFile(io.BytesIO(data))
    following = archive.start_dir
    for entry in archive.infolist():
        central = following  # PKZIP's application note, 4.3.12 and 4.3.7, has these numbers
        following += 46 + sum(struct.unpack_from("<HHH", data, central + 28))
        if not re.search(r"/data/\d+$", entry.filename):
            continue
        local, size = entry.header_offset, entry.file_size
        start = local + 30 + sum(struct.unpack_from("<HH", data, local + 26))
        key = entry.filename.rsplit("/", 1)[1]
        zero(data, start, kept.get(key, np.zeros(size, bool)))
        crc = struct.pack("<I", zlib.crc32(data[start : start + size]))
        data[central + 16 : central + 20] = crc
        if data[start + size : start + size + 4] == b"PK\x07\x08":
            data[start + size + 4 : start + size + 8] = crc
        else:
            data[local + 14 : local + 18] = crc


def cut_torch(path: Path, rules: Rules) -> bytes:
    """What ``torch.save`` wrote; tensors may share a storage, and lie in it in any order."""
    data = bytearray(path.read_bytes())
    kept: dict[str, np.ndarray] = {}
    with torch_zip.open_file(path) as store:
        for name, view in store.views.items():
            size = store.records[f"data/{view.storage.key}"].file_size
            item = size // view.storage.size
            mask = kept.setdefault(view.storage.key, np.zeros(size, bool))
            strides = (*(stride * item for stride in view.strides), 1)
            shape = (*view.info.shape, item)
            mark(
                np.lib.stride_tricks.as_strided(mask[view.offset * item :], shape, strides),
                *(name, rules),
            )
    cut_zip(data, kept)
    return bytes(data)


def cut_safetensors(path: Path, rules: Rules) -> bytes:
    """A file of safetensors, whose tensors are kept whole or not at all."""
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        kept = np.full(stop - start, any(rows is None for rows in rows_of(name, rules)))
        zero(data, 8 + length + start, kept)
    return bytes(data)


def cut_distributed(path: Path, rules: Rules) -> bytes:
    """A ``.distcp``: torch archives of parts of tensors, where the metadata beside it says."""
    from torch.distributed.checkpoint import FileSystemReader, TensorStorageMetadata

    data = bytearray(path.read_bytes())
    metadata = FileSystemReader(path.parent).read_metadata()
    for index, place in metadata.storage_data.items():
        tensor = metadata.state_dict_metadata[index.fqn]
        if not isinstance(tensor, TensorStorageMetadata):
            continue
        kept = np.zeros((*tensor.size, tensor.properties.dtype.itemsize), bool)
        mark(kept, index.fqn, rules)
        for chunk in tensor.chunks:
            if chunk.offsets == index.offset:
                spans = zip(chunk.offsets, chunk.sizes, strict=True)
                kept = kept[tuple(slice(start, start + size) for start, size in spans)]
        record = data[place.offset : place.offset + place.length]
        cut_zip(record, {"0": kept.ravel()})
        data[place.offset : place.offset + place.length] = record
    return bytes(data)


def cut_arrays(path: Path, plan: Plan) -> bytes:
    """What was recorded in an ``.npz``, of the first sites and tokens.

    Left out is what follows from the whole model alone: logits, loss, streams after the last site.
    """
    first = {
        **dict.fromkeys(("H", "H_pre", "H_post", "branch_in"), np.s_[: plan.tokens, : plan.sites]),
        **dict.fromkeys(("cos_sim_in", "cos_sim"), np.s_[: plan.sites]),
        "cos_sim_out": np.s_[: plan.sites - 1],  # needs the branch of the site
        "x_in": np.s_[:STREAMS, : plan.sites],
        **dict.fromkeys(("H_static", "site_names", "target"), np.s_[:]),
    }
    with np.load(path) as arrays:
        kept = {name: arrays[name][first[name]] for name in arrays.files if name in first}
    file = io.BytesIO()
    np.savez(file, **kept)
    return file.getvalue()


def cut_tokens(path: Path, plan: Plan) -> bytes:
    file = io.BytesIO()
    np.save(file, np.load(path)[plan.windows])
    return file.getvalue()


def cut(path: Path, plan: Plan) -> bytes:
    """The bytes that stand for a file."""
    rules = {**plan.tensors, **plan.more.get(path.name, {})}
    if path.name == "tokens.npy":
        return cut_tokens(path, plan)
    if path.suffix == ".npz":
        return cut_arrays(path, plan)
    cutters = {".pt": cut_torch, ".safetensors": cut_safetensors, ".distcp": cut_distributed}
    return cutters[path.suffix](path, rules) if path.suffix in cutters else path.read_bytes()


def files_of(folder: Path) -> list[Path]:
    """All files, those of one suffix together: cases that hold the same weights compress."""
    return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: (p.suffix, p))


def pack(target: Path, files: Mapping[Path, bytes]) -> None:
    """Write an archive whose bytes follow from its files alone.

    Raises:
        SystemExit: it would be too large.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(str(path.relative_to(SHARED)))
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    packed = lzma.compress(archive.getvalue(), filters=XZ)
    print(f"{target.relative_to(DATA)}: {len(packed):,} bytes", flush=True)
    if len(packed) > MAX_BYTES:
        sys.exit(f"{target}: more than {MAX_BYTES:,} bytes; keep less")
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(packed)


def main(names: list[str]) -> None:
    """Make the archives of these folders, or all."""
    for name, plan in plans().items():
        if not names or name in names:
            files = files_of(SHARED / "checkpoints" / name)
            kept = {p: cut(p, plan) for p in files if plan.text or p.name != "val.bin"}
            pack(DATA / "recorded" / f"{name}.tar.xz", kept)
    if not names or "cases" in names:
        pack(DATA / "cases.tar.xz", {p: p.read_bytes() for p in files_of(SHARED / "cases")})


if __name__ == "__main__":
    main(sys.argv[1:])
