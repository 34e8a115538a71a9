"""Which files are parts of one trace: those of the same training step, ordered by their numbers."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from birkhoff_cli import matrices, tables
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.joined import join
from birkhoff_cli.analyses.core.sentences import ASIDE
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import digitless, is_hollow
from birkhoff_cli.read_errors import require_sound
from birkhoff_cli.steps import training_step

MAX_PARTS = 100_000
"""Entries of a folder that are looked at to find parts of a trace."""


def by_numbers(path: Path) -> list[tuple[int, str | int]]:
    """A key that puts ``rank2`` before ``rank10``."""
    pieces = re.split(r"([0-9]{1,18})", str(path))
    return [(k % 2, int(piece) if k % 2 else piece) for k, piece in enumerate(pieces)]


def files_in(folder: Path) -> list[Path]:
    """The parts of a trace in a folder, in order; none if it cannot be read or holds no matrices.

    A file with the suffix of a part is one too, though it may be empty or damaged: whoever reads it
    says so, where leaving it out would give the numbers of fewer samples. Names that begin with a
    dot or an underscore are what other programs note beside their parts.
    """
    try:
        entries = list(islice(folder.iterdir(), MAX_PARTS + 1))
    except OSError as error:
        require_sound(error, folder)
        return []
    if len(entries) > MAX_PARTS:
        raise BadInput(f"{where(folder)}: holds more than {MAX_PARTS:,} entries; give fewer parts")
    own = [entry for entry in entries if entry.name[:1] not in "._"]
    parts = {entry for entry in own if matrices.recognises(entry)}
    suffixes, names = {part.suffix for part in parts}, {_name_of_part(part) for part in parts}
    return sorted(
        (e for e in own if e in parts or e.suffix in suffixes or _is_husk(e, names)), key=by_numbers
    )


def _name_of_part(path: Path) -> str:
    """What a part has in common with others, whatever their formats: ``rank`` of rank7.arrow."""
    return digitless(path.name.partition(".")[0])


def _is_husk(path: Path, names: Collection[str]) -> bool:
    """Whether it is called like a part, and nothing but a name is there."""
    known = {suffix for format in tables.formats() for suffix in format.suffixes}
    return _name_of_part(path) in names and path.suffix in known and is_hollow(path)


def join_parts(
    models: Sequence[Any], paths: Sequence[Path], may_be_parts: Sequence[bool]
) -> list[tuple[Path, Any]]:
    """Models with their paths, those that are parts of one trace joined.

    Args:
        models: what was read.
        paths: where each was.
        may_be_parts: whether it holds recorded matrices, which are parts of one trace if they
            are of the same training step; models are not.

    Raises:
        BadInput: a file twice, or parts of one step that are of different models.
    """
    groups: dict[Any, list[tuple[Path, Any]]] = {}
    pairs = zip(paths, models, may_be_parts, strict=True)
    for k, (path, model, is_part) in enumerate(pairs):
        key = ("step", training_step(path, model.step)) if is_part else ("model", k)
        groups.setdefault(key, []).append((path, model))
    return [_joined(group) for group in groups.values()]


def _joined(group: list[tuple[Path, Any]]) -> tuple[Path, Any]:
    """The path of the first part, and the whole."""
    if len(group) == 1:
        return group[0]
    group = sorted(group, key=lambda pair: by_numbers(pair[0]))
    paths, traces = [path for path, _ in group], [trace for _, trace in group]
    _refuse_twice(paths)
    _refuse_layers(paths, traces)
    return paths[0], join(traces, [*_gap(paths), *_copies(paths, traces)])


def _refuse_twice(paths: Sequence[Path]) -> None:
    """Refuse a part that is there under its own name once more: its samples would be twice.

    Raises:
        BadInput: naming it.
    """
    seen: set[Path] = set()
    for path in paths:
        if (whole := path.resolve()) in seen:
            raise BadInput(
                f"{where(path)}: is there twice; give every part of a trace once; {ASIDE}"
            )
        seen.add(whole)


def _copies(paths: Sequence[Path], traces: Sequence[MixingTrace]) -> list[str]:
    """The sentence about files of the same bytes, whose samples all count."""
    first: dict[Any, Path] = {}
    for path, trace in zip(paths, traces, strict=True):
        files = trace.meta.get("inputs") or [{}]
        other = first.setdefault(files[0].get("sha256", path), path)
        if other is not path:
            names = f"{escape(path.name)} is a copy of {escape(other.name)}"
            return [f"{names}, and its samples count as well"]
    return []


LAYERS = re.compile(r"(layer|site|block|depth)s?[-_. ]?[0-9]", re.IGNORECASE)
"""In the name of a file whose array is of one layer."""


def _refuse_layers(paths: Sequence[Path], traces: Sequence[MixingTrace]) -> None:
    """Refuse arrays in files that are named after layers: they are no samples of the same sites.

    Raises:
        BadInput: naming the first, and how to save all of them.
    """
    of_arrays = all(site.branch == "file" for trace in traces for site in trace.sites)
    if of_arrays and all(LAYERS.search(path.name) for path in paths):
        raise BadInput(
            f"{where(paths[0])} and {len(paths) - 1} more: are named after layers, and several "
            f"files are read as samples of the same sites; save one array "
            f"(samples, layers, d, d), as by numpy.stack(arrays, axis=1)"
        )


def _gap(paths: Sequence[Path]) -> list[str]:
    """The sentence that a part may be missing, where the numbers in the names leave one out."""
    names = [by_numbers(Path(path.name)) for path in paths]
    index = next((k for k, p in enumerate(zip(*names, strict=False)) if len({*p}) > 1), None)
    if index is None or not index % 2:  # it is no number in which they differ first
        return []
    counts = Counter(int(name[index][1]) for name in names)
    numbers = sorted(counts)
    lacking = _absent([counts[number] for number in numbers], numbers)
    if lacking is None:
        return []
    before, missing = lacking
    at = next(k for k, name in enumerate(names) if name[index][1] == before)
    pieces = re.split(r"([0-9]{1,18})", paths[at].name)
    stem = "".join([*pieces[:index], str(missing).zfill(len(pieces[index]))])
    what = f"{escape(stem)}{escape(''.join(pieces[index + 1 :]))} is not among them"
    if missing == before:
        what = f"{escape(stem)} has fewer than others"
    return [f"the {len(paths)} parts are all there are, though {what}"]


def _absent(counts: Sequence[int], numbers: Sequence[int]) -> tuple[int, int] | None:
    """A number that is there and the one behind it that is not; twice one that lacks files.

    Numbers equally far apart are as they should be: every eighth rank.
    """
    if len({*counts}) > 1:
        short = numbers[counts.index(min(counts))]
        return short, short
    steps = [after - before for before, after in pairwise(numbers)]
    if len({*steps}) < 2:
        return None
    before = next(a for a, b in pairwise(numbers) if b - a > min(steps))
    return before, before + min(steps)
