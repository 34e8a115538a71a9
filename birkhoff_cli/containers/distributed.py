"""A directory as torch.distributed.checkpoint writes it: ``.metadata``, and files of chunks.

``.metadata`` is a pickle that says in which file, at which byte, each chunk of each tensor lies;
every chunk is a small file of torch.save. Both are read as descriptions, without torch.
"""

import hashlib
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.descriptors import Descriptor
from birkhoff_cli.containers.kinds import check_regular
from birkhoff_cli.containers.names import MAX_AXES, TABLE, Name, Opaque, View, number
from birkhoff_cli.containers.plain import plain
from birkhoff_cli.containers.sidecars import is_file_name, read_json
from birkhoff_cli.containers.store import (
    DAMAGED,
    INCOMPLETE,
    Store,
    TensorInfo,
    escape,
    refusing,
    where,
)
from birkhoff_cli.containers.torch_zip import list_tensors, open_archive, pickle_of

METADATA = ".metadata"
BACKEND = "metadata.json"
COMMON = "common.pt"
MAX_METADATA = 64 << 20
MAX_COMMON = 32 << 20
MAX_BACKEND = 1 << 20
MAX_OVERHEAD = 1 << 20
"""Bytes of a chunk's file beyond its elements."""

CHECKPOINT = "torch.distributed.checkpoint."
COMMON_STATE = re.compile(r"common_state/shard_[0-9]+_[0-9]+")


class Span(NamedTuple):
    """Where one object of the checkpoint lies."""

    file: str
    start: int
    length: int


class Chunk(NamedTuple):
    """A box of a tensor, and where it lies."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    span: Span


class MetadataDescriptor(Descriptor):
    """Reads ``.metadata``: keys of its dicts may be records, which are told apart by identity."""

    def find_class(self, module: str, name: str) -> Name:
        """Records of torch.distributed.checkpoint stay inert; all else is as in models."""
        full = f"{module}.{name}"
        if full.startswith(CHECKPOINT) or full == "torch.serialization._get_layout":
            return Name(full, lambda *arguments: Opaque(full, arguments))
        return super().find_class(module, name)

    def _update(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], dict) and all(isinstance(k, Opaque) for k in items[::2]):
            self.stack[-1].update(zip(items[::2], items[1::2], strict=True))
        else:
            super()._update(items)


class ArgumentsDescriptor(Descriptor):
    """Reads the arguments of a run, among which are objects of Megatron and of torch."""

    def find_class(self, module: str, name: str) -> Name:
        """What Megatron, torch or signal define stays an inert record, and is not looked up."""
        full = f"{module}.{name}"
        if full not in TABLE and module.partition(".")[0] in ("megatron", "torch", "signal"):
            return Name(full, lambda *arguments: Opaque(full, arguments))
        return super().find_class(module, name)


class Distributed(Store):
    """A directory whose metadata has been read; chunks are read on demand."""

    container = "distributed"

    chunks: Mapping[str, tuple[Chunk, ...]]

    def _values(self, name: str) -> NDArray[Any]:
        info, chunks = self.tensors[name], self.chunks[name]
        # Only what the files really hold is ever allocated: chunks fill the tensor, each once.
        parts = [self._chunk(name, chunk, info.dtype) for chunk in chunks]
        if len(parts) == 1 and parts[0].shape == info.shape:
            return parts[0]
        values = np.empty(info.shape, parts[0].dtype if parts else np.float32)
        seen = np.zeros(info.shape, bool)
        for chunk, part in zip(chunks, parts, strict=True):
            box = tuple(slice(o, o + n) for o, n in zip(chunk.offsets, chunk.sizes, strict=True))
            values[box], seen[box] = part, True
        if not seen.all():
            raise BadInput(f"{where(self.path)}: '{escape(name)}' has holes; {INCOMPLETE}")
        return values

    def _chunk(self, name: str, chunk: Chunk, dtype: str) -> NDArray[Any]:
        info = TensorInfo(chunk.sizes, dtype)
        path, data = self._bytes(chunk.span, info.nbytes + MAX_OVERHEAD)

        def listing(view: Any) -> tuple[dict[str, View], dict[str, Any]]:
            if not isinstance(view, View) or view.info != info:
                raise BadInput(
                    f"{where(path)}: a chunk of '{escape(name)}' has not the shape and dtype that "
                    f"the metadata says; {DAMAGED}"
                )
            return {name: view}, {}

        return list_tensors(path, io.BytesIO(data), listing).read(name)

    def _bytes(self, span: Span, limit: int) -> tuple[Path, bytes]:
        """A stretch of a file beside the metadata, which is there in full."""
        path = self.path / span.file
        if span.length > limit:
            raise BadInput(f"{where(path)}: a chunk is larger than its tensor; {DAMAGED}")
        check_regular(path)
        with path.open("rb") as file:
            file.seek(span.start)
            data = file.read(span.length)
        if len(data) < span.length:
            raise BadInput(f"{where(path)}: ends inside a chunk; {INCOMPLETE}")
        part = f"{span.file}[{span.start}:{span.start + span.length}]"
        self._note(part, hashlib.sha256(data).digest(), len(data))
        return path, data


def open_distributed(folder: Path) -> Distributed:
    """Read the metadata and the arguments of the run; no tensor is read yet.

    Raises:
        BadInput: damaged, incomplete or hostile.
        Unsupported: chunks that are compressed, or a backend that is not torch's.
    """
    with refusing(folder):
        return _open(folder)


def _open(folder: Path) -> Distributed:
    path = folder / METADATA
    check_regular(path)
    with path.open("rb") as file:
        store = Distributed(folder, file, 0)
        data = file.read(MAX_METADATA + 1)
    if len(data) > MAX_METADATA:
        raise Unsupported(
            f"{where(path)}: is larger than {MAX_METADATA >> 20} MB; save the mixing tensors alone"
        )
    store._note(METADATA, hashlib.sha256(data).digest(), len(data))
    _check_backend(store)
    root = _state(MetadataDescriptor(data, path).load())
    spans = dict(_spans(path, root["storage_data"]))
    tensors = dict(_tensors(path, root["state_dict_metadata"], spans))
    store.tensors = {name: info for name, (info, _) in tensors.items()}
    store.chunks = {name: chunks for name, (_, chunks) in tensors.items()}
    files = {chunk.span.file for chunks in store.chunks.values() for chunk in chunks}
    store.size = len(data) + _size_of_files(folder, files, spans.values())
    store.notes += _left_out(folder, {span.file for span in spans.values()})
    store.config = _common(store, spans)
    return store


def _left_out(folder: Path, listed: Collection[str]) -> list[str]:
    """The sentence about a file of chunks that the metadata does not list."""
    entries = () if places.is_remote(folder) else folder.iterdir()  # no further request
    others = sorted(e.name for e in entries if e.suffix == ".distcp" and e.name not in listed)
    assumption = f"{METADATA} lists the whole model, though it has nothing of"
    return [f"{assumption} {escape(others[0], 60)} beside it"] if others else []


def _size_of_files(folder: Path, files: Iterable[str], spans: Iterable[Span]) -> int:
    """Bytes of the files that hold tensors, each as long as all that lies in it needs."""
    ends: dict[str, int] = {}
    for span in spans:
        ends[span.file] = max(ends.get(span.file, 0), span.start + span.length)
    total = 0
    for path in (folder / name for name in sorted(files)):
        check_regular(path)
        size = path.stat().st_size
        if size < (end := ends[path.name]):
            sizes = f"has {size:,} bytes and should have {end:,}"
            raise BadInput(f"{where(path)}: {sizes}; {INCOMPLETE}")
        total += size
    return total


def _check_backend(store: Distributed) -> None:
    """Megatron says beside it what wrote the checkpoint; others say nothing."""
    if not (path := store.path / BACKEND).exists():
        return
    notes, sha256, size = read_json(path, MAX_BACKEND)
    store._note(BACKEND, sha256, size)
    if (backend := notes.get("sharded_backend", "torch_dist")) != "torch_dist":
        raise Unsupported(
            f"{where(path)}: the backend '{escape(backend, 20)}' is not known here; "
            f"save with torch_dist"
        )


def _spans(path: Path, stored: Any) -> Iterator[tuple[tuple[str, tuple[int, ...]], Span]]:
    """Places by name and first index; an object that is no tensor has no index."""
    for key, value in stored.items():
        index, info = _state(key), _state(value)
        offset = index.get("offset")
        if info.get("transform_descriptors"):
            raise Unsupported(f"{where(path)}: its chunks are compressed; save without transforms")
        if not is_file_name(info["relative_path"]):
            raise BadInput(
                f"{where(path)}: names a file that is no plain file name beside it; "
                f"do not use this checkpoint"
            )
        span = Span(info["relative_path"], number(info["offset"]), number(info["length"]))
        yield (str(index["fqn"]), () if offset is None else _size(offset)), span


def _tensors(
    path: Path, stored: Any, locations: Mapping[tuple[str, tuple[int, ...]], Span]
) -> Iterator[tuple[str, tuple[TensorInfo, tuple[Chunk, ...]]]]:
    """Tensors of the model; those of the optimizer are left out."""
    for name, entry in stored.items():
        if name.startswith("optimizer.") or not entry.name.endswith(".TensorStorageMetadata"):
            continue
        state = _state(entry)
        dtype = _dtype(state)
        info = TensorInfo(_size(state["size"]), dtype)
        boxes = [_state(chunk) for chunk in state["chunks"]]
        spans = [(_size(box["offsets"]), _size(box["sizes"])) for box in boxes]
        if any((name, offsets) not in locations for offsets, _ in spans):
            raise BadInput(f"{where(path)}: a chunk of '{escape(name)}' is nowhere; {INCOMPLETE}")
        chunks = tuple(Chunk(o, n, locations[name, o]) for o, n in spans)
        if not dtype or not _fill(info, chunks):
            raise BadInput(f"{where(path)}: '{escape(name)}' is not made of its chunks; {DAMAGED}")
        yield name, (info, chunks)


def _fill(info: TensorInfo, chunks: tuple[Chunk, ...]) -> bool:
    """Whether the chunks lie inside the tensor, and have as many elements together."""
    for chunk in chunks:
        if not len(chunk.offsets) == len(chunk.sizes) == len(info.shape):
            return False
        ends = (o + n for o, n in zip(chunk.offsets, chunk.sizes, strict=True))
        if any(end > n for end, n in zip(ends, info.shape, strict=True)):
            return False
    return info.size == sum(TensorInfo(chunk.sizes, info.dtype).size for chunk in chunks)


def _dtype(state: Mapping[str, Any]) -> str:
    properties = state["properties"].state
    dtype = properties["dtype"] if isinstance(properties, dict) else properties[0]
    return dtype.dtype if isinstance(dtype, Name) else ""


def _state(value: Any) -> dict[str, Any]:
    if not isinstance(value, Opaque) or not isinstance(value.state, dict):
        raise ValueError("a record")
    return value.state


def _size(value: Any) -> tuple[int, ...]:
    if not isinstance(value, Opaque) or value.name != "torch.Size":
        raise ValueError("a size")
    (sizes,) = value.arguments
    if type(sizes) is not tuple or len(sizes) > MAX_AXES:
        raise ValueError("a size")
    return tuple(number(n) for n in sizes)


def _common(
    store: Distributed, locations: Mapping[tuple[str, tuple[int, ...]], Span]
) -> dict[str, Any]:
    """Megatron's arguments of the run: an entry of its own, or, before July 2026, a file."""
    common = [p for (name, _), p in locations.items() if COMMON_STATE.fullmatch(name)]
    if not common and (path := store.path / COMMON).exists():
        check_regular(path)
        common = [Span(COMMON, 0, path.stat().st_size)]
    for span in common:
        path, data = store._bytes(span, MAX_COMMON)
        archive = open_archive(path, io.BytesIO(data))
        root = ArgumentsDescriptor(pickle_of(archive), path).load()
        for part in root if isinstance(root, list) else [root]:
            if isinstance(part, dict) and "args" in part:
                kept = {k: part[k] for k in ("args", "iteration") if k in part}
                return {str(k): v for k, v in plain(kept).items()}
    return {}
