"""URLs as words of a command line: their parts, and what of them must never be kept or shown.

User information (``https://user:password@host``) and query strings (a signature that opens a file)
are secrets. A path holds neither; they are remembered here for the requests, by the URL without
them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
"""URLs as they were typed, by what is left without secrets and fragment, and by a place's root."""


def remember(url: Url, key: str, root: str, shared: bool) -> None:
    """Keep the secrets of a URL for requests.

    Paths are made of paths too, which have no secrets: those that are known stay.

    Args:
        url: as it was typed.
        key: the path that was made of it.
        root: of the place where it is.
        shared: whether the query is for all of the place.
    """
    for known, query in ((root, url.query if shared else ""), (key, url.query)):
        old = _typed.get(known, replace(url, query=""))
        _typed[known] = replace(url, user=url.user or old.user, query=query or old.query)


def has_typed() -> bool:
    """Whether any URL was typed."""
    return bool(_typed)


def typed(key: str) -> Url | None:
    """The URL that was typed for a path or a root."""
    return _typed.get(key)


def cut_secrets(text: str) -> str:
    """A text with no user information and no query string in any URL.

    Those that were typed are known to the letter: a quotation mark in one ends it for nobody.
    """
    if "://" not in text:
        return text
    for secret, rest in sorted(_secrets(), key=lambda pair: len(pair[0]), reverse=True):
        text = text.replace(secret, rest)
    return ANYWHERE.sub(_cut, text)


def _secrets() -> Iterator[tuple[str, str]]:
    """Those that were typed, with the marks around them, and what is left in their place."""
    for url in {*_typed.values()}:
        for secret, rest in ((f"//{url.user}@", f"//{_container(url)}"), (f"?{url.query}", "")):
            if secret not in ("//@", "?"):
                spelt = repr(f'"{secret}')[2:-1]  # in the list of words of a report of a bug
                yield from ((text, rest) for text in (secret, spelt, spelt.replace("\\'", "'")))


def _container(url: Url) -> str:
    return url.root.partition("://")[2].removesuffix(url.host)


def _cut(match: re.Match[str]) -> str:
    user = match["user"] or ""
    kept = user.partition(":")[0] if match["scheme"][:-3].lower() in CONTAINERS else ""
    return f"{match['scheme']}{kept}{'@' if kept else ''}{match['rest']}"
