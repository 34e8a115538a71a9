"""Libraries that a few commands need, and the extra of an installation that brings each."""

from birkhoff_cli.analyses.core.entry_points import library_of
from birkhoff_cli.analyses.core.errors import (
    BirkhoffError,
    TooLarge,
    Unsupported,
)
from birkhoff_cli.analyses.core.shortage import is_short_of_memory

EXTRAS = {"torch": "torch", "distributed": "dask", "huggingface_hub": "hub", "httpx2": "hub"}
"""Extra by the module that is imported."""

NO_MEMORY = ("cannot allocate memory", "failed to map segment")
"""What the loader of shared libraries says where a process may not have more memory."""


def of_import(error: BaseException) -> BirkhoffError | None:
    """What an error that is no ImportError means if it came while a library was imported.

    One that was built for another version of NumPy raises ValueError, one whose own libraries are
    gone raises OSError, and others whatever they like.

    Args:
        error: as it was raised.

    Returns:
        The error to report; None if no library was being imported.
    """
    package = library_of(error)
    if package is None:
        return None
    if is_short_of_memory(error):
        return _out_of_memory(package)
    return explain(ImportError(str(error), name=package))


def _out_of_memory(module: str) -> TooLarge:
    return TooLarge(f"out of memory while {module} was loaded; allow more")


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
    if module in EXTRAS:
        return Unsupported(f"this needs {module}; pip install 'birkhoff-cli[{EXTRAS[module]}]'")
    return Unsupported(f"this needs {module}, which is not installed; pip install {module}")
