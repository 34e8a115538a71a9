"""What members share: types of modules and callbacks, and how a hook escapes the compiler."""

import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any, NamedTuple, TypeAlias

from birkhoff_cli.analyses.core.arrays import Array, without_asking
from birkhoff_cli.analyses.core.errors import BirkhoffError

Module: TypeAlias = Any
"""A ``torch.nn.Module``, whose attributes have no types."""


class Seen(NamedTuple):
    """What a site did in one call, on the device of its streams.

    Attributes:
        mixing: H ``(..., d, d)``.
        pre: what its branch reads of every stream ``(..., d)``; None if not known.
        post: how much of the branch every stream receives ``(..., d)``; None if not known.
        logits: what Sinkhorn balances ``(..., p)``, in nats; None if not known, or no Sinkhorn.
        off: distance of H x from what the module made of its streams, over what rounding explains:
            a scalar, above 1 for another version, NaN for streams that are not finite.
        refuse: the error for such a number; None where nothing is compared.
    """

    mixing: Array
    pre: Array | None = None
    post: Array | None = None
    logits: Array | None = None
    off: Array | None = None
    refuse: Callable[[float], BirkhoffError] | None = None

    def check(self) -> None:
        """Raise what `refuse` says, which waits for the device.

        Raises:
            Unsupported: another version of the module.
        """
        if self.off is not None and self.refuse is not None and float(self.off) > 1:
            raise self.refuse(float(self.off))


Pick: TypeAlias = Callable[[Array], Array]
"""From the tokens of a call ``(n, ...)`` to those that are looked at."""

Look: TypeAlias = Callable[[Pick], Seen]
"""What computes `Seen` of some tokens; nothing is computed unless somebody looks."""

Give: TypeAlias = Callable[[Look], None]
Detach: TypeAlias = Callable[[], object]

Fill: TypeAlias = Callable[[Array], Array]
"""From empty streams, whose shape, dtype and device are right, to streams."""


def every_token(tokens: Array) -> Array:
    """All of them."""
    return tokens


ADD = "hand its matrices over with Recorder.add"
"""What to do about code that is not known here."""


def do_nothing(*_: object, **__: object) -> None:
    """What a hook does where it cannot look."""


def aside(device: str) -> ExitStack:
    """A context without gradients, without waiting for a device, and without its autocast."""
    import torch

    context = ExitStack()
    context.enter_context(torch.no_grad())
    context.enter_context(without_asking())
    if torch.amp.is_autocast_available(device):
        context.enter_context(torch.autocast(device, enabled=False))
    return context


NOTHING = nullcontext().__exit__
"""A function of any arguments that does nothing; a file that holds it is read without birkhoff."""


class Hook:
    """A function that torch calls at a module. Copies of the module, in a file too, do not keep it.

    A copy for averaged weights, say, is another model: what it does is none of a monitor's.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Call the function."""
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        return self._function(*args, **kwargs)

    def __deepcopy__(self, memo: object) -> Any:
        """What a copy has in its place."""
        return NOTHING

    def __reduce__(self) -> Any:
        """What a file has in its place."""
        return NOTHING.__reduce__()


def uncompiled(function: Callable[..., Any], whole: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs as it is where a model was compiled.

    Nothing was if torch's compiler is not even imported, which takes seconds. A model that must be
    one graph, fullgraph=True, has no room for it: there ``whole`` is compiled in its place.
    """
    if "torch._dynamo" not in sys.modules:
        return function
    from birkhoff_cli.recording.libraries import _compiled

    _compiled.run_as_it_is(Hook.__call__.__code__)
    return _compiled.escaping(function, whole)


def recompile() -> None:
    """Forget compiled code, which does not see that hooks come or go; nothing if there is none."""
    if "torch._dynamo" in sys.modules:
        from birkhoff_cli.recording.libraries import _compiled

        _compiled.forget()


def is_whole() -> bool:
    """Whether something was compiled that must be one graph, which was said."""
    compiled = sys.modules.get("birkhoff_cli.recording.libraries._compiled")
    return compiled is not None and bool(compiled.WHOLE[0])


def attach_hook(
    module: Module, give: Give, applied: Callable[[Module, Array, Any, Pick], Seen]
) -> Detach:
    """Hand over what ``applied`` computes of every call's module, streams and output."""

    def hook(called: Module, args: Any, kwargs: Any, output: Any) -> None:
        if called is not module:  # a replica, which has the hooks of what it was made from
            return

        def look(pick: Pick) -> Seen:
            streams = args[0] if args else next(iter(kwargs.values()))
            with aside(streams.device.type):
                return applied(module, streams, output, pick)

        give(look)

    remove: Detach = module.register_forward_hook(
        Hook(uncompiled(hook, do_nothing)), with_kwargs=True
    ).remove
    return remove
