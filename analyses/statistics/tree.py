"""Sums over numbered blocks that do not depend on how the blocks were cut into ranges.

Floating-point addition is not associative, so the order of additions is fixed: blocks are the
leaves of a binary tree over their numbers, and two neighbours are joined as soon as both are
complete. A state holds the roots of complete subtrees only, about log2 of the number of blocks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.states import data

Node = TypeVar("Node")


class Tree(ABC, Generic[Node]):
    """Nodes by level and index: node ``(k, i)`` is of blocks ``i 2^k`` to ``(i + 1) 2^k - 1``."""

    def __init__(self) -> None:
        """Start empty."""
        self.nodes: dict[tuple[int, int], Node] = {}

    @abstractmethod
    def join(self, left: Node, right: Node) -> Node:
        """One node of two neighbours."""

    def add(self, number: int, node: Node) -> None:
        """Add a block, once."""
        self._put(0, number, node)

    def merge(self, other: "Tree[Node]") -> None:
        """Add the blocks of another tree, none of which this one has."""
        for level, index in sorted(other.nodes):
            self._put(level, index, other.nodes[level, index])

    def _put(self, level: int, index: int, node: Node) -> None:
        while (sibling := self.nodes.pop((level, index ^ 1), None)) is not None:
            node = self.join(sibling, node) if index & 1 else self.join(node, sibling)
            level, index = level + 1, index >> 1
        self.nodes[level, index] = node

    def total(self) -> Node | None:
        """All blocks as one node; None without blocks. Later blocks may still be added."""
        total: Node | None = None
        for node in self._in_order():
            total = node if total is None else self.join(total, node)
        return total

    def _in_order(self) -> Iterator[Node]:
        """Nodes by the first block that they hold."""
        order = sorted(self.nodes, key=lambda key: key[1] << key[0])
        return (self.nodes[key] for key in order)


@data()
class Total(Tree[Array]):
    """Arrays that are added."""

    def join(self, left: Array, right: Array) -> Array:
        """Their sum."""
        return left + right
