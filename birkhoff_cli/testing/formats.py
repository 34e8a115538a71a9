"""What every checkpoint format keeps: names without wrappers, and no smaller model in silence."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError
from birkhoff_cli.checkpoints import CONTAINERS, Checkpoint
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers.store import Store
from birkhoff_cli.testing._declared import hold_marks, hold_names
from birkhoff_cli.testing._holding import check, hold
from birkhoff_cli.testing.stores import Arrays, Model, model_of

GAP_PHRASES = ("how many", "no site at", "fewer sites at")
"""What the sentence about layers that may be missing has in it."""

WRAPPERS = (
    *("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "model"),
    *("base_model.model", "module._orig_mod", "model.model", "modules_to_save.default"),
    "original_module",
)
"""Segments that compilers and trainers put into the names of tensors."""

Item = TypeVar("Item")
Change = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Case:
    """A format and a checkpoint of it.

    Attributes:
        model: the checkpoint.
        interpret: what is read of a store, with the texts of ``--set``.
        claims: names of the tensors that the format explains.
    """

    model: Model
    interpret: Callable[[Store, Mapping[str, str]], Checkpoint]
    claims: Callable[[NamedStore], Iterable[str]]

    def read(
        self, change: Change = lambda arrays: arrays, config: Mapping[str, Any] | None = None
    ) -> Checkpoint:
        """The checkpoint with other tensors or another configuration."""
        return self.interpret(self.model.store(change, config), self.model.settings)


def check_format(
    module: ModuleType, checkpoint: Path | str | Model, settings: Mapping[str, str] | None = None
) -> None:
    """Hold that a checkpoint format keeps all contracts, on one checkpoint of it.

    Args:
        module: it has ``MARKS``, ``claims`` and ``read``.
        checkpoint: a small file or folder of the format, of two layers or more.
        settings: texts of ``--set`` that it needs.

    Raises:
        AssertionError: what does not hold.
    """
    model = checkpoint if isinstance(checkpoint, Model) else model_of(Path(checkpoint), settings)
    name = module.__name__
    lacking = [word for word in ("MARKS", "claims", "read") if word not in vars(module)]
    hold(not lacking, f"{name} defines no {' and no '.join(lacking)}")
    hold_marks(module, model)
    case = Case(model, _alone(module), module.claims)
    check(CONTRACTS, case, name)
    hold_names(module, case.read())


def _alone(module: ModuleType) -> Callable[[Store, Mapping[str, str]], Checkpoint]:
    """What is read of a store if there is no other format."""

    def interpret(store: Store, settings: Mapping[str, str]) -> Checkpoint:
        named = NamedStore(store, settings.get("prefix"))
        claims = set(module.claims(named))
        strange = claims - named.tensors.keys()
        hold(not strange, f"claims has names that the store does not: {sorted(strange)[:3]}")
        if not claims:
            raise BadInput("model: holds no tensor that this format explains; give another one")
        named.refuse_twice(claims)
        own = {name: text for name, text in settings.items() if name != "prefix"}
        checkpoint: Checkpoint = module.read(named, own)
        return replace(checkpoint, prefix=named.prefix, wrappers=named.wrappers)

    return interpret


def sites_of(case: Case) -> dict[str, list[str]]:
    """Bare names of a site's tensors by what stands before the tensor's own name, in order.

    They are those of mixing tensors, and whatever else of the site the format explains.
    """
    sites: dict[str, list[str]] = {}
    for tensor, names in case.read().dtypes.items():
        for name in names:
            sites.setdefault(name.removesuffix(tensor), []).append(name)
    known = {name for names in sites.values() for name in names}
    named = NamedStore(case.model.store(), case.model.settings.get("prefix"))
    for name in sorted({*case.claims(named)} - known):
        stems = (stem for stem in sites if stem and name.startswith(stem))
        if (stem := max(stems, key=len, default=None)) is not None:
            sites[stem].append(name)
    return sites


def without(names: Iterable[str]) -> Change:
    """The tensors but some."""
    left_out = set(names)
    return lambda arrays: {k: v for k, v in arrays.items() if k not in left_out}


def renamed(change: Callable[[str], str]) -> Change:
    """The tensors with other names."""
    return lambda arrays: {change(name): array for name, array in arrays.items()}


def some(items: Iterable[Item]) -> list[Item]:
    """The first, the middle and the last."""
    every = list(items)
    return [every[k] for k in sorted({0, len(every) // 2, len(every) - 1})]


def configs(case: Case) -> Iterator[Mapping[str, Any]]:
    """All that the file says; and nothing, where the format can do without."""
    yield case.model.config
    try:
        case.read(config={})
    except BirkhoffError:
        return
    yield {}


def hold_same(actual: Checkpoint, whole: Checkpoint, what: str) -> None:
    """Hold that two readings are one: format, sizes, places and matrices."""
    for word in ("format", "d", "layers"):
        ours, other = (getattr(each, word) for each in (whole, actual))
        hold(ours == other, f"{what}: {word} is {other} and was {ours}")
    sites = [[site[:2] for site in each.sites] for each in (actual, whole)]
    hold(sites[0] == sites[1], f"{what}: layers and branches of sites differ")
    difference = np.abs(actual.trace().matrices - whole.trace().matrices).max()
    hold(difference == 0, f"{what}: matrices differ by {difference:.3g}")


def check_refused_or_assumed(
    case: Case, names: Iterable[str], config: Mapping[str, Any], what: str
) -> None:
    """Hold that a model without some tensors is refused, or said to be smaller.

    A tensor that has no effect on static matrices has one on those of tokens.
    """
    whole = case.read(config=config)
    try:
        checkpoint = case.read(without(names), config)
    except BirkhoffError as error:
        hold("\n" not in str(error), f"{what}: is refused in several lines: {error}")
        return
    fewer = len(checkpoint.sites) < len(whole.sites)
    hold(fewer, f"{what}: all {len(whole.sites)} sites are taken as if it were there; refuse it")
    is_assumed = any(
        word in sentence for sentence in checkpoint.assumptions for word in GAP_PHRASES
    )
    hold(
        is_assumed,
        f"{what}: {len(checkpoint.sites)} of {len(whole.sites)} sites are read, and nothing says "
        f"so; refuse it, or say how many there should be",
    )


def it_has_sites(case: Case) -> None:
    """A checkpoint of sites whose matrices are finite, and whose tensors are named."""
    checkpoint = case.read()
    hold(checkpoint.sites, "no site is read")
    hold(checkpoint.dtypes and all(checkpoint.dtypes.values()), "dtypes names no tensor")
    trace = checkpoint.trace()
    shape = (1, len(checkpoint.sites), checkpoint.d, checkpoint.d)
    matrices = np.asarray(trace.matrices)
    hold(matrices.shape == shape, f"matrices are {matrices.shape}; expected {shape}")
    hold(np.isfinite(matrices).all(), "matrices are not finite")
    names = [name for names in checkpoint.dtypes.values() for name in names]
    strange = {*names} - case.model.arrays.keys()
    hold(not strange, f"dtypes names tensors that are not there: {sorted(strange)[:3]}")


def every_tensor_of_a_site_is_needed(case: Case) -> None:
    """No site is taken without one, and none is dropped in silence."""
    sites = sites_of(case)
    for config in configs(case):
        for site in some(sites):
            for name in sites[site]:
                check_refused_or_assumed(case, {name}, config, f"without '{name}'")


def a_layer_that_is_missing_is_refused_or_said(case: Case) -> None:
    """The first, one in the middle, the last."""
    layers: dict[str, list[str]] = {}
    for site, names in sites_of(case).items():
        number = next((word for word in site.split(".") if word.isdecimal()), site)
        layers.setdefault(number, []).extend(names)
    for config in configs(case):
        for layer in some(layers):
            check_refused_or_assumed(case, layers[layer], config, f"without layer {layer}")


def half_of_the_tensors_are_refused_or_said(case: Case) -> None:
    """The first half, the second, every second, and three at random."""
    names = [name for site in sites_of(case).values() for name in site]
    if len(names) < 2:
        return
    rng = np.random.default_rng(0)
    halves = [names[: len(names) // 2], names[len(names) // 2 :], names[::2]]
    halves += [list(rng.choice(names, len(names) // 2, replace=False)) for _ in range(3)]
    for config in configs(case):
        for half in halves:
            check_refused_or_assumed(
                case, half, config, f"without {len(half)} of {len(names)} tensors"
            )


def a_wrapper_anywhere_in_the_names_changes_no_matrix(case: Case) -> None:
    """In front, before the last word, and both."""
    whole = case.read()
    for wrapper in WRAPPERS:
        first, last = _in_front(wrapper), _before_last(wrapper)
        for change in (first, last, lambda name, a=first, b=last: a(b(name))):
            checkpoint = case.read(renamed(change))
            hold_same(checkpoint, whole, f"names with {wrapper}")
            heard = set(".".join(checkpoint.wrappers).split("."))
            hold(heard >= {*wrapper.split(".")}, f"names with {wrapper}: wrappers is {heard}")


def _in_front(wrapper: str) -> Callable[[str], str]:
    return lambda name: f"{wrapper}.{name}"


def _before_last(wrapper: str) -> Callable[[str], str]:
    def change(name: str) -> str:
        *path, last = name.split(".")
        return ".".join((*path, wrapper, last))

    return change


def a_prefix_before_the_layers_changes_no_matrix(case: Case) -> None:
    """A model is often a part of another one."""
    if case.model.container in CONTAINERS:  # converters write no name but their own
        checkpoint = case.read(renamed(lambda name: f"policy.student.{name}"))
        hold_same(checkpoint, case.read(), "names with policy.student in front")


def what_peft_trained_counts_and_its_frozen_copy_does_not(case: Case) -> None:
    """Both are in the file."""

    def both(arrays: Arrays) -> Arrays:
        mixed: Arrays = {}
        for name, array in arrays.items():
            mixed[_before_last("original_module")(name)] = np.zeros_like(array)
            mixed[_before_last("modules_to_save.default")(name)] = array
        return mixed

    hold_same(case.read(both), case.read(), "beside a frozen copy of zeros")


def two_names_of_one_tensor_are_refused(case: Case) -> None:
    """A copy under a wrapper's name, with other numbers."""
    try:
        case.read(lambda arrays: arrays | {f"_orig_mod.{k}": v + 1 for k, v in arrays.items()})
    except BadInput as error:
        hold("are the same tensor; keep one of them" in str(error), f"refused with '{error}'")
    else:
        raise AssertionError("every tensor twice, under two names, is taken")


CONTRACTS = (
    it_has_sites,
    every_tensor_of_a_site_is_needed,
    a_layer_that_is_missing_is_refused_or_said,
    half_of_the_tensors_are_refused_or_said,
    a_wrapper_anywhere_in_the_names_changes_no_matrix,
    a_prefix_before_the_layers_changes_no_matrix,
    what_peft_trained_counts_and_its_frozen_copy_does_not,
    two_names_of_one_tensor_are_refused,
)
"""In the order in which a fault is easiest to understand."""
