"""Whether a call of a library still runs: it may end by an exception that nobody tells us of.

What lies among the names of a frame lives as long as the frame. An exception keeps the frames that
it left until it has been dealt with: then they go, and what lies in them.
"""

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import FrameType


class _InFrame:
    """Something that can be watched, which an `object` cannot."""


class Running:
    """The outermost running call of a package in this thread."""

    def __init__(self, package: str, ended: Callable[[], object]) -> None:
        """Find it.

        Args:
            package: whose functions are looked for among those that run.
            ended: is called when it has ended and whoever caught its exception has let that go,
                or when Python ends; must not hold this object.
        """
        frames = [f for f in _frames() if f.f_globals.get("__name__", "").split(".")[0] == package]
        self._thread, self._frame = threading.get_ident(), id(frames[-1]) if frames else 0
        inside = _InFrame()
        self._inside = weakref.ref(inside)
        if frames:
            frames[-1].f_locals[f"_birkhoff_{id(inside)}"] = inside  # is no name of its code
            weakref.finalize(inside, ended)

    def has_ended(self) -> bool:
        """Whether it is known to have ended; another thread than its own knows nothing."""
        if not self._frame or threading.get_ident() != self._thread:
            return False
        if self._inside() is None:
            return True
        return all(id(frame) != self._frame for frame in _frames())


def _frames() -> Iterator[FrameType]:
    """The frames of this thread, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
