"""Which tokens of a call are looked at: evenly spaced ones, without any random number."""

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.recording.libraries._module import Pick, every_token


def spread(count: int | None) -> Pick:
    """At most so many tokens of all; None: every one."""
    if count is None:
        return every_token

    def pick(tokens: Array) -> Array:
        stride = -(-len(tokens) // count) or 1
        return tokens[::stride]

    return pick
