"""A stack of square arrays as a person saved it: logits, results of a kernel, gradients."""

from dataclasses import dataclass, field
from typing import Any

from birkhoff_cli.analyses.core.arrays import Array


@dataclass(frozen=True)
class Stack:
    """Square arrays of real numbers in the dtype of their file.

    Attributes:
        values: ``(count, d, d)``; narrow floats of 16 bits and below as float32, without loss.
        source: where they come from, for titles and messages.
        dtype: name of the dtype in which they are stored.
        meta: provenance for file metadata.
    """

    values: Array
    source: str
    dtype: str
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def d(self) -> int:
        """Side of the arrays."""
        return int(self.values.shape[-1])
