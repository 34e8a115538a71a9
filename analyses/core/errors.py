"""Errors whose message a reader can act on without opening the code.

A message is one line: what was seen and what is wrong with it; what to do. The class says
which exit code the command line returns.
"""


class BirkhoffError(Exception):
    """Something the user can fix; printed as one line, without a traceback."""

    exit_code = 3


class CheckFailed(BirkhoffError):
    """What ``--fail-on`` asked for was found; said after everything was written."""

    exit_code = 1


class UsageError(BirkhoffError):
    """A command line or a call that asks for something that does not exist."""

    exit_code = 2


class BadInput(BirkhoffError):
    """A file that is not what it should be: damaged, incomplete, not finite, contradictory."""

    exit_code = 3


class Unreadable(BadInput):
    """A file that the machine cannot read now, or that changed meanwhile: it may be sound."""


class Unsupported(BirkhoffError):
    """Something that is recognised, and that this version cannot do."""

    exit_code = 4


class CannotWrite(BirkhoffError):
    """An output that cannot be written where it was asked for."""

    exit_code = 5


class TooLarge(BirkhoffError):
    """Work that would need more memory than there is; the message says how much."""

    exit_code = 6


class NoRoom(TooLarge):
    """What the machine allows a process is less than a library, or an open file, needs."""
