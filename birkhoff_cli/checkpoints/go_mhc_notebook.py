"""go-mHC as the notebook of its repository has it: one batch of matrices, ``raw_u``.

``X = raw_u - raw_u^T``, ``U = (I - X)^-1 (I + X)``, and H = B with ``B_ij = (1/s) ||U_ij||_F^2``
over s x s blocks, applied as ``y = B x``: nothing is turned. The file has the side of U, which is
streams times s, and neither of the two. The tensors of a trained model were never published.

Source: github.com/itstorque/go-mHC @ 4422d79, toy_models/dynamics.ipynb, cell 0.
"""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import Unsupported, UsageError
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules.alone import connection
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import refuse_unknown
from birkhoff_cli.checkpoints.sites.values import dtypes, values
from birkhoff_cli.containers import escape, where

MARKS = ("raw_u",)
TENSOR = "raw_u"
STREAMS = 4
"""In the notebook, and wherever nothing says another number."""

MAX_SIDE = 4096


def claims(store: NamedStore) -> set[str]:
    """``raw_u``, whatever module owns it."""
    return {name for name in store.tensors if name == TENSOR or name.endswith(f".{TENSOR}")}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Read the one tensor there is; ``--set s=N`` says what its side does not."""
    name = _tensor(store)
    batch, side, _ = store.tensors[name].shape
    refuse_unknown(settings, ("s",), "go-mhc notebook")
    s = _block(store, settings, side)
    sites = {Site(0, "batch", TENSOR): {TENSOR: name}}
    theta = _theta(values(store, sites, TENSOR)[0])
    map_ = GoMHC(side // s.value, s=s.value)
    return Checkpoint(
        path=store.path,
        format="go-mhc-notebook",
        method="go-mhc",
        map=map_,
        theta=theta,
        sites=tuple(Site(k, "batch", f"batch.{k}") for k in range(batch)),
        d=side // s.value,
        layers=batch,
        width=0,
        settings=(s,),
        convention="stores X = raw_u - raw_u^T of U = (I - X)^-1 (I + X), applies y = B x; here "
        "A = -X in Q = (I - A)(I + A)^-1 = U, nothing is turned",
        assumptions=_assumptions(side, s),
        dtypes=dtypes(store, sites, (TENSOR,)),
        inputs=(store.digest(),),
        connect=lambda _: (connection(row, map_) for row in theta),
        ungated="the notebook's module is a batch of matrices, without H_pre and H_post",
    )


def _theta(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Entries ``(batch, p)`` of -X below the diagonal."""
    row, column = np.tril_indices(raw.shape[-1], -1)
    return np.ascontiguousarray(raw[:, column, row] - raw[:, row, column])


def _tensor(store: NamedStore) -> str:
    """Name of the one ``raw_u``.

    Raises:
        Unsupported: several, or not a batch of square matrices.
    """
    names = sorted(claims(store))
    if len(names) > 1:
        raise Unsupported(
            f"{where(store.path)}: holds {len(names)} tensors named {TENSOR}, whose order is not "
            f"known; save one module alone"
        )
    shape = store.tensors[names[0]].shape
    if len(shape) != 3 or shape[1] != shape[2] or 0 in shape or shape[1] > MAX_SIDE:
        raise Unsupported(
            f"{where(store.path)}: {TENSOR} has shape {escape(shape, 40)}, not (batch, side, side) "
            f"with a side of 1 to {MAX_SIDE}; save the notebook's module"
        )
    return names[0]


def _block(store: NamedStore, settings: Mapping[str, str], side: int) -> Setting:
    """Block size: as set, or that of the notebook's streams, or 1 where no other leaves two.

    Raises:
        UsageError: what was set does not divide the side.
        Unsupported: nothing was set, and more than one size is possible without 4 streams.
    """
    sizes = [s for s in range(1, side + 1) if side % s == 0]
    word = settings.get("s")
    if word is not None:
        if not re.fullmatch("[0-9]{1,4}", word) or int(word) not in sizes:
            raise UsageError(
                f"--set s={escape(word, 20)}: expected a divisor of {side}, the side of {TENSOR}"
            )
        return Setting("s", int(word), "set")
    if side % STREAMS == 0:
        return Setting("s", side // STREAMS, "default")
    if len(sizes) > 2:
        choices = " or ".join(f"--set s={s} ({side // s} streams)" for s in sizes[:-1][:3])
        raise Unsupported(
            f"{where(store.path)}: {TENSOR} has side {side} = streams x s, and neither is stored; "
            f"give {choices}"
        )
    return Setting("s", 1, "stored")


def _assumptions(side: int, s: Setting) -> tuple[str, ...]:
    sentences = ["a batch of independent matrices, taken as sites in order; no layers are stored"]
    if s.source == "default":
        sentences.append(
            f"{STREAMS} streams, as in the notebook, so s = {s.value}: the file has only their "
            f"product {side}; --set s=N overrides"
        )
    elif s.source == "stored" and side > 1:
        sentences.append(f"s = 1, since side {side} leaves one stream for any other; --set s=N")
    return tuple(sentences)
