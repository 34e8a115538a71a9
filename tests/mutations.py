"""Files and folders that are not as they should be."""

import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

Files = dict[str, bytes | str | None]
"""A folder: bytes of a file, what a link points to, None for a folder; by names."""

ODD = ("a b", "\x1b[31m", "a\nb", "ü" * 30, "%s%n", "-o", "..", "model-1.safetensors.tmp", "#")
"""Parts of names that nobody expects."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four bytes changed, a piece cut, doubled, zeroed, or moved; or the end is missing."""
    data = bytearray(data)
    match rng.randrange(7):
        case 0 | 1 | 2:
            # the end of a zip, and the beginning of everything, are where the structure is
            low, high = rng.choice([(0, len(data)), (0, 400), (len(data) - 2500, len(data))])
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(max(0, low), min(high, len(data)))] = rng.randrange(256)
        case 3:
            start = rng.randrange(len(data))
            del data[start : start + rng.randint(1, 200)]
        case 4:
            start = rng.randrange(len(data))
            data[start:start] = data[rng.randrange(len(data)) :][: rng.randint(1, 200)]
        case 5:
            start, source = rng.randrange(len(data)), rng.randrange(len(data))
            piece = data[source : source + rng.randint(1, 60)]
            data[start : start + len(piece)] = rng.choice([piece, bytes(len(piece))])
        case 6:
            del data[rng.randrange(len(data)) :]
    return bytes(data)


def files_of(folder: Path) -> Files:
    """The files of a folder, without folders in it."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def write_folder(path: Path, files: Mapping[str, bytes | str | None]) -> Path:
    """A folder of these files in place of what is there."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, content in files.items():
        file = path / name
        if content is None:
            file.mkdir()
        elif isinstance(content, str):
            file.symlink_to(content)
        else:
            file.write_bytes(content)
    return path


def mutated_folder(files: Files, rng: random.Random) -> Files:
    """One or two of its files are gone, exchanged, cut, changed, links, folders, or named oddly."""
    files = dict(files)
    for _ in range(rng.randint(1, 2)):
        rng.choice(CHANGES)(files, rng)
    return files


def _any(files: Files, rng: random.Random) -> str:
    return rng.choice([name for name, content in files.items() if isinstance(content, bytes)])


def _remove(files: Files, rng: random.Random) -> None:
    if len(files) > 1:
        del files[_any(files, rng)]


def _exchange(files: Files, rng: random.Random) -> None:
    one, other = _any(files, rng), _any(files, rng)
    files[one], files[other] = files[other], files[one]


def _change(files: Files, rng: random.Random) -> None:
    name = _any(files, rng)
    if files[name]:
        files[name] = mutated(files[name], rng)


def _cut(files: Files, rng: random.Random) -> None:
    name = _any(files, rng)
    files[name] = files[name][: rng.choice([0, 1, 8, len(files[name]) // 2])]


def _copy(files: Files, rng: random.Random) -> None:
    files[_odd(_any(files, rng), rng)] = files[_any(files, rng)]


def _link(files: Files, rng: random.Random) -> None:
    name = _any(files, rng)
    files[name] = rng.choice([name, _any(files, rng), "none", "/dev/zero", "/etc/passwd", "."])


def _into_folder(files: Files, rng: random.Random) -> None:
    files[_any(files, rng)] = None


def _rename(files: Files, rng: random.Random) -> None:
    name = _any(files, rng)
    files[_odd(name, rng)] = files.pop(name)


def _odd(name: str, rng: random.Random) -> str:
    stem, dot, suffix = name.partition(".")
    return f"{stem}{rng.choice(ODD)}{dot}{suffix}"


def _change_text(files: Files, rng: random.Random) -> None:
    """Another value, or one less, anywhere in a file of JSON."""
    names = [n for n, data in files.items() if n.endswith(".json") and isinstance(data, bytes)]
    try:
        name = rng.choice(names)
        root = json.loads(files[name])
        inner = root.get("weight_map", root)
        key = rng.choice(list(inner))
        value = rng.choice([*inner.values(), *VALUES])
        assert isinstance(inner, dict)
    except (LookupError, ValueError, AttributeError, AssertionError):  # there is none any more
        return
    if rng.random() < 0.3:
        del inner[key]
    else:
        inner[rng.choice([key, *ODD])] = value
    files[name] = json.dumps(root).encode()


VALUES = (
    None,
    -1,
    1e308,
    True,
    "",
    "../f",
    "/etc/passwd",
    [],
    {},
    "model-9.safetensors",
    "\x1b[31m",
)
CHANGES: tuple[Callable[[Files, random.Random], None], ...] = (
    *(_remove, _exchange, _change, _cut, _copy, _link, _into_folder, _rename),
    *(_change_text, _change_text),
)
"""What can happen to a folder."""
