"""Matrices as a model applies them, call by call; a trace when the block ends.

Known hyper-connections hand theirs over through `record`. Code that is not known does it itself,
with `Recorder.add`. A pass is one call of the model; its samples are the tokens of the batch,
sequence after sequence.
"""

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import files, tables
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, Unsupported, UsageError
from birkhoff_cli.analyses.core.shapes import Shaped
from birkhoff_cli.analyses.core.trace import MixingTrace, Site
from birkhoff_cli.recording.handed import numbers
from birkhoff_cli.recording.libraries._module import ADD, Look
from birkhoff_cli.recording.parts import Part, Stamp, write
from birkhoff_cli.recording.passes import in_backward
from birkhoff_cli.recording.ranks import of_this_rank
from birkhoff_cli.recording.tokens import NoTokens, spread
from birkhoff_cli.recording.warning import warn
from birkhoff_cli.tables._format import TableFormat

IN_MEMORY = 64 << 20
"""Bytes that are held in memory; a longer recording goes on in a file without a name."""


class Recorder:
    """Matrices as a model applies them, call by call; a trace when the block ends.

    Attributes:
        sites: in the order in which the first pass met them.
        samples: how many there are of every site.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        meta: dict[str, Any] | None = None,
        *,
        every: int = 1,
        tokens: int | None = None,
    ) -> None:
        """Begin a recording.

        Args:
            path: a ``.parquet`` or ``.arrow`` file; what is recorded lies in ``NAME.part.arrow``
                beside it until the block ends.
            meta: facts that a file keeps.
            every: of so many passes the last is recorded.
            tokens: how many of a pass that `record` watches, evenly spaced; None is every one.

        Raises:
            UsageError: no suffix of a table, or numbers below 1.
            CannotWrite: the path is a directory, is in none, or is read-only.
        """
        for name, number in (("every", every), ("tokens", tokens)):
            if number is not None and number < 1:
                raise UsageError(f"{name} = {number}; give 1 or more")
        self.path = None if path is None else of_this_rank(Path(path))
        if self.path is not None:
            _format(self.path)
        self.meta = meta or {}
        self.sites: tuple[Site, ...] = ()
        self.samples = 0
        self._d, self._dtype = 0, np.dtype(np.float32)
        self._every, self._pick = every, spread(tokens)
        self._passes, self._begun = 0, 0
        self._stamps: list[Stamp] = []
        self._pass: dict[Site, NDArray[Any]] = {}
        self._inside, self._watched, self._training = False, True, False
        self._steps: int | None = None
        self._refused: BirkhoffError | None = None
        self._part: Part | None = None
        folder = None if self.path is None else str(self.path.resolve().parent)
        self._spool = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder)  # noqa: SIM115
        weakref.finalize(self, self._spool.close)

    def __enter__(self) -> Self:
        """The recorder itself."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write the file if one was named; what a broken pass met is left out.

        After an error what was recorded is kept, and the error is raised.

        Raises:
            BirkhoffError: what ended the recording before, or there was nothing to record.
        """
        if error is None and not self._inside:
            self._guarded(self._finish)
        self._pass = {}
        if self.path is not None and self.samples:
            with contextlib.nullcontext() if error is None else contextlib.suppress(Exception):
                write(self._own_trace(), self._stamps, self.path)  # else the part stays
                if self._part is not None:
                    self._part.remove()
        if error is None:
            if self._refused is not None:
                raise self._refused
            self._own_trace()

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
        values = numbers(site, matrices)
        for before, other in self._pass.items():
            if other.shape != values.shape:
                raise BadInput(
                    f"{site.name} mixed {_size(values)}, {before.name} {_size(other)}; every "
                    f"site of a pass must see the same tokens"
                )
            break
        self._pass[site] = values

    def look(self, site: Site, look: Look) -> None:
        """What a module that is watched applied; never raises into the model.

        Calls inside of backward are those of activation checkpointing, and of no pass.
        """
        if self._refused is not None or not self._watched or in_backward():
            return
        try:
            seen = look(self._pick)
            seen.check()
            self.take(site, seen.mixing)
        except NoTokens:
            return
        except BirkhoffError as error:
            self._refuse(error)
        except Exception as error:
            self._refuse(Unsupported(f"{site.name}: {type(error).__name__}: {error}; {ADD}"))

    def _refuse(self, error: BirkhoffError) -> None:
        self._refused, self._pass = error, {}
        warn(f"birkhoff stopped recording: {error}")

    def stepped(self, step: int) -> None:
        """A training step was taken, the how-manieth."""
        self._steps = step

    @property
    def trace(self) -> MixingTrace:
        """All passes, as every analysis takes them.

        Raises:
            BadInput: nothing was recorded, or the last pass did not meet every site.
        """
        if not self._inside:
            self._finish()
        return self._own_trace()

    def _own_trace(self) -> MixingTrace:
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
        _format(Path(path))
        write(self.trace, self._stamps, Path(path))

    def begin(self, training: bool) -> None:
        """The model is called: what comes until `end` is one pass."""
        self._guarded(self._finish)
        self._begun += 1
        self._inside, self._training = True, training
        self._watched = self._begun % self._every == 0

    def end(self, complete: bool) -> None:
        """The model has returned, or broke off: then the pass is left out."""
        self._inside = False
        if complete:
            self._guarded(self._finish)
        self._pass, self._watched = {}, True

    def _guarded(self, act: Callable[[], None]) -> None:
        """An error of ours ends the recording and not the model."""
        if self._refused is None:
            try:
                act()
            except BirkhoffError as error:
                self._refuse(error)

    def _finish(self) -> None:
        """Keep the pass, if there is one and it met the same sites as the first."""
        if not self._pass:
            return
        sites, (first, *_) = tuple(self._pass), self._pass.values()
        if not self.sites:
            self.sites, self._d = sites, first.shape[-1]
            self._dtype = np.result_type(*self._pass.values())
        if sites != self.sites or first.shape[-1] != self._d:
            raise BadInput(self._mismatch(sites, first.shape[-1]))
        block = np.stack([*self._pass.values()], axis=1).astype(self._dtype, copy=False)
        with files.writing("the recording"):
            self._spool.seek(0, 2)
            self._spool.write(block.tobytes())
        stamp = Stamp(len(block), self._step, self._training)
        if self.path is not None:
            if self._part is None:
                self._part = Part(self.path, self.sites, self._d, self._dtype, self.meta)
            self._part.add(self.samples, stamp, block)
        self._stamps.append(stamp)
        self.samples += len(block)
        self._passes += 1
        self._pass = {}

    @property
    def _step(self) -> int | None:
        """The training step that a pass belongs to; None where none was taken and none is made."""
        if self._training:
            return (self._steps or 0) + 1
        return self._steps

    def _mismatch(self, sites: tuple[Site, ...], d: int) -> str:
        seen = f"pass {self._passes + 1} met"
        if d != self._d:
            return f"{seen} matrices with d = {d}, the first had d = {self._d}; record them apart"
        missing = [site.name for site in self.sites if site not in sites]
        if missing:
            return (
                f"{seen} {len(sites)} of {len(self.sites)} sites ({missing[0]} is the first that "
                f"is missing); run whole passes"
            )
        more = [site.name for site in sites if site not in self.sites]
        what = f"{more[0]}, which the first did not" if more else "the sites in another order"
        return f"{seen} {what}; every pass must meet the same sites in order"

    def _read(self, block: int, first: int) -> Iterator[Array]:
        shape = (len(self.sites), self._d, self._d)
        size = int(np.prod(shape)) * self._dtype.itemsize
        for start in range(first, self.samples, block):
            self._spool.seek(start * size)
            data = self._spool.read(min(block, self.samples - start) * size)
            yield np.frombuffer(data, self._dtype).reshape(-1, *shape)


def _size(matrices: NDArray[Any]) -> str:
    return f"{len(matrices)} tokens with d = {matrices.shape[-1]}"


def _format(path: Path) -> TableFormat:
    """Format of a table by its name, if it can be written there."""
    format = tables.by_suffix(path)
    files.check(path)
    return format
