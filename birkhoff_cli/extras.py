"""Libraries that a few commands need, and the extra of an installation that brings each."""

import errno
import sys
from types import ModuleType

from birkhoff_cli.analyses.core.entry_points import library_of
from birkhoff_cli.analyses.core.errors import (
    BirkhoffError,
    NoRoom,
    Unsupported,
)
from birkhoff_cli.analyses.core.shortage import is_short_of_memory

EXTRAS = {"torch": "torch", "distributed": "dask", "huggingface_hub": "hub", "httpx2": "hub"}
"""Extra by the module that is imported."""

NO_MEMORY = ("cannot allocate memory", "failed to map segment")
"""What the loader of shared libraries says where a process may not have more memory."""


TOO_MANY = {errno.EMFILE, errno.ENFILE}
"""What the system says where a process, or all together, have as many open files as they may."""


def of_import(error: BaseException) -> BirkhoffError | None:
    """What an error that is no ImportError means if it came while a library was imported.

    One that was built for another version of NumPy raises ValueError, one whose own libraries are
    gone raises OSError, and others whatever they like.

    Args:
        error: as it was raised.

    Returns:
        The error to report; None if no library was being imported.
    """
    package = library_of(error) or _lacking(error)
    if package is None:
        return None
    if is_short_of_memory(error):
        return _out_of_memory(package)
    if isinstance(error, OSError) and error.errno in TOO_MANY:
        return NoRoom(
            f"{package} cannot be opened ({error.strerror}); allow more, such as by ulimit -n 4096"
        )
    return explain(ImportError(str(error), name=package))


def _lacking(error: BaseException) -> str | None:
    """The library that has no such name: it is too old, or of a removed one a folder is left."""
    if not isinstance(error, AttributeError) or not isinstance(error.obj, ModuleType):
        return None
    package = error.obj.__name__.partition(".")[0]
    return None if package == __package__ else package


def _out_of_memory(module: str) -> NoRoom:
    return NoRoom(f"out of memory while {module} was loaded; allow more")


def explain(error: ImportError) -> BirkhoffError:
    """What a library that could not be imported means for the user.

    Args:
        error: as Python raised it.
    """
    module = (error.name or library_of(error) or "a library").partition(".")[0]
    if is_short_of_memory(error) or any(word in str(error).lower() for word in NO_MEMORY):
        return _out_of_memory(module)
    if not isinstance(error, ModuleNotFoundError) or module == __package__:
        return Unsupported(
            f"{module} is installed, and part of it cannot be imported; install it again"
        )
    if module in sys.stdlib_module_names:
        return Unsupported(
            f"this needs {module}, a part of Python's own library that this Python lacks; "
            f"install that part, or take another Python"
        )
    if module in EXTRAS:
        return Unsupported(f"this needs {module}; pip install 'birkhoff-cli[{EXTRAS[module]}]'")
    return Unsupported(f"this needs {module}, which is not installed; pip install {module}")
