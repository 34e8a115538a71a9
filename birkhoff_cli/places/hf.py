"""A model repository on a Hugging Face hub: ``hf://org/model[@revision][/file]``.

The revision is resolved once, and every request is for the commit that it was then. Token,
endpoint and offline mode are those of huggingface_hub, set as for any program that uses it.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, UsageError
from birkhoff_cli.places._http import (
    BUSY,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    TRIES,
    Reader,
    Status,
    offline,
)
from birkhoff_cli.places._place import Entry, Place
from birkhoff_cli.places._url import Url, typed
from birkhoff_cli.text import escape

T = TypeVar("T")

SCHEMES = ("hf",)
ROOT = re.compile(
    r"(?P<root>hf://(?P<repository>[^/@]+/[^/@]+)"
    r"(?:@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?)(?:/(?P<name>.*))?"
)
COMMIT_NAME = re.compile("[0-9a-f]{40}")
COMMIT = re.compile("|commit=[0-9a-f]{40}")
"""The query of a URL that another process was given: what its revision was to that."""

LOG_IN = "log in by 'hf auth login', or set HF_TOKEN"
TIMEOUT = 30.0
"""Seconds for a listing."""


class Hub(Place):
    """A revision of a repository."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        match = ROOT.fullmatch(root)
        assert match is not None
        self.repository = match["repository"]
        self.revision = unquote(match["revision"]) if match["revision"] else None
        url = typed(root)
        self.requested = (url and url.query.partition("=")[2]) or self.revision
        self._refused: BirkhoffError | None = None
        self._lock = Lock()

    @classmethod
    def split(cls, url: Url) -> tuple[str, str]:
        """The repository with its revision, and the file."""
        text = f"hf://{url.user}{'@' if url.user else ''}{url.host}{url.path}"
        if (match := ROOT.fullmatch(text.rstrip("/"))) is None or not COMMIT.fullmatch(url.query):
            raise UsageError(
                f"{text}: names no model; say hf://org/model, hf://org/model@revision or "
                f"hf://org/model/file"
            )
        return match["root"], match["name"] or ""

    @cached_property
    def commit(self) -> str:
        """The revision as it is now."""
        return str(self._info.sha)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Size of every file."""
        sizes = {k.rfilename: k.size for k in self._info.siblings or ()}
        if None not in sizes.values():
            return sizes
        tree = self._ask(  # a hub that does not say them there
            lambda api: [*api.list_repo_tree(self.repository, self.commit, recursive=True)]
        )
        return {k.path: k.size for k in tree if hasattr(k, "size")}

    @cached_property
    def _folders(self) -> set[str]:
        names = (name.split("/")[:-1] for name in self._sizes)
        return {"/".join(parts[:k]) for parts in names for k in range(len(parts) + 1)} | {""}

    @cached_property
    def _info(self) -> Any:
        """The commit, and what is in it; a refusal is not asked for twice.

        Raises:
            BadInput: there is no such repository or revision, or nobody answers.
        """
        if self._refused is None:
            try:
                return self._now()
            except BirkhoffError as error:
                self._refused = error
        raise self._refused

    def _now(self) -> Any:
        """What the hub says of the revision now."""
        info = self._ask(
            lambda api: api.model_info(
                self.repository, revision=self.requested, files_metadata=True, timeout=TIMEOUT
            )
        )
        if not info.sha:
            raise self._no_hub()
        return info

    def is_current(self) -> bool:
        """Whether the revision is still the commit that it was resolved to."""
        if COMMIT_NAME.fullmatch(self.requested or ""):
            return True
        if self._refused is not None:
            return False
        return "_info" not in vars(self) or self._now().sha == self.commit

    def _no_hub(self) -> BadInput:
        return BadInput(
            f"{self.root}: what answers is no hub, perhaps the page of a login; check HF_ENDPOINT"
        )

    def _ask(self, ask: "Callable[[Any], T]") -> T:
        """What the hub says, asked until it answers.

        Raises:
            BadInput: there is no such repository or revision, or nobody answers.
        """
        import httpx2
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()
        # its retries are no concern of the reader
        for failures in range(1, TRIES + 1):
            try:
                return ask(HfApi())
            except OfflineModeIsEnabled as error:
                raise offline(self.root) from error
            except (HFValidationError, UnicodeEncodeError) as error:
                raise UsageError(f"{self.root}: is no name of a model; check it") from error
            except HfHubHTTPError as error:
                if error.response.status_code not in BUSY or failures == TRIES:
                    status = Status(error.response.status_code, error.response.headers)
                    raise self._refusal(self.root, status) from error
            except httpx2.TransportError as error:
                if failures == 3:
                    why = escape(str(error))[:80] or type(error).__name__
                    raise BadInput(
                        f"{self.root}: the hub cannot be reached ({why}); check the network and "
                        f"HF_ENDPOINT"
                    ) from error
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise self._no_hub() from error
            time.sleep(min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE))
        raise AssertionError

    def entry(self, name: str) -> Entry | None:
        """By the listing."""
        with self._lock:
            if name in self._sizes:
                return Entry(self._sizes[name])
            return Entry(None) if name in self._folders else None

    def children(self, name: str) -> list[str]:
        """By the listing."""
        if name not in self._folders:
            raise NotADirectoryError(20, "Not a directory", f"{self.root}/{name}")
        start = f"{name}/" if name else ""
        inside = (n[len(start) :] for n in self._sizes if n.startswith(start))
        return sorted({rest.partition("/")[0] for rest in inside})

    def read(self, name: str, start: int, stop: int) -> bytes:
        """A range of the file in the commit."""
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(self.repository, name, revision=self.commit)
        shown = f"{self.root}/{name}"
        try:
            return self._reader.read(url, shown, start, stop, self._sizes[name]).data
        except Status as status:
            raise self._refusal(shown, status) from status

    @cached_property
    def _reader(self) -> Reader:
        from huggingface_hub import constants
        from huggingface_hub.utils._headers import build_hf_headers

        own = _origin(constants.ENDPOINT)
        headers = build_hf_headers(library_name="birkhoff")
        other = {k: v for k, v in headers.items() if k.lower() != "authorization"}

        def for_host(url: str) -> Mapping[str, str]:
            return headers if _origin(url) == own else other

        return Reader(self.root, for_host)

    def _refusal(self, shown: str, status: Status) -> BadInput:
        """What the hub means by a status."""
        why = status.headers.get("X-Error-Code", "")
        if why == "GatedRepo":
            page = f"its page on the hub ({self.repository})"
            if status.code == 401:
                return BadInput(f"{shown}: is gated; accept its conditions on {page}, and {LOG_IN}")
            return BadInput(f"{shown}: is gated, and this account has not been let in; see {page}")
        if why == "RevisionNotFound":
            revision = escape(self.revision or "main")
            return BadInput(
                f"{shown}: has no revision '{revision}'; look up its branches, tags and commits"
            )
        if why == "EntryNotFound":
            return BadInput(f"{shown}: no such file; check the name")
        if why == "RepoNotFound" or status.code == 404:
            return BadInput(
                f"{shown}: there is no such model, or it is private; check the name, or {LOG_IN}"
            )
        if status.code in (401, 403):
            return BadInput(f"{shown}: the hub does not let this token in; renew it: {LOG_IN}")
        return BadInput(f"{shown}: the hub answers {status.code}; try again later")

    def label(self, name: str) -> str:
        """With the commit."""
        return f"{self.repository}@{self.commit}" + (f"/{name}" if name else "")

    def word(self, name: str) -> str:
        """As it can be typed again; with the commit, once that is known."""
        if "_info" in vars(self):
            return f"hf://{self.label(name)}"
        return self.root + (f"/{name}" if name else "")

    def pinned(self, name: str) -> str:
        """As it is, with the commit where a web server's URL has its query."""
        return f"{self.root}{'/' if name else ''}{name}?commit={self.commit}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()
