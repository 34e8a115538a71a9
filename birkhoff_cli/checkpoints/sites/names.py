"""Names of tensors as the code has them: without what was wrapped around the model.

Compilers, trainers and adapters put segments of their own into every name, at its beginning or in
its middle. They are taken out here, once for all formats.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.containers import Store, TensorInfo, escape, where
from birkhoff_cli.containers.store import FP8

WRAPPERS = re.compile(
    r"(?<![^.])(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module"
    r"|base_model\.model|modules_to_save\.[^.]+|original_module|model)\."
)
"""Segments of torch.compile, data parallelism, FSDP, activation checkpointing and PEFT, and
``model``, which programs put in front of every name or not."""

WRAPPER_WORDS = ("_orig_mod.", "module.", "model.", "modules_to_save.")
"""One of them is in every wrapper; where none is in any of 100,000 names, no name is changed."""

FROZEN = re.compile(r"(?<![^.])original_module\.")
"""PEFT's copy from before the training of what it keeps under ``modules_to_save``."""

SCALE, BLOCK = "_scale_inv", 128
"""What the scales of a tensor are called behind its name, and the side of the block of each."""

ORDINARY = {"model"}
"""Segments that are no wrapper's: nothing is said about them."""


def bare(name: str) -> str:
    """A tensor's name without wrappers."""
    return WRAPPERS.sub("", name)


class NamedStore:
    """An open store whose tensors have the names that the code gives them.

    Attributes:
        store: what is read from.
        path: the file or directory.
        config: whatever else it holds, as plain data.
        prefix: what the names that count begin with, if somebody said it.
        tensors: shape and dtype by bare name, in the order of the file.
        stored: names in the file by bare name.
        scales: names in the file of the scales of tensors of 8-bit floats, by bare name of these.
        wrappers: segments that were taken out, each once.
    """

    def __init__(self, store: Store, prefix: str | None = None) -> None:
        """Take wrappers out of every name, and keep the names under ``prefix``.

        Raises:
            UsageError: no name begins with ``prefix``.
        """
        self.store, self.prefix = store, prefix
        self.path, self.config = store.path, store.config
        self.stored: dict[str, str] = {}
        self._twice: dict[str, str] = {}
        self._segments: dict[str, None] = {}
        self._copies: dict[tuple[str, ...], bool] = {}
        names = list(self._under(prefix))
        every = "\n".join(names)
        if prefix or any(word in every for word in WRAPPER_WORDS):
            self._add_all(names)
        else:
            self.stored = dict(zip(names, names, strict=True))
        self.scales = self._take_scales()
        self.tensors: Mapping[str, TensorInfo] = {
            name: store.tensors[stored] for name, stored in self.stored.items()
        }

    @property
    def container(self) -> str:
        """Kind of file that the names are from."""
        return self.store.container

    @cached_property
    def wrappers(self) -> tuple[str, ...]:
        """Segments that were taken out of names, in the order in which they came."""
        return tuple(self._segments)

    def matching(
        self, pattern: re.Pattern[str], marks: tuple[str, ...] = ()
    ) -> Mapping[str, re.Match[str]]:
        """Bare names that a pattern describes whole.

        Every question about sites begins with it, and there may be 100,000 names: each pattern is
        compared with them once.

        Args:
            pattern: of names.
            marks: one of them is in every name that the pattern describes; others need not be
                compared. Of no effect if the pattern has been compared.
        """
        if (known := self._matching.get(pattern)) is None:
            names: Iterable[str] = self.tensors
            if marks:
                marked = {name for mark in marks for name in self.tensors if mark in name}
                names = (name for name in self.tensors if name in marked)
            pairs = ((name, pattern.fullmatch(name)) for name in names)
            known = self._matching[pattern] = {name: match for name, match in pairs if match}
        return known

    @cached_property
    def _matching(self) -> dict[re.Pattern[str], dict[str, re.Match[str]]]:
        return {}

    def expect(self, names: Iterable[str]) -> None:
        """Say which tensors are about to be read, by their bare names."""
        self.store.expect(self.stored[name] for name in names if name in self.stored)

    def read(self, name: str) -> NDArray[Any]:
        """One tensor, by its bare name, times its scales; raises what the store's ``read`` does.

        Raises:
            BadInput: scales that are not those of its blocks.
        """
        if name not in self.scales:
            return self.store.read(self.stored[name])
        values = self.store.read_unscaled(self.stored[name])
        dtype = self.store.tensors[self.scales[name]].dtype
        read = self.store.read_unscaled if dtype in FP8 else self.store.read
        scale = np.asarray(read(self.scales[name]), np.float32)
        if scale.size != 1:
            if scale.shape != tuple(-(-length // BLOCK) for length in values.shape):
                raise BadInput(
                    f"{where(self.path)}: '{escape(self.scales[name], 60)}' has shape "
                    f"{scale.shape}, which is not one number for {BLOCK} x {BLOCK} of "
                    f"{values.shape}; save the weights again"
                )
            for axis, length in enumerate(values.shape):
                scale = np.repeat(scale, BLOCK, axis).take(range(length), axis)
        return np.asarray(values * scale.reshape(scale.shape or (1,) * values.ndim))

    def _take_scales(self) -> dict[str, str]:
        """Names in the file of the scales of 8-bit floats, which are no tensors of their own."""
        scales: dict[str, str] = {}
        for name, stored in self.stored.items():
            if self.store.tensors[stored].dtype in FP8:
                scale = f"{stored}{SCALE}"
                if scale in self.store.tensors:
                    scales[name] = scale
        for name in scales:
            self.stored.pop(f"{name}{SCALE}", None)
        return scales

    def digest(self) -> dict[str, Any]:
        """Name, size and sha256 of what was read."""
        return self.store.digest()

    def are_copies(self, models: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether models have the same tensors to the last bit, which is then noted.

        Args:
            models: bare names by the names that they have in a model, by the model's prefix.
        """
        key = tuple(models)
        if key not in self._copies:
            first, *others = models.values()
            self._copies[key] = all(self._is_copy(first, other) for other in others)
            if self._copies[key]:
                wrappers = " and ".join(f"'{escape(word, 40)}'" for word in key[1:])
                self.store.notes.append(f"the model under {wrappers} is the same, and read once")
        return self._copies[key]

    def _is_copy(self, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
        if one.keys() != other.keys():
            return False
        pairs = [(name, other[tail]) for tail, name in one.items()]
        if any(self.tensors[a] != self.tensors[b] for a, b in pairs):
            return False
        return all(np.array_equal(self.read(a), self.read(b), equal_nan=True) for a, b in pairs)

    def refuse_twice(self, names: Iterable[str]) -> None:
        """Hold that no two tensors of the file have one of these names.

        Raises:
            BadInput: naming the two.
        """
        for name in names:
            if (other := self._twice.get(name)) is not None:
                raise BadInput(same_tensor(self, self.stored[name], other))

    def _under(self, prefix: str | None) -> Iterator[str]:
        if not prefix:
            yield from self.store.tensors
            return
        begin = prefix.removesuffix(".") + "."
        names = [n for n in self.store.tensors if n.startswith(begin) or bare(n).startswith(begin)]
        if not names:
            raise UsageError(f"--set prefix={escape(prefix, 40)}: no tensor's name begins so")
        yield from names

    def _add_all(self, names: list[str]) -> None:
        frozen = []
        for name in names:
            if FROZEN.search(name):
                frozen.append(name)
            else:
                self._add(name)
        for name in frozen:  # of what was trained instead, the frozen copy does not count
            if bare(name) not in self.stored:
                self._add(name)

    def _add(self, name: str) -> None:
        short = bare(name)
        if len(short) != len(name):
            self._segments |= dict.fromkeys(s[:-1] for s in WRAPPERS.findall(name))
        if self.prefix and short.startswith(begin := self.prefix.removesuffix(".") + "."):
            short = short.removeprefix(begin)
        if self.stored.setdefault(short, name) != name:
            self._twice.setdefault(short, name)


def same_tensor(store: NamedStore, one: str, other: str) -> str:
    """The sentence about two names in a file that are one name in the code."""
    return (
        f"{where(store.path)}: '{escape(one, 60)}' and '{escape(other, 60)}' are the same tensor; "
        f"keep one of them"
    )
