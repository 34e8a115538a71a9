"""Matrices as a model applies them, call by call; a trace when the block ends.

Known hyper-connections hand theirs over through `record`. Code that is not known does it itself,
with `Recorder.add`. A pass is one call of the model; its samples are the tokens of the batch,
sequence after sequence.
"""

import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import files, provenance, tables
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.core.trace import MixingTrace, Site
from birkhoff_cli.recording.libraries._module import ADD

IN_MEMORY = 64 << 20
"""Bytes that are held in memory; a longer recording goes on in a file without a name."""


class Recorder:
    """Matrices as a model applies them, call by call; a trace when the block ends.

    Attributes:
        sites: in the order in which the first pass met them.
        samples: how many there are of every site.
    """

    def __init__(self, path: str | Path | None = None, meta: dict[str, Any] | None = None) -> None:
        """Begin a recording.

        Args:
            path: a ``.parquet`` or ``.arrow`` file, written when the block ends without an error.
            meta: facts that a file keeps.

        Raises:
            UsageError: no suffix of a table.
            CannotWrite: the path is a directory, is in none, or is read-only.
        """
        self.path = None if path is None else Path(path)
        if self.path is not None:
            _format(self.path)
        self.meta = meta or {}
        self.sites: tuple[Site, ...] = ()
        self.samples = 0
        self._d, self._dtype = 0, np.dtype(np.float32)
        self._passes = 0
        self._pass: dict[Site, NDArray[Any]] = {}
        self._inside = False
        folder = None if self.path is None else str(self.path.resolve().parent)
        self._spool = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder)  # noqa: SIM115
        weakref.finalize(self, self._spool.close)

    def __enter__(self) -> Self:
        """The recorder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hold that the last pass is complete, and write the file if one was named."""
        if error is None:
            trace = self.trace
            if self.path is not None:
                _write(trace, self.path)

    def add(self, layer: int, branch: str, matrices: Shaped[Array, "*batch d d"]) -> None:
        """Hand over what one site applied to a batch.

        A site that comes again begins a new pass; every pass meets the same sites in order.

        Args:
            layer: number of the layer.
            branch: such as attn or mlp.
            matrices: ``(..., d, d)``, numpy's or torch's: ``x_out[i] = sum_j H[i, j] x_in[j]``.
                Code that computes ``einsum("st,sd->td", M, x)`` applies the transpose of M.

        Raises:
            BadInput: no square matrices, not finite, or not as many as of the site before.
        """
        self.take(Site(layer, branch, f"layers.{layer}.{branch}"), matrices)

    def take(self, site: Site, matrices: Array) -> None:
        """What `add` does, for a site that has a name."""
        if site in self._pass:
            if self._inside:
                raise Unsupported(
                    f"{site.name} was called twice in one pass, so its place in the depth is not "
                    f"known; {ADD}"
                )
            self._finish()
        found = numbers(site, matrices)
        for before, other in self._pass.items():
            if other.shape != found.shape:
                raise BadInput(
                    f"{site.name} mixed {_words(found)}, {before.name} {_words(other)}; every site "
                    f"of a pass must see the same tokens"
                )
            break
        self._pass[site] = found

    @property
    def trace(self) -> MixingTrace:
        """All passes, as every analysis takes them.

        Raises:
            BadInput: nothing was recorded, or the last pass did not meet every site.
        """
        if self._inside:
            raise BadInput(
                f"pass {self._passes + 1} broke off inside the model; record it again without it"
            )
        self._finish()
        if not self.samples:
            raise BadInput(
                "no mixing was recorded; call the model, as it was given to record, in the block"
            )
        return MixingTrace(
            d=self._d,
            samples=self.samples,
            sites=self.sites,
            source="recording" if self.path is None else str(self.path),
            reader=self._read,
            dtype=self._dtype,
            meta={"format": "recording", "assumptions": [], **self.meta},
        )

    def save(self, path: str | Path) -> None:
        """Write the trace, in the format of the suffix.

        Raises:
            BadInput: there is no trace.
            UsageError: no suffix of a table.
            CannotWrite: with the system's reason.
        """
        _write(self.trace, Path(path))

    def begin(self, *_: object) -> None:
        """The model is called: what comes until `end` is one pass."""
        if self._inside:
            raise BadInput(
                f"pass {self._passes + 1} broke off inside the model; leave the block and record "
                f"again"
            )
        self._finish()
        self._inside = True

    def end(self, *_: object) -> None:
        """The model has returned."""
        self._inside = False
        self._finish()

    def _finish(self) -> None:
        """Keep the pass, if there is one and it met the same sites as the first."""
        if not self._pass:
            return
        found, (first, *_) = tuple(self._pass), self._pass.values()
        if not self.sites:
            self.sites, self._d = found, first.shape[-1]
            self._dtype = np.result_type(*self._pass.values())
        if found != self.sites or first.shape[-1] != self._d:
            raise BadInput(self._mismatch(found, first.shape[-1]))
        block = np.stack([*self._pass.values()], axis=1).astype(self._dtype, copy=False)
        with files.writing("the recording"):
            self._spool.seek(0, 2)
            self._spool.write(block.tobytes())
        self.samples += len(block)
        self._passes += 1
        self._pass = {}

    def _mismatch(self, found: tuple[Site, ...], d: int) -> str:
        seen = f"pass {self._passes + 1} met"
        if d != self._d:
            return f"{seen} matrices with d = {d}, the first had d = {self._d}; record them apart"
        missing = [site.name for site in self.sites if site not in found]
        if missing:
            return (
                f"{seen} {len(found)} of {len(self.sites)} sites ({missing[0]} is the first that "
                f"is missing); run whole passes"
            )
        more = [site.name for site in found if site not in self.sites]
        what = f"{more[0]}, which the first did not" if more else "the sites in another order"
        return f"{seen} {what}; every pass must meet the same sites in order"

    def _read(self, block: int, first: int) -> Iterator[Array]:
        shape = (len(self.sites), self._d, self._d)
        size = int(np.prod(shape)) * self._dtype.itemsize
        for start in range(first, self.samples, block):
            self._spool.seek(start * size)
            data = self._spool.read(min(block, self.samples - start) * size)
            yield np.frombuffer(data, self._dtype).reshape(-1, *shape)


def numbers(site: Site, matrices: Array) -> NDArray[Any]:
    """Matrices ``(n, d, d)`` of numpy, float64 as they are and everything else in float32."""
    if hasattr(matrices, "detach"):
        there = matrices.detach().cpu()
        matrices = (there if str(there.dtype) == "torch.float64" else there.float()).numpy()
    found = np.asarray(matrices)
    if found.ndim < 2 or found.shape[-1] != found.shape[-2] or found.shape[-1] < 1:
        raise BadInput(f"{site.name}: matrices of shape {found.shape}; expected (..., d, d)")
    if found.dtype.kind not in "fiu":
        raise UsageError(f"{site.name}: matrices of {found.dtype}; expected real numbers")
    found = found.astype(np.float64 if found.dtype == np.float64 else np.float32, copy=False)
    if not np.isfinite(found).all():
        raise BadInput(f"{site.name} applied NaN or infinity; the model has probably diverged")
    return found.reshape(-1, *found.shape[-2:])


def _words(matrices: NDArray[Any]) -> str:
    return f"{len(matrices)} tokens with d = {matrices.shape[-1]}"


def _format(path: Path) -> tables.TableFormat:
    """Format of a table by its name, if it can be written there."""
    format = tables.by_suffix(path)
    files.check(path)
    return format


def _write(trace: MixingTrace, path: Path) -> None:
    """As ``birkhoff trace`` does: in row groups, whole or not at all."""
    from birkhoff_cli.analyses.core.table import arrow_schema
    from birkhoff_cli.commands.trace import run

    format, result = _format(path), run(trace)
    schema = arrow_schema(result.schema, provenance.stamp("trace", result.meta, options={}))
    with files.opened(path) as sink:
        batches = result.batches(schema)
        format.write(batches, schema, sink, lambda: provenance.footer(result.summarise()))
