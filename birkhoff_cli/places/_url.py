"""URLs as words of a command line: their parts, and what of them must never be kept or shown.

User information (``https://user:password@host``) and query strings (a signature that opens a file)
are secrets. A path holds neither; they are remembered here for the requests, by the URL without
them.
"""

import re
from dataclasses import dataclass

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
ANYWHERE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?:(?P<user>[^\s/?#'\"]*)@)?"
    r"(?P<rest>[^\s?#'\"]*)(?P<query>\?[^\s#'\"]*)?"
)
"""A URL within a text."""

CONTAINERS = ("abfs", "abfss")
"""Schemes whose URLs have the name of a container before the host, with a password or not."""


@dataclass(frozen=True)
class Url:
    """The parts of a URL.

    Attributes:
        scheme: in lower case, without ``://``.
        user: before the host, without ``@``.
        host: as it was typed.
        path: behind the host, with the slash that it begins with.
        query: without the question mark.
        fragment: without ``#``.
    """

    scheme: str
    user: str
    host: str
    path: str
    query: str
    fragment: str

    @property
    def root(self) -> str:
        """Scheme and host, without secrets."""
        user = self.user.partition(":")[0] if self.scheme in CONTAINERS else ""
        return f"{self.scheme}://{user}{'@' if user else ''}{self.host}"

    @property
    def clean(self) -> str:
        """All of it but the secrets."""
        return f"{self.root}{self.path}{'#' if self.fragment else ''}{self.fragment}"

    @property
    def typed(self) -> str:
        """All of it but the fragment, with secrets."""
        user = f"{self.user}@" if self.user else ""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{user}{self.host}{self.path}{query}"


def split(text: str) -> Url | None:
    """The parts of a URL; None of what is none."""
    if (match := SCHEME.match(text)) is None:
        return None
    rest, _, fragment = text[match.end() :].partition("#")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    return Url(match[1].lower(), user, host, slash + path, query, fragment)


_typed: dict[str, Url] = {}
"""URLs as they were typed, by the URL without secrets and fragment; and by its root."""


def remember(url: Url, key: str) -> None:
    """Keep the secrets of a URL for requests.

    Args:
        url: as it was typed.
        key: the path that was made of it.
    """
    _typed[key] = url
    if url.user or url.root not in _typed:
        _typed[url.root] = url


def typed(key: str) -> Url | None:
    """The URL that was typed for a path or a root."""
    return _typed.get(key)


def cut_secrets(text: str) -> str:
    """A text with no user information and no query string in any URL."""
    return ANYWHERE.sub(_cut, text) if "://" in text else text


def _cut(match: re.Match[str]) -> str:
    user = match["user"] or ""
    kept = user.partition(":")[0] if match["scheme"][:-3].lower() in CONTAINERS else ""
    return f"{match['scheme']}{kept}{'@' if kept else ''}{match['rest']}"
