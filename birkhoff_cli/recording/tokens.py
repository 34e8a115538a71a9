"""Which tokens of a call are looked at: evenly spaced ones, without any random number."""

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.recording.libraries._module import Pick


class NoTokens(Exception):
    """A call of none, as of an empty batch."""


def spread(count: int | None) -> Pick:
    """At most so many tokens of all; None: every one.

    Raises:
        NoTokens: the function, where there is none.
    """

    def pick(tokens: Array) -> Array:
        if not len(tokens):
            raise NoTokens
        if count is None:
            return tokens
        stride = -(-len(tokens) // count)
        return tokens[::stride]

    return pick
