"""One hyper-connection: how a site mixes its streams, what its branch reads and where it writes.

``x_out = H x_in + h_post (outer) branch(h_pre . x_in)``. H, h_pre and h_post follow the streams:
all streams together, or each on its own, are normalised and multiplied by one matrix; what comes
out, scaled, is added to learned numbers. The published code bases differ in nothing else than the
fields of `Connection`, and its arrays may be numpy's or torch's.

Source: Hyper-Connections, arXiv:2409.19606; mHC, arXiv:2512.24880, eq. 5-8.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, like, namespace, taken
from birkhoff_cli.analyses.core.parameterization import Parameterization


class Norm(NamedTuple):
    """Division by ``max(r, eps)``, ``sqrt(r^2 + eps)`` or ``r + eps``: r the root mean square."""

    guard: Literal["floor", "inside", "outside"] = "floor"
    eps: float = 0.0


class Gate(NamedTuple):
    """Numbers that follow the streams: ``static + scale * z[order]``, through a sigmoid if bounded.

    Attributes:
        static: ``(p,)`` learned numbers.
        scale: of the dynamic part; a scalar.
        order: ``(proposals, q)`` indices into z. The first q of the p numbers move, the others
            stay; None: all stay. What several proposals lead to is averaged.
        bounds: ``(low, height)`` of ``low + height * sigmoid``; None: the numbers themselves.
        tanh: whether z passes through tanh before it is scaled.
        clip: largest argument of the sigmoid, and smallest.
    """

    static: Array
    scale: Array = 0.0
    order: Array | None = None
    bounds: tuple[float, float] | None = None
    tanh: bool = False
    clip: float | None = None


Draw: TypeAlias = Callable[[int, np.random.Generator], Array | None]
"""Logits of as many random streams; None where these do not matter."""


class Weights(NamedTuple):
    """What a site does to ``(..., d, width)`` streams.

    Attributes:
        mixing: H, ``(..., d, d)``.
        pre: ``(..., d)``, how much of each stream the branch reads.
        post: ``(..., d)``, how much of the branch each stream receives.
    """

    mixing: Array
    pre: Array
    post: Array

    @property
    def rows(self) -> Array:
        """``(..., d + 2, d)``: pre, post, and then H row by row."""
        xp, d = namespace(self.mixing), self.mixing.shape[-1]
        gates = [gate[..., None, :] for gate in (self.pre, self.post)]
        shapes = (tuple(part.shape[:-2]) for part in (*gates, self.mixing))
        batch = np.broadcast_shapes(*shapes)
        parts = [xp.broadcast_to(gate, (*batch, 1, d)) for gate in gates]
        return xp.concat([*parts, xp.broadcast_to(self.mixing, (*batch, d, d))], axis=-2)


@dataclass(frozen=True)
class Connection:
    """A site with learned parameters, in our orientation.

    Attributes:
        map: the parameterization of H; None where the code never applies one, and H = I.
        d: number of streams.
        width: length of one stream.
        mixing: parameters of ``map``.
        pre: what the branch reads.
        post: where the branch writes.
        weight: ``(features, outputs)``, the norm's gain included. Features are those of all d
            streams one after another, or of one stream: then z holds the outputs of each stream,
            stream by stream. None: nothing depends on the streams.
        norm: how streams are normalised.
    """

    map: Parameterization | None
    d: int
    width: int
    mixing: Gate
    pre: Gate
    post: Gate
    weight: Array | None = None
    norm: Norm = Norm()

    def __call__(self, streams: Array) -> Weights:
        """The weights for streams ``(..., d, width)``."""
        return self.weights(self.logits(streams))

    def logits(self, streams: Array) -> Array | None:
        """Logits z ``(..., outputs)`` or ``(..., d * outputs)``; None if streams do not matter."""
        if self.weight is None:
            return None
        flat = streams.reshape((*streams.shape[:-2], -1, self.weight.shape[0]))
        z = normalised(flat, self.norm) @ self.weight
        return z.reshape((*z.shape[:-2], -1))

    def random_logits(self, n: int, rng: np.random.Generator) -> Array | None:
        """Logits z ``(n, ...)`` float64 of streams of uniform direction, normalised without eps.

        A uniform direction in F dimensions, seen through a matrix ``W = Q R`` of rank r, is
        ``sqrt(F) g R / sqrt(|g|^2 + chi^2_{F - r})`` with r Gaussians g: the width does not matter.
        """
        if self.weight is None:
            return None
        return random_logits(triangle(self.weight), len(self.weight), self.groups, n, rng)

    def without_weight(self) -> "tuple[Connection, Draw]":
        """The same site without ``weight``, and `random_logits` as a function of n and a generator.

        It can be a thousand times larger than the triangle that is left of it here.
        """
        if self.weight is None:
            return self, lambda *_: None
        r, features, groups = triangle(self.weight), len(self.weight), self.groups
        site = replace(self, weight=None)
        return site, lambda n, rng: random_logits(r, features, groups, n, rng)

    @property
    def groups(self) -> int:
        """Vectors that are normalised: d streams, or all of them as one."""
        return 1 if self.weight is None else self.d * self.width // self.weight.shape[0]

    def parameters(self, z: Array | None) -> Array:
        """Parameters of the map ``(..., p)`` of logits, or of no streams; proposals averaged."""
        return _parameters(self.mixing, z).mean(-2)

    def gates(self, z: Array | None) -> tuple[Array, Array]:
        """What the branch reads of every stream, and what every stream receives ``(..., d)``."""
        return _values(self.pre, z).mean(-2), _values(self.post, z).mean(-2)

    def weights(self, z: Array | None) -> Weights:
        """The weights of logits; None gives those of streams that do not matter."""
        pre, post = self.gates(z)
        if self.map is None:
            eye = like(np.eye(self.d), self.mixing.static)
            batch = () if z is None else z.shape[:-1]
            return Weights(namespace(eye).broadcast_to(eye, (*batch, self.d, self.d)), pre, post)
        h = self.map(_parameters(self.mixing, z))
        return Weights(h[..., 0, :, :] if h.shape[-3] == 1 else h.mean(-3), pre, post)

    def converted(self, convert: Callable[[Array], Array]) -> "Connection":
        """Every array replaced, to go from numpy to torch or to another dtype."""
        mixing, pre, post = (
            gate._replace(static=convert(gate.static), scale=convert(gate.scale))
            for gate in (self.mixing, self.pre, self.post)
        )
        weight = None if self.weight is None else convert(self.weight)
        return replace(self, weight=weight, mixing=mixing, pre=pre, post=post)


def triangle(weight: Array) -> Array:
    """R of ``weight = Q R``, float64."""
    return np.linalg.qr(np.asarray(weight, dtype=np.float64), mode="r")


def random_logits(r: Array, features: int, groups: int, n: int, rng: np.random.Generator) -> Array:
    """Logits ``(n, groups * outputs)`` of groups of uniform direction; ``r``: see `triangle`."""
    g = rng.standard_normal((n, groups, len(r)))
    rest = rng.chisquare(features - len(r), (n, groups)) if features > len(r) else 0.0
    length = np.sqrt(np.square(g).sum(-1) + rest)
    return (sqrt(features) * (g / length[..., None]) @ r).reshape(n, -1)


def normalised(x: Array, norm: Norm) -> Array:
    """Vectors of the last axis over their root mean square."""
    xp = namespace(x)
    square = (x * x).mean(-1)[..., None]
    if norm.guard == "inside":
        return x / xp.sqrt(square + norm.eps)
    r = xp.sqrt(square)
    return x / (r + norm.eps if norm.guard == "outside" else xp.clip(r, norm.eps, None))


def _parameters(gate: Gate, z: Array | None) -> Array:
    """``(..., proposals, p)``."""
    if z is None or gate.order is None:
        return gate.static[None]
    xp = namespace(z)
    moved = gate.order.shape[-1]
    dynamic = taken(z, gate.order)
    dynamic = xp.tanh(dynamic) if gate.tanh else dynamic
    theta = gate.static[:moved] + gate.scale * dynamic
    if moved == gate.static.shape[0]:
        return theta
    rest = xp.broadcast_to(gate.static[moved:], (*theta.shape[:-1], gate.static.shape[0] - moved))
    return xp.concat([theta, rest], axis=-1)


def _values(gate: Gate, z: Array | None) -> Array:
    """``(..., proposals, p)``, bounded."""
    theta = _parameters(gate, z)
    if gate.bounds is None:
        return theta
    low, height = gate.bounds
    xp = namespace(theta)
    theta = theta if gate.clip is None else xp.clip(theta, -gate.clip, gate.clip)
    return low + height / 2 * (1 + xp.tanh(theta / 2))  # never overflows
