"""The Jacobian dH/dtheta of a map: its norms, its rank, and where it vanishes."""

from collections.abc import Generator, Iterator

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.describe import specification
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.core.threads import one_thread
from birkhoff_cli.analyses.geometry.assignment import permutation_distance

MAX_NUMBERS = 10_000_000
"""Numbers of all Jacobians that are held at a time."""

Jacobian = tuple[Array, Array]
"""Matrices ``(n, d, d)`` and their derivatives ``(n, d^2, p)``, numpy, as computed."""


def measure(
    method: Parameterization, theta: Array, draws: Draws
) -> Generator[None, None, dict[str, Array]]:
    """Distance, norms and rank at every ``(n, p)``; singular values always in float64.

    Yields None after each of the `passes`.
    """
    d2 = method.d**2
    require_memory(32 * d2 * method.parameters, f"the Jacobian of {specification(method)}")
    distance, singular = [], []
    for part in _parts(method, len(theta)):
        h, slope = yield from jacobian(method, theta[part], draws.dtype, draws.device)
        distance.append(permutation_distance(np.moveaxis(h.astype(float), 0, -1)))
        singular.append(_singular(slope.astype(float)))
    sigma = np.concatenate(singular)
    norm = np.sqrt(np.square(sigma).sum(1))
    tolerance = d2 * np.finfo(draws.dtype).eps * np.maximum(1, norm)
    counts = sigma > tolerance[:, None]
    least = np.where(counts, sigma, np.inf).min(1, initial=np.inf)
    return {
        "vertex_distance": np.concatenate(distance),
        "norm": norm,
        "sigma_max": sigma.max(1, initial=0),
        "sigma_min": np.where(np.isfinite(least), least, np.nan),
        "rank": np.where(np.isnan(norm), np.nan, counts.sum(1)),
        "tolerance": tolerance,
    }


def passes(method: Parameterization, count: int) -> int:
    """Backward passes for so many points: one for every entry, of as many points as are held."""
    return method.d**2 * len([*_parts(method, count)])


def _parts(method: Parameterization, count: int) -> Iterator[slice]:
    step = max(1, MAX_NUMBERS // (method.d**2 * max(1, method.parameters)))
    return (slice(k, k + step) for k in range(0, count, step))


def _singular(slope: Array) -> Array:
    """Singular values ``(n, min(d^2, p))``; NaN where the map has no derivative."""
    smooth = np.isfinite(slope).all((1, 2))
    sigma = np.linalg.svd(np.where(smooth[:, None, None], slope, 0), compute_uv=False)
    return np.where(smooth[:, None], sigma, np.nan)


def jacobian(
    method: Parameterization, theta: Array, dtype: str, device: str = "cpu"
) -> Generator[None, None, Jacobian]:
    """H and dH/dtheta by reverse mode: a backward pass for every entry of H, all points at once.

    A matrix depends on its own parameters only, so that the gradient of an entry summed over the
    batch is the gradient of every matrix's entry. Yields None after each pass.
    """
    import torch

    there = np.ascontiguousarray(theta)
    x = torch.as_tensor(there, dtype=getattr(torch, dtype), device=device).requires_grad_()
    with one_thread():
        h = method(x)
        entries = h.flatten(start_dim=1).sum(0)
    rows = []
    for entry in entries:
        with one_thread():  # not while somebody else has the word
            rows.append(torch.autograd.grad(entry, x, retain_graph=True)[0])
        yield
    return h.detach().cpu().numpy(), torch.stack(rows, dim=1).cpu().numpy()
