"""Measure mixing matrices while a model trains, without a word to the training.

    with birkhoff.monitor(model, every=100, to="run/hc.ndjson"):
        train(model)

Nothing here raises into forward, backward or an optimizer: what goes wrong is one warning.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core.errors import BirkhoffError, UsageError
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.recording.alarm import Alarm
from birkhoff_cli.recording.libraries._module import Look, Module, Seen, is_whole, recompile
from birkhoff_cli.recording.passes import Passes, in_backward
from birkhoff_cli.recording.record import Mixer, find, mixers_of
from birkhoff_cli.recording.sinks import Sink, Target, opened
from birkhoff_cli.recording.steps import Steps
from birkhoff_cli.recording.tokens import NoTokens, spread
from birkhoff_cli.recording.warning import warn

if TYPE_CHECKING:
    from torch import nn

    from birkhoff_cli.recording.measure import Numbers

NO_STEP = (
    "no step is counted, for no optimizer of the model's own parameters took one; call step() of "
    "the monitor after every step"
)
NO_PASS = (
    "no complete pass of the model was seen in it; those in evaluation mode, without gradients or "
    "without tokens do not count, and replicas and replayed graphs cannot be seen"
)
OTHER_SITES = (
    "the model has other sites than when the monitor began, so the product over all of them is not "
    "known; begin it anew"
)


class Monitor:
    """What `monitor` gives to its block.

    Attributes:
        numbers: of the last step that was measured; None before.
    """

    def __init__(
        self,
        model: Module,
        mixers: Sequence[Mixer],
        every: int,
        tokens: int,
        sinks: Sequence[Sink],
        alarm: Alarm | None,
        *,
        evaluation: bool = False,
        first: int = 0,
    ) -> None:
        self.numbers: dict[str, Any] | None = None
        self._model, self._sites = model, {id(mixer.module) for mixer in mixers}
        self._modules, self._changed = _ids(model), False
        self._every, self._pick, self._sinks, self._alarm = every, spread(tokens), sinks, alarm
        self._evaluation = evaluation
        self.steps = Steps(model, self._done, first)
        self._seen: dict[Site, Seen] = {}
        self._whole = False  # whether a pass of this step is complete
        self._missed = False  # whether something of it could not be measured
        self._watched = False
        self._thread = 0  # in which it runs
        self._of = 0  # the step that this pass belongs to
        self._warned: set[str] = set()
        self.passes = 0

    def step(self) -> None:
        """A training step was taken; from the first call on optimizers do not count."""
        self.steps.step()

    def begin(self, training: bool) -> None:
        """The model's own forward begins."""
        if training:
            self.steps.passed()
            self.passes += 1
            if self.steps.is_lost:
                self._say(NO_STEP, NO_STEP)
        due = (self.steps.taken + 1) % self._every == 0
        self._watched = due and not self._whole and (training or self._evaluation)
        if self._watched:
            self._seen, self._missed, self._of = {}, False, self.steps.taken + 1
            self._thread = threading.get_ident()

    def end(self, complete: bool) -> None:
        """The model's own forward has ended; the first complete pass of a step is measured."""
        self._whole = self._whole or (self._watched and complete and bool(self._seen))
        self._watched = False

    def look(self, site: Site, look: Look) -> None:
        """Keep what a site did with some tokens, on its device."""
        if not self._watched or threading.get_ident() != self._thread or in_backward():
            return
        if site in self._seen:
            self._missed = True
            sentence = "is called twice in a pass: the first call is measured, and no product"
            self._say(f"{site.name} {sentence}", f"{site.name} twice")
            return
        try:
            seen = look(self._pick)
            parts = {n: _kept(getattr(seen, n)) for n in ("mixing", "pre", "post", "off")}
            self._seen[site] = seen._replace(**parts)
        except NoTokens:
            return
        except Exception as error:
            self._missed = True
            sentence = f"{site.name} is not measured: {_one_line(error)}"
            self._say(sentence, f"{site.name} {type(error).__name__}")

    def _done(self, step: int) -> None:
        if self._seen and self._whole:
            self._write(step)
        elif step % self._every == 0 and not self._missed and not is_whole():
            self._say(f"step {step} is not measured: {NO_PASS}", NO_PASS)
        self._seen, self._whole, self._missed = {}, False, False

    def finish(self) -> None:
        """Write what was met since the last step, or of it if Ctrl-C came before it was written."""
        if self._seen:
            self._write(self._of, finished=self.steps.taken >= self._of)
            self._seen = {}
        if self.passes and not self.steps.counted:
            self._say(NO_STEP, NO_STEP)

    def _write(self, step: int, finished: bool = True) -> None:
        """Measure, ask the alarm, and hand the numbers on."""
        try:
            numbers = self._measured(step, finished)
        except Exception as error:
            sentence = f"step {step} is not measured: {_one_line(error)}"
            self._say(sentence, f"step {type(error).__name__}")
            return
        self.numbers = numbers
        call = self._alarm.hear(numbers) if self._alarm is not None else None
        for sink in (*self._sinks, *([call] if call else [])):
            try:
                sink(numbers, step)
            except Exception as error:
                self._say(f"{_name(sink)} failed: {_one_line(error)}", f"sink {id(sink)}")

    def _measured(self, step: int, finished: bool) -> dict[str, Any]:
        from birkhoff_cli.recording.measure import COMPOSITE, FINITE, SITE, measure

        measured = measure(self._seen)
        known = {s: seen for s, seen in self._seen.items() if not self._refused(s, seen, measured)}
        if len(known) < len(self._seen):  # no number of the others may hold what was refused
            measured = measure(known)
        unknown_site: dict[str, Any] = dict.fromkeys(SITE)
        sites = {s.name: measured.sites.get(s.name, unknown_site) for s in self._seen}
        whole = self._whole and not self._missed and len(known) == len(self._seen)
        whole = self._has_its_sites() and whole
        if len(self._seen) < len(self._sites) and is_whole():  # the others ran, unseen
            whole = False
        composite = measured.composite if whole else dict.fromkeys(COMPOSITE)
        return {
            "step": step,
            "d": measured.d,
            "verdict": measured.verdict,
            **({} if measured.finite else {FINITE: False}),
            **({} if finished else {"finished": False}),
            **measured.together,
            **sites,
            "composite": composite,
        }

    def _has_its_sites(self) -> bool:
        """Whether the model's sites are those that are watched: modules may be replaced."""
        if (now := _ids(self._model)) != self._modules:
            self._modules = now
            self._changed = {id(mixer.module) for mixer in find(self._model)} != self._sites
        if self._changed:
            self._say(OTHER_SITES, OTHER_SITES)
        return not self._changed

    def _refused(self, site: Site, seen: Seen, measured: "Numbers") -> bool:
        """Whether a site mixed its streams otherwise than is known here; it is said once."""
        off = measured.off[site.name]
        if seen.refuse is None or not off > 1:
            return False
        self._say(str(seen.refuse(off)), site.name)
        return True

    def _say(self, text: str, key: str) -> None:
        """Warn once of each thing."""
        if key not in self._warned:
            self._warned.add(key)
            warn(f"birkhoff: {text}")


@contextmanager
def monitor(
    model: "nn.Module",
    *,
    every: int = 100,
    tokens: int = 256,
    to: Target | Sequence[Target] | None = None,
    on: str | None = None,
    after: int = 1,
    alarm: Sink | None = None,
    evaluation: bool = False,
    first: int = 0,
) -> Iterator[Monitor]:
    """Measure a model's hyper-connections at every k-th training step inside the block.

    A step is a call of an optimizer that holds parameters of the model, or, where it is called,
    of ``step()``. Of a step's passes the first complete one is measured; passes in evaluation mode
    or without gradients, and what activation checkpointing calls again, are left out.

    Args:
        model: a torch module with hyper-connections of a known library.
        every: steps between two that are measured; the first is the step of that number.
        tokens: how many of a pass are looked at, at most, evenly spaced.
        to: an ``.ndjson`` file, a function of the numbers and the step, or several of these.
        on: a verdict of `birkhoff degeneration` that raises the alarm.
        after: measured steps in a row that must have it.
        alarm: is called with the numbers and the step; a warning if not given.
        evaluation: whether passes in evaluation mode or without gradients are measured too.
        first: steps that were taken before, of a run that goes on.

    Raises:
        Unsupported: no known hyper-connection in the model, or a variant that is not known.
        UsageError: numbers below 1, no such verdict, no target, or a name of another format.
        CannotWrite: the file cannot be opened.
    """
    whole_numbers = {"every": (every, 1), "tokens": (tokens, 1), "after": (after, 1)}
    for name, (number, least) in {**whole_numbers, "first": (first, 0)}.items():
        if not isinstance(number, Integral) or number < least:
            raise UsageError(f"{name} = {number!r}; give a whole number, {least} or more")
    if on is None and (after != 1 or alarm is not None):
        raise UsageError("after and alarm have no effect without on; give the verdict to wait for")
    mixers = mixers_of(model)
    heard = None if on is None else Alarm(on, after, alarm)
    with ExitStack() as attached:
        sinks = [*opened(to, attached)]
        import_compiler()
        mine = Monitor(
            model, mixers, every, tokens, sinks, heard, evaluation=evaluation, first=first
        )
        attached.callback(recompile)
        for mixer in mixers:
            attached.callback(mixer.attach(partial(mine.look, mixer.site)))
        attached.callback(Passes(model, mine.begin, mine.end).attach())
        attached.callback(mine.steps.attach())
        recompile()
        try:
            yield mine
        finally:
            mine.finish()


def import_compiler() -> None:
    """A hook escapes the compiler only if this is there when it is made; optimizers import it."""
    import torch._dynamo  # noqa: F401


def _one_line(error: Exception) -> str:
    """One line of an error; of one that is not ours the kind is said too."""
    line = " ".join(str(error).split())
    return line if isinstance(error, BirkhoffError) else f"{type(error).__name__}: {line}"


def _ids(model: Module) -> frozenset[int]:
    return frozenset(map(id, model.modules()))


def _kept(value: Any) -> Any:
    return None if value is None else value.detach().clone()


def _name(sink: Callable[..., object]) -> str:
    return str(getattr(sink, "path", None) or getattr(sink, "__name__", type(sink).__name__))
