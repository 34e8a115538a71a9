"""The doubly stochastic matrix that is farthest from what a method reaches: its covering radius.

Where the image is convex (a single point, or all mixtures of fixed permutations) the distance to
it is a convex function, which is largest at a permutation: all of them are tried. Else many
matrices are tried, and the farthest of them move away from their nearest point of the image, back
into the polytope. Distances are those of `geometry.image`: what is found is a lower bound on the
covering radius as far as these descents find the nearest points.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.image import Image
from birkhoff_cli.analyses.geometry.permutations import all_permutations
from birkhoff_cli.analyses.geometry.polytope import uniform
from birkhoff_cli.analyses.geometry.projection import nearest_doubly_stochastic

MAX_ALL = 6
"""Largest d of which every permutation is tried."""

SOME, EDGES, UNIFORM = 200, 96, 32
"""Permutations that are tried beyond; mixtures of two permutations, and uniform matrices."""

ASCENTS, ROUNDS, STEP = 6, 16, 0.2
"""Matrices that move, how often, and how far at first."""

SHORT = 1e-4
"""A step below which a matrix has arrived."""


class Cover(NamedTuple):
    """What is farthest from an image.

    Attributes:
        distance: how far.
        matrix: ``(d, d)``, the matrix that is.
        proven: whether no matrix is farther, as far as distances are right.
    """

    distance: float
    matrix: Array
    proven: bool


def cover(image: Image, rng: np.random.Generator) -> Cover:
    """The farthest matrix that is found.

    Args:
        image: of the method.
        rng: of the matrices that are tried.
    """
    d, method = image.method.d, image.method
    vertices = _vertices(d, rng)
    if method.simplified().permutations is not None or not method.parameters:
        distances, _ = _nearest(image, vertices)
        k = int(distances.argmax())
        return Cover(float(distances[k]), vertices[k], d <= MAX_ALL)
    one, other = vertices[rng.integers(len(vertices), size=(2, EDGES))]
    t = rng.random((EDGES, 1, 1))
    barycenter = np.full((1, d, d), 1 / d)
    tried = np.concatenate(
        [vertices, t * one + (1 - t) * other, barycenter, uniform(UNIFORM, d, rng)]
    )
    distances, _ = _nearest(image, tried)
    first = np.argsort(-distances, kind="stable")[:ASCENTS]
    return _ascend(image, tried[first])


def _vertices(d: int, rng: np.random.Generator) -> Array:
    if d <= MAX_ALL:
        perms = all_permutations(d)
    else:
        perms = np.array([rng.permutation(d) for _ in range(SOME)])
    return (perms[:, :, None] == np.arange(d)).astype(float)


def _nearest(image: Image, h: Array) -> tuple[Array, Array]:
    parts = [image.nearest(h[k : k + image.step]) for k in range(0, len(h), image.step)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _ascend(image: Image, h: Array) -> Cover:
    """Away from the nearest point while that makes the distance longer, else half as far."""
    distances, points = _nearest(image, h)
    step = np.full(len(h), STEP)
    for _ in range(ROUNDS):
        if (step < SHORT).all():
            break
        away = (h - points) * (step / np.maximum(distances, 1e-300))[:, None, None]
        moved = nearest_doubly_stochastic(h + away)
        further, there = _nearest(image, moved)
        better = further > distances
        h = np.where(better[:, None, None], moved, h)
        points = np.where(better[:, None, None], there, points)
        distances = np.where(better, further, distances)
        step = np.where(better, step, step / 2)
    k = int(distances.argmax())
    return Cover(float(distances[k]), h[k], False)
