"""What every kind of place is: it says what is there, and gives bytes of it by ranges."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from birkhoff_cli.places._url import Url


@dataclass(frozen=True)
class Entry:
    """What is at a name: a file of so many bytes, or a folder, which has no size.

    Attributes:
        size: in bytes; None of a folder.
        version: what changes when the file does, as far as its place says it.
    """

    size: int | None
    version: str = ""


class Place(ABC):
    """A repository, a host or a bucket: files by their names, read by ranges.

    A member is a class in a file of this folder, and the file's ``SCHEMES`` are those of its URLs.

    Attributes:
        root: the URL that names are relative to, without secrets.
    """

    shares_query = True
    """Whether the query of a URL is for all of the place, and not for the one file."""

    def __init__(self, root: str) -> None:
        self.root = root

    @classmethod
    @abstractmethod
    def split(cls, url: Url) -> tuple[str, str]:
        """The root of a URL and the name there, which is empty for the root itself.

        Raises:
            UsageError: it is no URL of this kind.
        """

    @abstractmethod
    def entry(self, name: str) -> Entry | None:
        """What is at a name; None if nothing is.

        Raises:
            BadInput: nobody can say, because the place does not answer or does not let us in.
        """

    def look(self, names: Iterable[str]) -> None:
        """Find out about several names together, where each would take a request."""
        del names

    @abstractmethod
    def children(self, name: str) -> list[str]:
        """Names of what is in a folder, each without the folder.

        Raises:
            NotADirectoryError: it is no folder, or this kind of place lists none.
        """

    @abstractmethod
    def read(self, name: str, start: int, stop: int) -> bytes:
        """Exactly these bytes of a file; called from several threads at once.

        Raises:
            BadInput: they cannot be had, or other ones came.
        """

    def label(self, name: str) -> str:
        """What metadata call a file or a folder."""
        return name.rpartition("/")[2] or self.root.rpartition("/")[2]

    def word(self, name: str) -> str:
        """What metadata show of it in a command line."""
        return self.label(name)

    def is_current(self) -> bool:
        """Whether what is known of the place holds for a new command, too."""
        return True

    def beside(self, name: str) -> str:
        """What is to be said of a file that may lie beside another one, and that is not there."""
        del name
        return ""

    def pinned(self, name: str) -> str | None:
        """The URL by which another process reads the same bytes; None for the one typed."""
        del name
        return None
