"""What is to be fitted: targets, the loss on their data, and what can be reached of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.ensemble import Sampler
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.core.trace import MixingTrace, Site
from birkhoff_cli.analyses.fitting import floors
from birkhoff_cli.analyses.fitting.data import Data
from birkhoff_cli.analyses.fitting.descent import Plan
from birkhoff_cli.analyses.fitting.objective import Objective, entries
from birkhoff_cli.analyses.geometry import polytope
from birkhoff_cli.analyses.geometry.distances import frobenius, rotations

ROUNDING = 1e-6
"""Distance to an orthostochastic matrix from rounding alone: the root of an entry of about eps."""


def common_d(trace: MixingTrace | None, methods: Sequence[Parameterization]) -> int:
    """Number of streams of the targets.

    Raises:
        UsageError: no method, or one of another d.
    """
    require(len(methods) > 0, "a fit without --method", "--method NAME, once for each")
    d = methods[0].d if trace is None else trace.d
    for method in methods:
        require(method.d == d, f"{method.name} of d = {method.d} among d = {d}", "one d for all")
    return d


def chosen_targets(
    trace: MixingTrace | None,
    sampler: Sampler | None,
    count: int | None,
    d: int,
    rng: np.random.Generator,
) -> tuple[Array, tuple[Site, ...]]:
    """Targets ``(batch, d, d)`` and the sites of a sample.

    Args:
        trace: whose matrices, sample by sample.
        sampler: without a trace; Sinkhorn of U(0, 1) entries if there is none either.
        count: how many, 64 drawn ones or all of a trace if not given; samples are kept whole.
        d: side.
        rng: the only source of randomness.

    Raises:
        UsageError: a count below 1, a trace and a sampler, a sampler of another d.
    """
    require(count is None or count >= 1, f"--targets {count}", "at least 1")
    require(trace is None or sampler is None, "--sampler and a path", "one of them")
    if trace is None:
        n = 64 if count is None else count
        require_memory(200 * n * d * d, f"{n:,} targets of d = {d}")
        drawn = np.asarray(sampler(n, rng) if sampler else polytope.sinkhorn_uniform(n, d, rng))
        require(drawn.shape[-1] == d, f"--sampler of d = {drawn.shape[-1]} for d = {d}", "one d")
        return drawn.astype(float), (Site(0, "drawn", "drawn"),)
    sites = len(trace.sites)
    samples = trace.samples if count is None else min(trace.samples, -(-count // sites))
    require_memory(200 * samples * sites * d * d, f"{samples * sites:,} targets of d = {d}")
    stacks: list[Array] = []
    for block in trace:
        stacks.append(block[: samples - sum(map(len, stacks))])
        if sum(map(len, stacks)) == samples:
            break
    return np.concatenate(stacks).reshape(-1, d, d).astype(np.float64), trace.sites


@dataclass(frozen=True)
class Problem:
    """What all methods are given."""

    objective: Objective
    floor: Array
    """``(batch,)``, of the population."""
    floor_drawn: Array
    """``(batch,)``, of the data that were drawn."""
    rotations: Array
    """Those of the targets; NaN where there is none of the same squares."""
    read: Array | None
    """Where a learned read-out begins."""


def posed(goals: Array, data: Data, kind: str, readout: str, rng: np.random.Generator) -> Problem:
    """The problem of these targets.

    Args:
        goals: ``(batch, d, d)``.
        data: how data are drawn; of no effect for entries.
        kind: features or entries.
        readout: none, fixed or learned. Read-outs are Gaussian of variance 1/d, so that signal
            and noise keep their size.
        rng: read-outs and data have children of their own.

    Raises:
        UsageError: a read-out of entries.
    """
    batch, d = goals.shape[:2]
    of_read, of_data, of_start = rng.spawn(3)
    read = None if readout == "none" else of_read.standard_normal((batch, d)) / np.sqrt(d)
    if kind == "entries":
        require(readout == "none", f"--readout {readout} with --objective entries", "none")
        drawn = expected = entries(batch, d)
    else:
        drawn, expected = data.moments(batch, d, of_data, read), data.expected(batch, d, read)
    least = floors.least_of_any_read if readout == "learned" else floors.least
    first = of_start.standard_normal((batch, d)) / np.sqrt(d)
    return Problem(
        objective := Objective(goals, drawn, read),
        least(Objective(goals, expected, read)),
        least(objective),
        _orthostochastic(goals),
        first if readout == "learned" else None,
    )


def _orthostochastic(goals: Array) -> Array:
    """`rotations` of the matrices whose entries are their squares."""
    r = rotations(goals)
    r[~(frobenius(r * r, goals) <= ROUNDING)] = np.nan
    return r


def title_of_fit(
    targets: int, origin: str | None, d: int, kind: str, data: Data, readout: str, plan: Plan
) -> str:
    """What is fitted to what, and how; options with words only if they are not the usual ones.

    Args:
        targets: how many.
        origin: the file that they are from, or what they are drawn from.
        d: number of streams.
        kind: of the objective.
        data: what streams carry.
        readout: what is seen of them.
        plan: how parameters descend.
    """
    parts = [f"{targets:,} targets" + (f" of {origin}" if origin else ""), f"d = {d}"]
    parts += ["entry by entry"] if kind == "entries" else [f"noise {data.noise:g}"]
    parts += [f"sparsity {data.sparsity:g}"] if data.sparsity else []
    parts += [f"projector noise {data.projector_noise:g}"] if data.projector_noise else []
    parts += [f"{data.features} features"] if data.features != Data().features else []
    parts += [f"{readout} read-out"] if readout != "none" else []
    parts += [f"start {plan.start}"] if plan.start != "init" else []
    return ", ".join([*parts, f"{plan.optimizer} at rate {plan.rate:g}"])
