"""Hostile and broken files: each is refused with one line, quickly, and nothing in it is run."""

import os
import pickle
import signal
import struct
import subprocess
import sys
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import files
import fuzz
from birkhoff_cli import checkpoints
from birkhoff_cli.analyses.core.errors import BirkhoffError, Unsupported
from birkhoff_cli.containers import escape, open_store

ROOT = Path(__file__).parents[1]


def read_all(path):
    """Everything that can be read: each tensor, and the matrices."""
    with open_store(path) as store:
        for tensor in store.tensors:
            store.read(tensor)
        store.digest()
    return checkpoints.read(path).trace()


def refused(path, match=None):
    """Hold that it is refused as our users are promised; returns the message."""
    with pytest.raises(BirkhoffError, match=match) as error:
        read_all(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert len(message) <= 300, len(message)
    assert message.isprintable()
    assert "weights_only" not in message
    return message


def test_the_sound_files_are_read(tmp_path):
    """Otherwise none of the refusals below would mean anything."""
    assert read_all(files.torch_file(tmp_path / "a")).d == 2
    data = files.safetensors_bytes(files.arrays(files.model_shapes()))
    assert read_all(files.written(tmp_path / "b", data)).d == 2


# Pickles that would run something.

GADGETS = {
    **dict.fromkeys(["os system", "posix system", "subprocess getoutput"], "touch {}"),
    **dict.fromkeys(
        ["builtins eval", "builtins exec", "__builtin__ eval", "__builtin__ execfile"],
        "open('{}', 'w')",
    ),
    **dict.fromkeys(
        ["timeit timeit", "cProfile run", "pdb run", "doctest debug_script", "bdb Bdb.run"],
        "open('{}', 'w')",
    ),
    **dict.fromkeys(["builtins open", "io open", "_io open", "codecs open"], "{}"),
    **dict.fromkeys(["pathlib Path.touch", "pathlib PosixPath.write_text"], "{}"),
    **dict.fromkeys(["pkgutil resolve_name", "pydoc locate"], "os:system"),
    **dict.fromkeys(["builtins getattr", "builtins __import__", "operator attrgetter"], "os"),
    **dict.fromkeys(["importlib import_module", "runpy run_path", "runpy run_module"], "os"),
    **dict.fromkeys(["torch.hub load", "torch load", "torch.jit load", "torch.package x"], "{}"),
    **dict.fromkeys(["torch.storage _load_from_bytes", "torch.serialization load"], "{}"),
    **dict.fromkeys(["torch._utils _rebuild_tensor", "torch._utils _rebuild_wrapper"], "{}"),
    **dict.fromkeys(["numpy load", "numpy.testing._private.utils runstring", "numpy f2py"], "{}"),
    **dict.fromkeys(
        ["functools partial", "functools reduce", "builtins map", "types CodeType"], ""
    ),
    **dict.fromkeys(["collections OrderedDict.__class__", "collections abc"], ""),
    **dict.fromkeys(["copyreg _reconstructor", "copy_reg __newobj__", "copyreg add_extension"], ""),
    **dict.fromkeys(["torch._utils _rebuild_tensor_v2.__globals__", "torch os.system"], "touch {}"),
    **dict.fromkeys(
        ["ctypes CDLL", "webbrowser open", "multiprocessing.util spawnv_passfds"], "{}"
    ),
    **dict.fromkeys(["__main__ GPT", "model GPTConfig", "\x1b[2J\u202e x\x07"], "{}"),
}


def gadget(spelling, marker):
    module, _, name = spelling.partition(" ")
    return files.call(files.name(module, name), files.text(GADGETS[spelling].format(marker)))


def test_the_gadgets_do_run_where_they_are_trusted(tmp_path):
    marker = tmp_path / "ran"
    pickle.loads(files.program(gadget("os system", marker)))
    assert marker.exists()


@pytest.mark.parametrize("place", ["root", "item", "tensor", "key", "unused"])
@pytest.mark.parametrize("spelling", GADGETS)
def test_no_object_of_a_pickle_is_called(tmp_path, spelling, place):
    marker = tmp_path / "ran"
    attack = gadget(spelling, marker)
    where = {
        "root": {"body": attack},
        "item": {"extra": {"config": attack}},
        "tensor": {"state": {"transformer.h.0.hc_attn.static_alpha": attack}},
        "key": {"body": b"}(" + attack + b"Nu"},
        "unused": {"body": attack + b"0}"},
    }[place]
    message = refused(files.torch_file(tmp_path / "f", **where), "state_dict tensors alone")
    assert escape(spelling.replace(" ", ".", 1))[:40] in message
    assert not marker.exists()


OPCODES = {
    "inst": b"(X\x02\0\0\0id" + b"ios\nsystem\n",
    "obj": b"(" + files.name("os", "system") + files.text("id") + b"o",
    "new": files.name("os", "system") + files.several(files.text("id")) + b"\x81",
    "new with keywords": files.name("os", "system") + b")}\x92",
    "stack global": files.text("os") + files.text("system") + b"\x93",
    "dotted stack global": files.text("torch") + files.text("os.system") + b"\x93",
    "stack global of numbers": b"K\x01K\x02\x93",
    "global alone": files.name("os", "system"),
    "extension": b"\x82\x01",
    "textual persistent id": b"Pos.system\n",
    "next buffer": b"\x97",
    "bytearray": b"\x96" + struct.pack("<Q", 1 << 40),
    "state with __setstate__": files.call(files.name("pathlib", "Path"))
    + files.mapping({"__setstate__": files.name("os", "system")})
    + b"b",
    "call of a tensor": files.view(files.storage("0", 6), (2, 3)) + b")R",
    "call of text": files.text("os.system") + b")R",
    "call without arguments": files.name("torch._utils", "_rebuild_tensor_v2") + b")R",
    "call of a list": files.name("collections", "OrderedDict") + b"]R",
    "call with many arguments": files.name("torch", "Size") + b"(" + b"N" * 1000 + b"tR",
    "ordered dict of pairs": files.call(files.name("collections", "OrderedDict"), b"]"),
    "item of text": files.text("a") + b"NNs",
    "a key twice": b"}(" + 2 * (files.text("a") + b"N") + b"u",
    "empty stack": b"00",
    "no mark": b"t",
    "memo not set": b"h\x07",
    "unknown opcode": b"\xff",
    "no opcodes": b"",
    "root is a list": b"]",
    "root is a number": b"K\x01",
    "root is a tensor": files.view(files.storage("0", 6), (2, 3)),
    "no stop": b"}" + b"N" * 10,
    "text beyond the end": b"X\xff\xff\xff\x7fabc",
    "negative text": b"T\xff\xff\xff\xffabc",
    "frame beyond the end": b"\x95" + struct.pack("<Q", 1 << 62),
    "utf-8 damaged": b"X\x02\0\0\0\xff\xfe",
}


@pytest.mark.parametrize("case", OPCODES)
def test_odd_programs_are_refused(tmp_path, case):
    refused(files.torch_file(tmp_path / "f", body=OPCODES[case]))


@pytest.mark.parametrize(
    "spelling", ["os system", "builtins eval", "torch.hub load", "__main__ GPT"]
)
def test_legacy_files_run_nothing(tmp_path, spelling):
    import torch

    marker = tmp_path / "ran"
    torch.save({"model": {}}, tmp_path / "sound", _use_new_zipfile_serialization=False)
    head = (tmp_path / "sound").read_bytes()
    end = head.index(b"model") - 10
    system = head[: head.rindex(b"\x80\x02", 0, end)]
    path = files.written(tmp_path / "f", system + files.program(gadget(spelling, marker)))
    refused(path, "torch refuses this old file")
    assert not marker.exists()


# Tensors that are not where or what they say.

FIRST = "transformer.h.0.hc_attn.static_alpha"
HUGE = 1 << 40
VIEWS = {
    "stride 0, huge": files.view(files.storage("0", 6), (200_000, 200_000), (0, 0)),
    "one element too many": files.view(files.storage("0", 6), (7,)),
    "beyond the end": files.view(files.storage("0", 6), (2, 3), (4, 1)),
    "offset beyond the end": files.view(files.storage("0", 6), (2, 3), offset=1),
    "negative offset": files.view(files.storage("0", 6), (2, 3), offset=-1),
    "negative stride": files.view(files.storage("0", 6), (2, 3), (-3, 1), offset=3),
    "negative size": files.view(files.storage("0", 6), (-2, -3)),
    "huge size": files.view(files.storage("0", 6), (1 << 70,)),
    "overflowing size": files.view(files.storage("0", 6), (1 << 32, 1 << 32), (0, 0)),
    "more strides": files.view(files.storage("0", 6), (2, 3), (3, 1, 1)),
    "many axes": files.view(files.storage("0", 6), (1,) * 1000),
    "storage too large": files.view(files.storage("0", HUGE), (HUGE,)),
    "storage too small": files.view(files.storage("0", 5), (5,)),
    "storage of another dtype": files.view(files.storage("0", 6, "DoubleStorage"), (2, 3)),
    "storage of negative size": files.view(files.storage("0", -6), (2, 3)),
    "storage of no type": files.view(files.storage("0", 6, "Size"), (2, 3)),
    "storage that is no storage": files.view(b"K\x01", (2, 3)),
    "unknown record": files.view(files.storage("99", 6), (2, 3)),
    "key with a path": files.view(files.storage("../data.pkl", 6), (2, 3)),
    "key that is no digit": files.view(files.storage("\u0660", 6), (2, 3)),
    "persistent id of four": files.several(*[files.text("storage")] * 4) + b"Q",
    "persistent id is text": files.text("storage") + b"Q",
    "sizes are text": files.call(
        files.name("torch._utils", "_rebuild_tensor_v2"),
        *(files.storage("0", 6), b"K\x00", files.text("ab"), files.text("ab"), b"\x89", b"}"),
    ),
    "sizes are true": files.call(
        files.name("torch._utils", "_rebuild_tensor_v2"),
        *(files.storage("0", 6), b"K\x00", b"\x88\x85", b"K\x01\x85", b"\x89", b"}"),
    ),
}


@pytest.mark.parametrize("case", VIEWS)
def test_tensors_that_do_not_lie_in_their_record_are_refused(tmp_path, case):
    refused(files.torch_file(tmp_path / "f", state={}, body=files.mapping({FIRST: VIEWS[case]})))


@pytest.mark.parametrize("record", ["data.pkl", "data/0", "data/15"])
def test_a_missing_record_is_refused(tmp_path, record):
    refused(files.torch_file(tmp_path / "f", without=record))


def test_damage_inside_any_record_is_noticed(tmp_path):
    data = files.torch_file(tmp_path / "sound").read_bytes()
    with zipfile.ZipFile(tmp_path / "sound") as archive:
        entries = [e for e in archive.infolist() if e.filename != "ckpt/version"]
    for entry in entries:
        start = entry.header_offset + 30 + len(entry.filename)
        for place in {start, start + entry.file_size // 2, start + entry.file_size - 1}:
            flipped = bytearray(data)
            flipped[place] ^= 0x10
            refused(files.written(tmp_path / "f", bytes(flipped)))


# Zip archives.


def patched(path, changes, count=1):
    """Replace bytes of a sound file; ``count`` -1 means the last occurrence."""
    data = files.torch_file(path).read_bytes()
    for old, new in changes:
        at = data.index(old) if count == 1 else data.rindex(old)
        data = data[:at] + new + data[at + len(old) :]
    return files.written(path, data)


def central(path, name, offset, value):
    """Overwrite a field of one entry of the central directory."""
    data = bytearray(files.torch_file(path).read_bytes())
    at = data.index(b"PK\x01\x02", data.rindex(name.encode()) - 60) + offset
    data[at : at + len(value)] = value
    return files.written(path, bytes(data))


def twice(path):
    files.torch_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("ckpt/data.pkl", files.program(b"}"))
    return path


def appended(path, data):
    return files.written(path, files.torch_file(path).read_bytes() + data)


def many_entries(path):
    entry = b"PK\x01\x02" + bytes(42)
    count = (9 << 20) // len(entry)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, count * len(entry), 4, 0)
    return files.written(path, b"PK\x03\x04" + entry * count + end)


ZIPS = {
    "a record twice": twice,
    "deflated": lambda p: files.torch_file(p, compression=zipfile.ZIP_DEFLATED),
    "a bomb": lambda p: files.torch_file(
        p, records={"data/0": bytes(300 << 20)}, compression=zipfile.ZIP_DEFLATED
    ),
    "a large pickle": lambda p: files.torch_file(p, records={"data.pkl": bytes(65 << 20)}),
    "a byte order": lambda p: files.torch_file(p, records={"byteorder": b"middle"}),
    "a large byte order": lambda p: files.torch_file(p, records={"byteorder": bytes(9999)}),
    "encrypted": lambda p: central(p, "ckpt/data/0", 8, b"\x01\x00"),
    "patched flags": lambda p: central(p, "ckpt/data/0", 8, b"\x20\x00"),
    "two sizes": lambda p: central(p, "ckpt/data/0", 24, struct.pack("<I", 1 << 30)),
    "larger than the file": lambda p: central(
        p, "ckpt/data/0", 20, struct.pack("<II", *[1 << 30] * 2)
    ),
    "overlapping": lambda p: central(p, "ckpt/data/0", 42, bytes(4)),
    "an unknown method": lambda p: central(p, "ckpt/data/0", 10, b"\x63\x00"),
    "a newer zip": lambda p: central(p, "ckpt/data/0", 6, b"\xff\xff"),
    "another local name": lambda p: patched(p, [(b"ckpt/data/0", b"ckpt/data/9")]),
    "a NUL in a name": lambda p: patched(p, [(b"ckpt/version", b"ckpt/vers\0on")], count=-1),
    "another folder": lambda p: patched(p, [(b"ckpt/version", b"ckpx/version")], count=-1),
    "a damaged directory": lambda p: patched(p, [(b"PK\x01\x02", b"PK\x01\x03")]),
    "a comment": lambda p: appended(p, b"x"),
    "a second archive behind": lambda p: appended(p, files.torch_file(p).read_bytes()),
    "an archive behind a pickle": lambda p: files.written(
        p, files.program(b"}") + files.torch_file(p).read_bytes()
    ),
    "an archive behind zip's first bytes": lambda p: files.written(
        p, b"PK\x03\x04" + bytes(26) + files.torch_file(p).read_bytes()
    ),
    "an archive behind safetensors": lambda p: files.written(
        p, files.safetensors_bytes({"w": np.ones(1)}) + files.torch_file(p).read_bytes()
    ),
    "only the first bytes": lambda p: files.written(p, b"PK\x03\x04"),
    "no entries": lambda p: files.written(p, b"PK\x03\x04" + b"PK\x05\x06" + bytes(18)),
    "very many entries": many_entries,
    "an endless directory": lambda p: files.written(
        p, b"PK\x03\x04" + b"PK\x05\x06" + bytes(8) + b"\xfe\xff\xff\xff" + bytes(6)
    ),
    "zip64 without its records": lambda p: files.written(
        p, b"PK\x03\x04" + b"PK\x05\x06" + bytes(8) + b"\xff\xff\xff\xff" * 2 + bytes(2)
    ),
    "a word document": lambda p: other_zip(p),
}


def other_zip(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "<xml/>" * 100)
    return path


@pytest.mark.parametrize("case", ZIPS)
def test_odd_archives_are_refused(tmp_path, case):
    refused(ZIPS[case](tmp_path / "f"))


def test_an_object_in_a_record_that_is_no_tensor_is_never_looked_at(tmp_path):
    marker = tmp_path / "ran"
    attack = files.program(gadget("os system", marker))
    read_all(files.torch_file(tmp_path / "f", records={"code.pkl": attack, "data/77": attack}))
    assert not marker.exists()


# Programs made to take time or memory.


def nested(levels):
    return b"]" * levels + b"a" * (levels - 1)


def doubling(levels):
    """A dict of 40 items, each of them the dict of 40 items before."""
    body = b"}q\x00"
    for level in range(1, levels):
        body += b"0}(" + b"".join(files.text(str(i)) + b"h" + bytes([level - 1]) for i in range(40))
        body += b"uq" + bytes([level])
    return body


SLOW = {
    "a huge memo index": b"}r\xff\xff\xff\x7f",
    "deep nesting": nested(100_000),
    "deep nesting of tuples": b")" + b"\x85" * 100_000,
    "endless steps": b"]" * (20 << 20),
    "endless marks": b"(" * (20 << 20),
    "a huge text": b"X" + struct.pack("<I", 31 << 20) + "\U0001f600".encode() * ((31 << 20) // 4),
    "a huge number": b"\x8b" + struct.pack("<I", 31 << 20) + b"\x7f" * (31 << 20),
    "numbers of one hash": b"}("
    + b"".join(files.number(k * (2**61 - 1)) + b"N" for k in range(100_000))
    + b"u",
    "a long call again and again": b"("
    + b"N" * 100_000
    + b"tq\x000"
    + files.name("torch", "Size")
    + b"q\x010"
    + b"h\x01h\x00R0" * 200_000,
    "many tensors of many axes": files.shape((1,) * 60)
    + b"q\x000"
    + files.storage("0", 6)
    + b"q\x010"
    + files.name("torch._utils", "_rebuild_tensor_v2")
    + b"q\x020(h\x01K\x00h\x00h\x00\x89}tq\x030"
    + b"h\x02h\x03R" * 660_000,
}


@pytest.mark.parametrize("case", [case for case in SLOW if "endless" not in case])
def test_costly_programs_are_refused(tmp_path, case):
    """How long each takes is printed by tests/benchmarks/refusals.py."""
    path = files.torch_file(tmp_path / "f", body=SLOW[case])
    with pytest.raises(BirkhoffError) as error:
        read_all(path)
    assert len(str(error.value)) <= 300


@pytest.mark.parametrize("body", [nested(50_000), doubling(30), b")" + b"\x85" * 50_000])
def test_a_configuration_without_end_is_cut_short(tmp_path, body):
    path = files.torch_file(tmp_path / "f", extra={"config": body})
    assert read_all(path).d == 2
    with open_store(path) as store:
        assert len(str(store.config)) < 1_000_000


def lists_header(path):
    return files.written(path, files.framed(b'{"a":[' + b"[]," * ((15 << 20) // 3) + b"[]]}"))


def test_no_bad_file_takes_much_memory(tmp_path):
    """All costly files, one after the other, in a process of their own."""
    paths = [
        files.torch_file(tmp_path / f"s{i}", body=body) for i, body in enumerate(SLOW.values())
    ]
    paths += [ZIPS[case](tmp_path / f"z{i}") for i, case in enumerate(ZIPS)]
    paths += [lists_header(tmp_path / "header")]
    code = """
import sys
from pathlib import Path
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli import checkpoints
for path in map(Path, sys.argv[1:]):
    try:
        checkpoints.read(path)
        raise SystemExit(f"{path} was read")
    except BirkhoffError:
        pass
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM")).split()[1]
    print(path.name, int(peak) // 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    rows = [line.split() for line in run.stdout.splitlines()]
    assert len(rows) == len(paths)
    assert max(int(peak) for _, peak in rows) < 500, run.stdout


# safetensors.


def entry(shape="[2]", offsets="[0,8]", dtype='"F32"', name="w"):
    return f'"{name}":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}'


def header(*entries, blob=8):
    return files.framed(
        ("{" + ",".join(entries) + "}").encode("utf-8", "surrogatepass"), bytes(blob)
    )


SAFETENSORS = {
    "a name twice": header(entry(), entry()),
    "a name twice, once in an escape": header(entry(), entry(name="\\u0077")),
    "metadata twice": header('"__metadata__":{}', '"__metadata__":{}', entry()),
    "metadata of numbers": header('"__metadata__":{"a":1}', entry()),
    "metadata is a list": header('"__metadata__":[]', entry()),
    "a key twice": header('"w":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}'),
    "overlapping": header(entry(), entry(name="v"), blob=8),
    "overlapping partly": header(entry(), entry(name="v", offsets="[4,12]"), blob=12),
    "a hole": header(entry(), entry(name="v", offsets="[12,20]"), blob=20),
    "a hole before": header(entry(offsets="[4,12]"), blob=12),
    "bytes behind": header(entry(), blob=9),
    "bytes missing": header(entry(), blob=7),
    "no bytes": header(entry(), blob=0),
    "offsets beyond": header(entry(shape="[200000000]", offsets="[0,800000000]")),
    "offsets turned": header(entry(offsets="[8,0]")),
    "offsets of three": header(entry(offsets="[0,4,8]")),
    "offsets of text": header(entry(offsets='["0","8"]')),
    "negative offsets": header(entry(offsets="[-8,0]")),
    "fractional offsets": header(entry(offsets="[0.0,8.0]")),
    "infinite offsets": header(entry(offsets="[0,Infinity]")),
    "true offsets": header(entry(offsets="[false,true]", dtype='"U8"', shape="[1]")),
    "another shape": header(entry(shape="[3]")),
    "negative shape": header(entry(shape="[-1,-2]")),
    "overflowing shape": header(entry(shape=f"[{1 << 63},2]", offsets="[0,8]")),
    "a number without end": header(entry(shape="[" + "9" * 10_000 + "]")),
    "many axes": header(entry(shape="[" + "1," * 999 + "2]")),
    "an unknown dtype": header(entry(dtype='"Q3\\u001b[2J"')),
    "dtype is a list": header(entry(dtype='["F32"]')),
    "no dtype": header('"w":{"shape":[2],"data_offsets":[0,8]}'),
    "one key too many": header('"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}'),
    "entry is a list": header('"w":[]'),
    "a long name": header(entry(name="w" * 5000)),
    "a lone surrogate": header(entry(name="\\ud800\\u0007", shape="[9]")),
    "not JSON": files.framed(b"{]"),
    "not closed": files.framed(b'{"w":'),
    "not UTF-8": files.framed(b'{"\xff":1}'),
    "deep": files.framed(b'{"w":' + b"[" * 1_000_000),
    "deep objects": files.framed(b'{"w":' * 100_000),
    "more than the file": struct.pack("<Q", 1000) + b"{}",
    "more than any memory": struct.pack("<Q", 1 << 62) + b"{}",
    "more than the format allows": struct.pack("<Q", 100_000_001) + b"{" + bytes(100),
    "header of one byte": struct.pack("<Q", 1) + b"{",
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_odd_safetensors_are_refused(tmp_path, case):
    refused(files.written(tmp_path / "f", SAFETENSORS[case]))


def test_a_header_larger_than_any_models_is_refused_unread(tmp_path):
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 90_000_000) + b"{")
        file.truncate(90_000_008)
    with pytest.raises(Unsupported, match="its header has 85 MB"):
        open_store(path)


def test_a_header_of_any_length_is_a_header(tmp_path):
    """Also where the length begins like a pickle or a gzip archive."""
    for length in [*range(300), 0x8B1F]:
        text = b"{" + b" " * length + b"}"
        with open_store(files.written(tmp_path / "f", files.framed(text))) as store:
            assert not store.tensors


# Files that are not files, and files that are cut.


@pytest.mark.parametrize("container", ["torch", "safetensors", "legacy"])
def test_a_file_cut_anywhere_is_refused(tmp_path, container):
    sound, _ = fuzz.sound(container)
    for percent in range(0, 100, 5):
        path = files.written(tmp_path / "f", sound[: len(sound) * percent // 100])
        message = refused(path)
        if percent >= 5 and container != "legacy":
            assert "incomplete download or interrupted copy" in message


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/urandom", "/proc/self/mem"])
def test_devices_are_refused_before_they_are_opened(device):
    refused(Path(device), "not a regular file")


def test_a_pipe_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")
    (tmp_path / "link").symlink_to("/proc/self/mem")
    refused(tmp_path / "link", "not a regular file")


def test_odd_directories_are_refused(tmp_path):
    refused(tmp_path, "is an empty folder")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "mem").symlink_to("/proc/self/mem")
    refused(tmp_path, "holds 2 entries, none a checkpoint")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop")


def test_a_path_cannot_write_to_the_terminal(tmp_path):
    path = files.written(tmp_path / "a\x1b[2J\nb", b"")
    with pytest.raises(BirkhoffError) as error:
        open_store(path)
    assert r"a\x1b[2J\nb: is an empty file" in str(error.value)


# Mutations.


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_mutated_files_are_read_or_refused(kind):
    """2,000 in all; tests/fuzz.py makes more, in processes that may crash."""
    count = 2_000 // len(fuzz.KINDS) + 1
    total = Counter(outcome for _, _, outcome in fuzz.outcomes(kind, count, seed=0))
    assert {*total} <= {*fuzz.OUTCOMES}, total
    assert total["refused"] > count // 3


def test_a_mutation_that_is_read_as_something_else_is_found(tmp_path, monkeypatch):
    """Otherwise the checks above would mean nothing."""
    data, _ = fuzz.sound("arrow")
    kind = fuzz.KINDS["arrow"]
    monkeypatch.setitem(fuzz.KINDS, "arrow", kind._replace(read=lambda _: np.ones(1)))
    with pytest.raises(AssertionError, match="read as something else"):
        fuzz.attempt("arrow", data, tmp_path)


def test_a_worker_that_crashes_or_does_not_end_is_a_fault(monkeypatch):
    kind = fuzz.KINDS["config"]

    def crash(path):
        if path.read_bytes()[:1] != b"{":
            os.kill(os.getpid(), signal.SIGKILL)
        return kind.read(path)

    fuzz.sound("config")
    monkeypatch.setitem(fuzz.KINDS, "config", kind._replace(read=crash))
    total, faults = fuzz.run("config", 60, 0)
    assert faults and all("the process ended with -9" in fault for fault in faults)
    assert total.total() + len(faults) == 60
