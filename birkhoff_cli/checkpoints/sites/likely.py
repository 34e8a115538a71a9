"""What looks like mixing matrices in a file that no format explains, and how it would be read.

Mixers are small, square or of d (d + 2) numbers, and there is one in every layer. What they hold is
told by their values: where rows or columns sum to 1 they are matrices, else perhaps logits.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isqrt
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.patterns import compiled
from birkhoff_cli.checkpoints.sites.values import FLOATING, Array, Shape
from birkhoff_cli.containers import escape

MAX_SIDE = 32
MAX_READ = 256
"""Tensors of a group that are looked into."""

MAX_GROUPS = 64
MAX_BRANCHES = 4
MAX_GROUPS = 2
TOLERANCE = 1e-2
"""How far sums of a matrix may be from 1."""

NUMBER = re.compile(r"[0-9]{1,6}")
PLAIN = re.compile(r"[^,*{}\x00-\x1f]+")
"""Names that a pattern can be made of."""

MIXING = re.compile(
    r"(?:^|[._-])(?:m?hc|hyper\w*|h_?res|res(?:idual)?|mix\w*|comb|streams?|logits?|connections?)"
    r"(?:[._-]|$)",
    re.IGNORECASE,
)
BRANCH = re.compile(
    r"(?:self_?|cross_?)?(?:att\w*|mlp|ffn?|feed_?forward|moe|ssm|mamba|conv)", re.IGNORECASE
)
"""Words for the branches of a layer."""


class Group(NamedTuple):
    """Tensors of one shape whose names differ in numbers only.

    Attributes:
        pattern: of their names.
        names: bare, in the order of the file.
        shape: of each.
        first: name in the file of the first.
        word: what they seem to hold, for ``--set as=``.
        seen: what was seen of it.
    """

    pattern: str
    names: tuple[str, ...]
    shape: Shape
    first: str
    word: str = "logits"
    seen: str = ""

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The likelier the smaller: by values, by name, by how many there are."""
        return (not self.seen, not MIXING.search(self.pattern), -len(self.names))


def advice(store: NamedStore) -> str:
    """What looks like mixers, and the command line that reads it; empty if nothing does."""
    groups = sorted(_groups(store), key=lambda group: group.rank)
    if not groups:
        return ""
    first = groups[0]
    chosen = [first]
    if first.seen:  # what is as surely a mixer of as many streams belongs to the same model
        chosen += [g for g in groups[1:] if g.seen and _streams(g.shape) == _streams(first.shape)]
    options = [f"--set tensors={shlex.quote(group.pattern)}" for group in chosen]
    command = (
        f"birkhoff inspect {shlex.quote(str(store.path))} {' '.join(options)} --set as={first.word}"
    )
    seen = f" ({first.seen})" if first.seen else ""
    others = [group for group in groups if group not in chosen][:MAX_GROUPS]
    more = f"; also {', '.join(map(_described, others))}" if others else ""
    unsaid = (
        "--set transpose=true if the code applies the transpose"
        if first.word == "matrices"
        else "nothing in it says variant, iters, tau or transpose, which --set says, too"
    )
    descriptions = ", ".join(map(_described, chosen))
    return f"{descriptions}{seen} look like mixers: {command} reads them; {unsaid}{more}"


def _described(group: Group) -> str:
    shape = "x".join(map(str, group.shape))
    return f"{len(group.names)} tensors of {shape} ('{escape(group.first, 60)}')"


def _groups(store: NamedStore) -> list[Group]:
    """Groups that could be of mixers, those of the branches of a layer together."""
    frames: dict[tuple[str, Shape], list[str]] = {}
    for name, info in store.tensors.items():
        if info.dtype in FLOATING and _streams(info.shape) and PLAIN.fullmatch(name):
            frames.setdefault((NUMBER.sub("\0", name), info.shape), []).append(name)
    groups = [
        Group(_pattern(names), tuple(names), shape, store.stored[names[0]])
        for (frame, shape), names in frames.items()
        if len(names) > 1 or ("\0" not in frame and len(shape) == 3 and shape[0] > 1)
    ]
    likely = [g for g in groups if len(g.shape) > 1 or _has_projection(store, g)]
    joined = _joined(store, likely[:MAX_GROUPS])
    return [_looked_into(store, group) for group in joined]


def _streams(shape: Shape) -> int:
    """The d of a matrix, of a stack of them, or of d (d + 2) numbers; 0 if it is none."""
    if len(shape) in (2, 3) and shape[-1] == shape[-2]:
        side = shape[-1]
    elif len(shape) == 1:
        side = isqrt(shape[0] + 1) - 1
        side = side if side * (side + 2) == shape[0] else 0
    else:
        side = 0
    return side if 2 <= side <= MAX_SIDE else 0


def _has_projection(store: NamedStore, group: Group) -> bool:
    """Whether a matrix of as many rows or columns, for d streams, is beside such a vector."""
    rows, d = group.shape[0], _streams(group.shape)
    owner = re.split(r"[._-][^._-]*$", group.names[0])[0]
    for name, info in store.tensors.items():
        if name.startswith(owner) and len(info.shape) == 2 and rows in info.shape:
            other = info.shape[1] if info.shape[0] == rows else info.shape[0]
            if other % d == 0:
                return True
    return False


def _pattern(names: Sequence[str]) -> str:
    """Their names with ``{layer}`` for numbers that differ; the last one may be a branch."""
    numbers = np.array([[int(n) for n in NUMBER.findall(name)] for name in names])
    varying = [k for k in range(numbers.shape[1]) if len(set(numbers[:, k])) > 1]
    fields = dict.fromkeys(varying, "{layer}")
    if len(varying) == 2:
        layers, last = (len(set(numbers[:, k])) for k in varying)
        if last <= MAX_BRANCHES and layers * last == len(names):
            fields[varying[1]] = "{branch}"
    count = iter(range(numbers.shape[1]))
    return NUMBER.sub(lambda m: fields.get(next(count), m[0]), names[0])


def _joined(store: NamedStore, groups: Sequence[Group]) -> list[Group]:
    """Groups whose patterns differ in one word for a branch as one, with ``{branch}``."""
    left, joined = list(groups), []
    while left:
        first = left.pop(0)
        beside = {g: p for g in left if (p := _with_branch(first, g)) and g.shape == first.shape}
        pattern = next(iter(beside.values()), "")
        others = [group for group, other in beside.items() if other == pattern]
        names = tuple(n for group in (first, *others) for n in group.names)
        if others and set(names) == set(_named_so(store, pattern)):
            left = [group for group in left if group not in others]
            joined.append(first._replace(pattern=pattern, names=names))
        else:
            joined.append(first)
    return joined


def _with_branch(one: Group, other: Group) -> str:
    """The pattern of both, if they differ in one word for a branch, behind the layer."""
    pieces = [re.split(r"([._-])", group.pattern) for group in (one, other)]
    if len(pieces[0]) != len(pieces[1]) or "{branch}" in one.pattern:
        return ""
    differ = [k for k, (a, b) in enumerate(zip(*pieces, strict=True)) if a != b]
    before = "".join(pieces[0][: differ[0]]) if differ else ""
    if len(differ) != 1 or "{layer}" not in before and "{layer}" in one.pattern:
        return ""
    if not all(BRANCH.fullmatch(part[differ[0]]) for part in pieces):
        return ""
    return before + "{branch}" + "".join(pieces[0][differ[0] + 1 :])


def _named_so(store: NamedStore, pattern: str) -> Iterator[str]:
    form = compiled(pattern)
    return (name for name in store.tensors if (m := form.fullmatch(name)) and not m["prefix"])


def _looked_into(store: NamedStore, group: Group) -> Group:
    """The group with what its values say."""
    if len(group.shape) < 2:
        return group
    try:
        arrays = [store.read(name) for name in group.names[:MAX_READ]]
    except BirkhoffError:  # whoever reads them says what is wrong
        return group
    sums = _sums(np.stack(arrays).astype(np.float64))
    return group._replace(word="matrices", seen=sums) if sums else group


def _sums(h: Array) -> str:
    """Which sums of all matrices are 1; empty if none are, or an entry is negative."""
    if not np.isfinite(h).all() or (h < -TOLERANCE).any():
        return ""
    sides: Mapping[str, int] = {"rows": -1, "columns": -2}
    exact: Iterable[str] = (
        side for side, axis in sides.items() if np.abs(h.sum(axis) - 1).max() <= TOLERANCE
    )
    axes = " and ".join(exact)
    return f"{axes} sum to 1" if axes else ""
