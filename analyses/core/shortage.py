"""Whether an error comes of a lack of memory, whatever a library made of it."""

import errno

MEMORY_PHRASES = ("can't allocate memory", "out of memory", "bad_alloc", "can't start new thread")
"""What torch and threads say in a RuntimeError where there is no memory."""


def is_short_of_memory(error: BaseException) -> bool:
    """Whether a lack of memory led to an error: libraries make errors of their own of it.

    Matplotlib, which finds no memory for a list of colours, takes it for pairs of values and
    colours, and says that these are no numbers.
    """
    chain: BaseException | None = error
    while chain is not None and not _is_of_memory(chain):
        chain = chain.__cause__ or chain.__context__
    return chain is not None


def _is_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):
        return any(phrase in str(error) for phrase in MEMORY_PHRASES)
    return isinstance(error, MemoryError)
