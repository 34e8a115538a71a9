"""Tensors that look like those of a hyper-connection, and that no site has."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

HYPER = re.compile(r"(?:^|[._])(?:m?hc|hyper_?connections?)(?:[._]|$)")
BRANCH = re.compile(r"(?:^|\.)branch\.")
"""The branch itself, which some code bases keep inside the hyper-connection."""

NEAR = 0.85
"""Share of letters, by difflib, from which on a name may be another one misspelt."""


def unread(
    stored: Mapping[str, str],
    sites: Iterable[tuple[str, str]],
    aside: re.Pattern[str] | None = None,
) -> Iterator[tuple[str, str]]:
    """Names in the file that nobody reads, each with the name that it may have been meant to be.

    Names are compared without their numbers: what layer 0 has, every layer may have.

    Args:
        stored: names in the file by bare name.
        sites: names in the file of the sites' tensors, each with its name in the code.
        aside: bare names that are known and have no part in mixing.
    """
    bare = {name: short for short, name in stored.items()}
    expected: dict[str, str] = {}
    owners = set()
    for name, tensor in sites:
        shape = _shape(short := bare[name])
        expected.setdefault(shape, short)
        owners.add(shape.removesuffix(tensor))
    owners.discard("")
    tails = {_tail(shape): name for shape, name in expected.items()}
    seen = {_shape(short): short for short in reversed(list(stored))}
    for shape, name in sorted(seen.items()):
        if shape in expected or BRANCH.search(name) or (aside and aside.fullmatch(name)):
            continue
        near = get_close_matches(_tail(shape), tails, n=1, cutoff=NEAR)
        if near or HYPER.search(name) or shape.startswith(tuple(owners)):
            yield name, tails[near[0]] if near else ""


def _shape(name: str) -> str:
    return re.sub("[0-9]+", "0", name)


def _tail(shape: str) -> str:
    """What follows the layer's number: what stands before it is the same for all tensors."""
    return re.sub(r"^.*?\.0\.", "", shape)
