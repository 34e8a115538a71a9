"""Names of tensors by a pattern that somebody gives, and the sites that they are of.

``{layer}`` stands for digits, ``{branch}`` for a word, and ``*`` for anything; all else is meant
as it is written. Segments of wrappers count as little as in the names of a file.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints.sites.depth import anchored, in_one_model
from birkhoff_cli.checkpoints.sites.names import NamedStore, bare
from birkhoff_cli.containers import escape, where

PLACE = re.compile(r"\{layer\}|\{branch\}|\*")
MAX_PLACES = 6
"""Of one pattern: each multiplies the ways in which a name is compared with it."""

NUMBER = re.compile(r"[0-9]{1,6}")
ATTENTION = re.compile(r"att", re.IGNORECASE)
"""What stands first in a layer, by its name."""


class Match(NamedTuple):
    """A tensor whose name is as a pattern says.

    Attributes:
        layers: what stands for ``{layer}``, as often as the pattern has it; without one, the
            numbers in what stands for ``*``.
        pattern: which of the patterns it is.
        branch: what stands for ``{branch}``; without one, what follows the last number.
        name: bare.
        stem: what stands before the first number: another list of layers has another.
    """

    layers: tuple[int, ...]
    pattern: int
    branch: str
    name: str
    stem: str


def compiled(text: str) -> re.Pattern[str]:
    """A pattern as one for whole names, behind any prefix.

    Raises:
        UsageError: it is empty, or has too many places.
    """
    short = bare(text.strip())
    parts, sites = PLACE.split(short), PLACE.findall(short)
    if not short or len(sites) > MAX_PLACES:
        raise UsageError(
            f"--set tensors={escape(text)}: expected the name of a tensor with {{layer}}, "
            f"{{branch}} or * in it, {MAX_PLACES} of them at most"
        )
    expression = re.escape(parts[0])
    for k, (field, part) in enumerate(zip(sites, parts[1:], strict=True)):
        form = {"{layer}": f"(?P<layer{k}>[0-9]{{1,6}})", "{branch}": rf"(?P<branch{k}>\w+?)"}
        expression += form.get(field, f"(?P<any{k}>.*?)") + re.escape(part)
    return anchored(expression)


def sites_of(store: NamedStore, texts: Sequence[str]) -> dict[Site, str]:
    """Bare names of the tensors that patterns describe, by site, in order of depth.

    A layer's sites are ordered by number or, attention first, as they come in the file; those of
    several patterns as the patterns are. Several ``{layer}`` count as one number, in their order,
    and so do several lists of layers, one behind the other.

    Raises:
        UsageError: no tensor has such a name.
        BadInput: two tensors would be one site, or there are two models.
    """
    matches = [match for k, text in enumerate(texts) for match in _matches(store, text, k)]
    _check_once(store, matches)
    branches = list(dict.fromkeys(match.branch for match in matches))
    stems = list(dict.fromkeys(match.stem for match in matches))
    matches.sort(
        key=lambda m: (stems.index(m.stem), m.layers, m.pattern, _rank(m.branch, branches))
    )
    every = list(dict.fromkeys((m.stem, m.layers) for m in matches))
    plain = len(stems) == 1 and all(len(layers) == 1 for _, layers in every)
    layer = {key: key[1][0] if plain else k for k, key in enumerate(every)}
    return {
        Site(layer[m.stem, m.layers], escape(m.branch), escape(m.name, 200)): m.name
        for m in matches
    }


def _matches(store: NamedStore, text: str, number: int) -> Iterator[Match]:
    pattern = compiled(text)
    names = in_one_model(store, pattern)
    if not names:
        near = get_close_matches(text, store.stored.values(), n=1, cutoff=0.3)
        has = f"; it has '{escape(near[0])}'" if near else ""
        raise UsageError(
            f"--set tensors={escape(text)}: no tensor of {where(store.path)} is named so{has}"
        )
    for name, match in names.items():
        groups = [(group, match.span(group)) for group in match.groupdict() if group != "prefix"]
        spans = [span for group, span in groups if group.startswith("layer")]
        if not spans:  # numbers in what stands for * are those of layers, which text would misorder
            stars = (span for group, span in groups if group.startswith("any"))
            spans = [m.span() for star in stars for m in NUMBER.finditer(name, *star)]
        layers = tuple(int(name[slice(*span)]) for span in spans)
        branches = [match[group] for group, _ in groups if group.startswith("branch")]
        first, last = (spans[0][0], spans[-1][1]) if spans else (0, 0)
        own = ".".join(branches) or name[last:].strip("._-/") or "site"
        yield Match(layers, number, own, name, name[:first])


def _check_once(store: NamedStore, matches: Iterable[Match]) -> None:
    """Hold that no two tensors are one site."""
    first: dict[tuple[tuple[int, ...], int, str], str] = {}
    names: dict[str, int] = {}
    for match in matches:
        other = first.setdefault(match[:3], match.name)
        if other == match.name and names.setdefault(match.name, match.pattern) == match.pattern:
            continue
        both = f"'{escape(store.stored[other])}' and '{escape(store.stored[match.name])}'"
        raise BadInput(
            f"{where(store.path)}: --set tensors= makes one site of {both}; "
            f"write {{branch}} or {{layer}} where they differ, or a narrower pattern"
            if other != match.name
            else f"{where(store.path)}: two patterns of --set tensors= have "
            f"'{escape(store.stored[other])}'; write narrower ones"
        )


def _rank(branch: str, branches: Sequence[str]) -> tuple[int, int, int]:
    if branch.isdecimal() and branch.isascii():
        return (0, int(branch), 0)
    return (1, 0 if ATTENTION.search(branch) else 1, branches.index(branch))
