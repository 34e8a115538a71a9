"""The directory of a run: its text as tokens, a series of checkpoints, a log, and a way back.

``ckpt_000100.pt`` and so on hold a model each; ``resume/state.pt`` holds what is needed to go on
from the last of them. Every file appears whole or not at all.
"""

import dataclasses
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from birkhoff_cli import files
from birkhoff_cli.analyses.core.errors import BadInput, CannotWrite, UsageError
from birkhoff_cli.containers import where
from birkhoff_cli.containers.kinds import check_regular
from birkhoff_cli.containers.store import DAMAGED, refusing
from birkhoff_cli.temporaries import remove_stale
from birkhoff_cli.training import log
from birkhoff_cli.training import run as running
from birkhoff_cli.training.run import Plan, Run
from birkhoff_cli.training.text import Text

PLAN_FILE, STATE_FILE = "plan.json", "resume/state.pt"
RUN = "run"
"""Under which the way back says which run it is of."""


def opened(folder: Path, plan: Plan, text: Text) -> Run:
    """The run of a directory, which is made if it is not there: begun, or as far as it has come.

    Raises:
        CannotWrite: it cannot be made, or holds other files.
        UsageError: it holds a run with another plan, or of another text.
        BadInput: what it holds is damaged.
    """
    description = _described(plan, text)
    with files.writing(str(folder)):
        begun = (folder / PLAN_FILE).exists()
    if begun:
        _agree(folder, description)
        run = _resumed(folder, plan, text)
    else:
        run = running.begin(plan, text)
        _claim(folder, description)
    with files.writing(str(folder)):
        (folder / STATE_FILE).parent.mkdir(exist_ok=True)
    for name, tokens in (("train.bin", text.learned), ("val.bin", text.held_out)):
        _write_tokens(folder / name, tokens, len(text.characters))
    return run


def _claim(folder: Path, description: str) -> None:
    """Make the directory; the plan is the first file in it, so that a stopped run can go on."""
    remove_stale(folder / PLAN_FILE)  # of a run that was killed as it wrote its plan
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotWrite(f"{where(folder)}: is there and holds no run; give a new directory")
    with files.writing(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    with files.opened(folder / PLAN_FILE) as file:
        file.write(description.encode())


def _write_tokens(path: Path, tokens: Any, characters: int) -> None:
    """A text as numbers of characters, once.

    Raises:
        UsageError: other numbers are there: the run would go on with another text.
    """
    data = tokens.astype("<u2" if characters <= 1 << 16 else "<u4").tobytes()
    if not path.exists():
        with files.opened(path) as file:
            file.write(data)
        return
    check_regular(path)
    with refusing(path):
        written = path.stat().st_size == len(data) and path.read_bytes() == data
    if not written:
        raise UsageError(
            f"{where(path)}: is not as this text makes it; give another directory, or the text "
            f"that the run has learned from"
        )


def named(folder: Path | None) -> Path:
    """The directory that was named.

    Raises:
        UsageError: none was.
    """
    if folder is None or folder == files.STDOUT:
        raise UsageError("a run needs a directory; give -o DIR")
    return folder


def _described(plan: Plan, text: Text) -> str:
    """Everything that a run depends on, as text that can be compared."""
    return json.dumps(
        {
            **({} if plan.mix == "streams" else {"mix": plan.mix}),
            "method": plan.map.name,
            **{f"method_{k}": v for k, v in dataclasses.asdict(plan.map).items() if v is not None},
            **dataclasses.asdict(plan.sizes),
            **{
                f.name: getattr(plan, f.name)
                for f in dataclasses.fields(plan)
                if f.name not in ("map", "sizes", "mix")
            },
            "characters": text.characters,
            "tokens": len(text.learned) + len(text.held_out),
        },
        indent=1,
    )


def _own_digest(plan: Plan, text: Text) -> str:
    """A digest of the plan and of every token: of one run, and of no other."""
    total = hashlib.sha256(_described(plan, text).encode())
    for tokens in (text.learned, text.held_out):
        total.update(tokens.tobytes())
    return total.hexdigest()


def _agree(folder: Path, description: str) -> None:
    check_regular(folder / PLAN_FILE)
    with refusing(folder / PLAN_FILE):
        stored = dict(json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))
    expected = json.loads(description)
    for key in {**stored, **expected}:
        if stored.get(key) != expected.get(key):
            raise UsageError(
                f"{folder}: holds a run with {key[:40]} = {str(stored.get(key))[:40]}, not "
                f"{str(expected.get(key))[:40]}; give another directory, or the same options"
            )


def _resumed(folder: Path, plan: Plan, text: Text) -> Run:
    import torch

    run = running.begin(plan, text)
    path = folder / STATE_FILE
    if not path.exists():
        return run
    check_regular(path)
    with refusing(path), warnings.catch_warnings(action="ignore"):  # they are torch's advice
        state = torch.load(path, map_location=plan.device, weights_only=True)
        own = _own_digest(plan, text)
        if state.get(RUN, own) != own:  # older versions did not write it
            raise BadInput(
                f"{where(path)}: is of another run or another text; give another directory, or "
                f"remove the file to begin again"
            )
        with torch.no_grad():
            for name, value in run.state.items():
                value.copy_(state["model"][name])
        started = run.optimizer.state_dict()
        run.optimizer.load_state_dict({**started, "state": state["optimizer"]["state"]})
        run.step, run.log = state["step"], state["log"]
        if not (log.fits(run.log, run.step) and _fitting(run)):
            raise BadInput(
                f"{where(path)}: its log or its optimizer do not fit its step; {DAMAGED}"
            )
    return run


def _fitting(run: Run) -> bool:
    """Whether the optimizer's moments have the shapes of their tensors."""
    state = run.optimizer.state.items()
    return all(m.shape in ((), t.shape) for t, moments in state for m in moments.values())


def save(folder: Path, run: Run) -> None:
    """The checkpoint of this step, the log so far, and then the way back."""
    import torch

    config = {**json.loads(_described(run.plan, run.text)), "characters": run.text.characters}
    losses = [row["held_out_loss"] for row in run.log if "held_out_loss" in row]
    with files.opened(folder / f"ckpt_{run.step:06}.pt") as file:
        torch.save(
            {
                "model": {n: v.cpu() for n, v in run.plan.network.stored(run.state).items()},
                "model_args": run.plan.network.arguments(run.plan.map, run.plan.sizes),
                "iter_num": run.step,
                "best_val_loss": min(losses, default=None),
                "config": config,
            },
            file,
        )
    log.write(folder / log.LOG_FILE, run.log)
    with files.opened(folder / STATE_FILE) as file:
        torch.save(
            {
                "model": {n: v.detach() for n, v in run.state.items()},
                "optimizer": run.optimizer.state_dict(),
                "step": run.step,
                "log": run.log,
                RUN: _own_digest(run.plan, run.text),
            },
            file,
        )
