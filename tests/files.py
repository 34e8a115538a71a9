"""Checkpoint files built by hand: sound ones, and ones no program would write.

Pickles are assembled from opcodes, so that a file can hold what `pickle` refuses to write, and so
that most tests need no torch.
"""

import json
import struct
import zipfile
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

import numpy as np

NUMPY_DTYPES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}


def name(module: str, qualified: str) -> bytes:
    return f"c{module}\n{qualified}\n".encode("utf-8", "surrogatepass")


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<i", len(data)) + data


def several(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def shape(numbers: Iterable[int]) -> bytes:
    return several(*map(number, numbers))


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + several(*arguments) + b"R"


def mapping(items: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def storage(key: str, size: int, kind: str = "FloatStorage") -> bytes:
    pid = several(text("storage"), name("torch", kind), text(key), text("cpu"), number(size))
    return pid + b"Q"


def view(
    source: bytes, sizes: tuple[int, ...], strides: tuple[int, ...] | None = None, offset: int = 0
) -> bytes:
    dense = tuple(prod(sizes[i + 1 :]) for i in range(len(sizes)))
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        *(source, number(offset), shape(sizes), shape(dense if strides is None else strides)),
        *(b"\x89", call(name("collections", "OrderedDict"))),
    )


def site_shapes(n: int = 2, width: int = 3) -> dict[str, tuple[int, ...]]:
    """Tensors of one site of type ``mhc``."""
    return {
        **{"static_alpha": (n, n + 1), "dynamic_alpha_fn": (n * width, n * (n + 1))},
        **{"static_beta": (n,), "dynamic_beta_fn": (n * width, n), "norm.gamma": (n * width,)},
        **{"pre_branch_scale": (1,), "residual_scale": (1,), "h_post_scale": ()},
    }


def model_shapes(layers: int = 1) -> dict[str, tuple[int, ...]]:
    return {
        f"transformer.h.{layer}.hc_{branch}.{tensor}": sizes
        for layer in range(layers)
        for branch in ("attn", "mlp")
        for tensor, sizes in site_shapes().items()
    }


def arrays(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}


def torch_file(
    path: Path,
    *,
    state: Mapping[str, bytes] | None = None,
    extra: Mapping[str, bytes] | None = None,
    body: bytes | None = None,
    records: Mapping[str, bytes] | None = None,
    without: str = "",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A small sound checkpoint of type mhc, apart from what is given.

    Args:
        path: where to write.
        state: tensors to put into or over the state dict, as opcodes.
        extra: further top-level items, as opcodes.
        body: the whole pickle without its frame.
        records: further records, or others in place of the sound ones.
        without: a record to leave out.
        compression: of all records.
    """
    data = arrays(model_shapes())
    keys = {tensor: str(i) for i, tensor in enumerate(data)}
    tensors = {k: view(storage(keys[k], a.size), a.shape) for k, a in data.items()}
    root = {"model": mapping({**tensors, **(state or {})}), **(extra or {})}
    stored = {
        "data.pkl": program(mapping(root) if body is None else body),
        "byteorder": b"little",
        **{f"data/{keys[k]}": a.tobytes() for k, a in data.items()},
        "version": b"3\n",
        **(records or {}),
    }
    with zipfile.ZipFile(path, "w", compression) as archive:
        for record, content in stored.items():
            if record != without:
                archive.writestr(f"ckpt/{record}", content)
    return path


def safetensors_bytes(data: Mapping[str, np.ndarray], dtype: str = "F32") -> bytes:
    header, blob = {}, b""
    for tensor, array in data.items():
        raw = array.astype(NUMPY_DTYPES[dtype]).tobytes()
        offsets = [len(blob), len(blob) + len(raw)]
        header[tensor] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        blob += raw
    return framed(json.dumps(header).encode(), blob)


def framed(header: bytes, blob: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + blob


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def monitor_log(steps: int = 3, sites: int = 4) -> str:
    """The log of a monitor, with an alarm at its last step."""
    names = ("row_max_p10", "row_max_p50", "row_max_p90", "diagonal_fraction")
    more = ("identity_distance", "barycenter_distance", "permutation_distance", "negative_mass")
    more += ("row_error_max", "column_error_max", "effective_streams")
    product = ("composite_row_max", "composite_column_max", "composite_spectral_norm_max")
    lines = []
    for step in range(1, steps + 1):
        line = {"step": step, "d": 4, "verdict": "identity-degenerate", **dict.fromkeys(names, 0.9)}
        for site in range(sites):
            line[f"layers.{site}.attn"] = dict.fromkeys((*names, *more), 0.1 + 0.01 * site)
        line["composite"] = dict.fromkeys(product, 1.0)
        line |= {"alarm": "identity-degenerate"} if step == steps else {}
        lines.append(json.dumps(line) + "\n")
    return "".join(lines)
