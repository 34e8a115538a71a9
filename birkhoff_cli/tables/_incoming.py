"""What has come of a table through a pipe so far, held to be the beginning of one that ends."""

from pathlib import Path

from birkhoff_cli.analyses.core.errors import BadInput, TooLarge
from birkhoff_cli.analyses.core.memory import gibibytes, require_memory
from birkhoff_cli.containers import where
from birkhoff_cli.content import COPIES

MAX_LINE = 64 << 20
"""Bytes of a row that is piped: a matrix of 1,500 x 1,500 as text."""


class Incoming:
    """Bytes of which nothing says how many there will be: as many as could be read whole.

    Attributes:
        label: what messages call the pipe.
        size: bytes that have come.
        whole: bytes of all, where the beginning says it.
    """

    def __init__(self, label: Path) -> None:
        """Nothing has come yet."""
        self.label, self.size = label, 0
        self.whole: int | None = None

    def take(self, data: bytes) -> None:
        """Look at more.

        Raises:
            BadInput: no table goes on like this.
            TooLarge: so many bytes, and still no end.
        """
        self.size += len(data)
        self.require_end(self.size)

    def require_end(self, size: int) -> None:
        """Refuse to read on for ever.

        Raises:
            TooLarge: so many bytes would not fit in memory, with all that is made of them.
        """
        try:
            require_memory(COPIES * size, where(self.label))
        except TooLarge as error:
            raise TooLarge(
                f"{where(self.label)}: has no end after {gibibytes(self.size)}; if it has one, "
                f"save it in a file and give that"
            ) from error


class Sized(Incoming):
    """Bytes whose beginning says how many there are.

    Args:
        label: of the pipe.
        whole: how many.
    """

    def __init__(self, label: Path, whole: int) -> None:
        """Nothing has come yet."""
        super().__init__(label)
        self.whole = whole

    def require_end(self, size: int) -> None:
        """Hold that there are no more.

        Raises:
            BadInput: there are.
        """
        if self.whole is not None and size > self.whole:
            raise BadInput(
                f"{where(self.label)}: goes on behind the {self.whole:,} bytes that it says it has"
            )


class Lines(Incoming):
    """Text, whose rows end."""

    def __init__(self, label: Path) -> None:
        """No line has come yet."""
        super().__init__(label)
        self._line = 0

    def take(self, data: bytes) -> None:
        """As for all, and no line may be longer than rows are."""
        super().take(data)
        end = data.rfind(b"\n")
        self._line = self._line + len(data) if end < 0 else len(data) - end - 1
        if self._line > MAX_LINE:
            raise BadInput(
                f"{where(self.label)}: has a line of over {MAX_LINE >> 20} MB, which is no row"
            )
