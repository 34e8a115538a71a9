"""Shapes in types, as jaxtyping writes them: ``Shaped[Array, "*batch d d"]``.

To type checkers jaxtyping's names are `typing.Annotated`; here they are at run time too, so that no
command imports it. The tests read every shape with jaxtyping itself and hold calls to it.
"""

from typing import Annotated as Shaped

__all__ = ["Shaped"]
"""A ``*`` stands for any number of axes, a ``#`` before a name for one that may be 1."""
