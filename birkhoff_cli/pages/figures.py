"""Figures as vectors of a bounded size: a file beside the page, and the same inside it.

What matplotlib writes cannot stand in a page as it is: every figure has the same ids, a style
for all elements of the page, and styles that a strict Content-Security-Policy does not let act.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from birkhoff_cli.invocation import STAMP

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_FIGURE_BYTES = 400_000
"""Of one figure inside a page; a test holds it for figures of many points."""

MAX_VECTOR_BYTES = 150_000
"""Estimated size of points, lines and letters within axes that stay vectors; the rest are pixels.

What is left of `MAX_FIGURE_BYTES` is for the pixels, and for axes with their labels.
"""

PIXELS = 96 / 72
"""Of a point on a page."""

TALL = 1.15
"""Height over width from which on a figure has a sheet of paper of its own."""

DPI = (120, 90, 60, 40)
"""Of what becomes pixels: the first at which the figure is small enough."""

PATH_BYTES, MARK_BYTES, LETTER_BYTES = 14, 40, 50
"""Of a vertex, a mark and a letter inside a page, about."""

INHERITED = (
    *("fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-linejoin"),
    *("stroke-linecap", "stroke-dasharray", "stroke-dashoffset"),
)
"""Attributes that a group hands on to its members."""

DROPPED = ("metadata", "style", "title", "desc")
"""Elements that say nothing in a page, or act on all of it."""

MIN_MARKS = 3
"""From which on a group says for its marks what they share."""

NUMBER = re.compile(r"-?\d+\.\d{3,}")
COMMAND = re.compile(r"\s*([A-Za-z])\s*")
POINTER = re.compile(r"url\(#([^)]+)")
TRANSLATION = re.compile(r"translate\((\S+) (\S+)\)")


def save(figure: "Figure") -> bytes:
    """The figure as SVG, crowds of points in it as pixels; drawn again only if these are many."""
    from birkhoff_cli.analyses.core import figure as pictures

    content = b""
    with pictures.house_style():
        lighten(figure)
    for dpi in DPI:
        pictures.save(figure, sink := BytesIO(), "svg", STAMP[".svg"], dpi)
        content = sink.getvalue()
        if len(content) <= MAX_FIGURE_BYTES or len(inline(content, "", {})) <= MAX_FIGURE_BYTES:
            break
    return content


def lighten(figure: "Figure") -> None:
    """Mark what is drawn as pixels, the largest crowds first, until the rest is small."""
    crowds = sorted(_crowds(figure), key=lambda crowd: -crowd[0])
    total = sum(cost for cost, _ in crowds)
    for cost, artists in crowds:
        if total <= MAX_VECTOR_BYTES:
            return
        for artist in artists:
            artist.set_rasterized(True)
        total -= cost


def _crowds(figure: "Figure") -> Iterator[tuple[int, "list[Artist]"]]:
    """What axes hold by its kind, with the bytes that it takes as vectors."""
    for axes in _with_insets(figure.axes):
        by_class: dict[str, list[Artist]] = {}
        for artist in _drawn(axes):
            by_class.setdefault(type(artist).__name__, []).append(artist)
        yield from ((sum(map(_bytes, artists)), artists) for artists in by_class.values())


def _with_insets(every: Sequence[Any]) -> Iterator[Any]:
    """Axes and those inside them; a search of all artists would make every tick for it."""
    for axes in every:
        yield axes
        yield from _with_insets(axes.child_axes)


def _drawn(axes: "Any | Axes") -> "list[Artist]":
    drawn = [*axes.lines, *axes.collections, *axes.patches, *axes.texts]
    return [artist for artist in drawn if not artist.get_rasterized()]


def _bytes(artist: Any) -> int:
    """About the size of one artist as vectors."""
    if hasattr(artist, "get_text"):
        return LETTER_BYTES * len(artist.get_text())
    if hasattr(artist, "get_xydata"):
        marked = artist.get_marker() not in (None, "None", "", " ")
        drawn = artist.get_linestyle() not in ("None", "", " ")
        return len(artist.get_xydata()) * (MARK_BYTES * marked + PATH_BYTES * drawn)
    if hasattr(artist, "get_paths"):
        vertices = sum(len(path.vertices) for path in artist.get_paths())
        # a mesh makes its paths when it is drawn
        cells = artist.get_array().size if not vertices and artist.get_array() is not None else 0
        return (
            PATH_BYTES * vertices + MARK_BYTES * len(artist.get_offsets()) + 5 * PATH_BYTES * cells
        )
    return PATH_BYTES * len(artist.get_path().vertices)


def inline(svg: bytes, prefix: str, facts: Mapping[str, str]) -> str:
    """The figure as an element of a page: ids of its own, attributes in place of styles.

    Args:
        svg: as `save` wrote it.
        prefix: put before every id, so that figures of a page do not meet.
        facts: more attributes of the element.
    """
    root = ET.fromstring(svg)
    used = (name for e in root.iter() for name in _targets(e.attrib))
    ids = {name: f"{prefix}{k}" for k, name in enumerate(dict.fromkeys(used))}
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = _attributes(element, ids)
    *_, across, up = map(float, root.attrib["viewBox"].split())
    view = {"viewBox": root.attrib["viewBox"], "width": str(round(PIXELS * across))}
    if up > TALL * across:
        view["class"] = "tall"
    root.attrib = {**view, "stroke-linejoin": "round", **facts}
    return "".join(_text(root))


def _local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]


def _targets(attributes: Mapping[str, str]) -> Iterator[str]:
    """Ids that an element points to."""
    for name, value in attributes.items():
        if _local(name) == "href" and value.startswith("#"):
            yield value[1:]
        yield from POINTER.findall(value)


def _attributes(element: ET.Element, ids: Mapping[str, str]) -> dict[str, str]:
    own: dict[str, str] = {}
    for key, value in element.attrib.items():
        name = _local(key)
        if name == "id":
            own |= {"id": ids[value]} if value in ids else {}
        elif name == "style":
            own |= _styles(value)
        elif name == "href":
            own[name] = f"#{ids[value[1:]]}" if value[1:] in ids else "".join(value.split())
        else:
            own |= _short(element.tag, name, value)
    return {name: POINTER.sub(lambda m: f"url(#{ids[m[1]]}", text) for name, text in own.items()}


def _styles(text: str) -> dict[str, str]:
    """A style as attributes, which stand in SVG for the same."""
    pairs = (pair.partition(":") for pair in text.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs if value}


def _short(tag: str, name: str, value: str) -> dict[str, str]:
    """A hundredth of a point is enough of a place; a factor keeps all digits."""
    if name == "d":
        return {name: COMMAND.sub(r"\1", NUMBER.sub(_rounded, value)).strip()}
    if name == "transform":
        if tag == "use" and (move := TRANSLATION.fullmatch(value)):
            coordinates = zip(
                "xy", (NUMBER.sub(_rounded, text) for text in move.groups()), strict=True
            )
            return {axis: coordinate for axis, coordinate in coordinates if coordinate != "0"}
        return {name: value}
    return {name: NUMBER.sub(_rounded, value)}


def _rounded(match: "re.Match[str]") -> str:
    text = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _text(element: ET.Element) -> Iterator[str]:
    """An element as text, without groups that say nothing."""
    if element.tag in DROPPED:
        return
    if element.tag == "g":
        _hand_up(element)
    inner = "".join(text for child in element for text in _text(child))
    if not inner and element.tag in ("g", "defs"):
        return
    if element.tag == "g" and not element.attrib:
        yield inner
        return
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in element.attrib.items())
    yield (
        f"<{element.tag}{attributes}>{inner}</{element.tag}>"
        if inner
        else f"<{element.tag}{attributes}/>"
    )


def _hand_up(group: ET.Element) -> None:
    """Say once what every mark of a group has in common."""
    marks = [child for child in group if child.tag == "use"]
    if len(marks) < MIN_MARKS or len(marks) < sum(child.tag != "defs" for child in group):
        return
    for name in INHERITED:
        values = {mark.attrib.get(name) for mark in marks}
        if len(values) == 1 and None not in values and name not in group.attrib:
            group.attrib[name] = marks[0].attrib[name]
            for mark in marks:
                del mark.attrib[name]
