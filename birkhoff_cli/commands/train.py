"""Train a small language model with any method, and keep a series of checkpoints.

nanoGPT with d residual streams: before every branch a site reads one vector from the streams,
writes the branch's output back, and mixes the streams with H, which follows the input. The start
of H is the method's published one. Without --text it learns Python's own help topics, character
by character. The directory holds checkpoints that every command reads, the text as tokens for
--inputs tokens=DIR/val.bin, and a log; the same command goes on where a run was stopped.

--mix tokens trains BE-HC's own network instead: one H of side --d in every block mixes the d tokens
of a sequence, there are no streams and no attention. Such an H also reads what follows a token, so
that nothing is left to predict of the next one: it learns characters that were masked, 15 % of all.

Source: github.com/karpathy/nanoGPT; the sites of mHC, arXiv:2512.24880, and mhc-lite; BE-HC.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.core.options import With
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, METHOD, D, quantity
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count, short
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.training import folder, log
from birkhoff_cli.training import text as texts
from birkhoff_cli.training.network import Sizes
from birkhoff_cli.training.run import Plan, Run, advance

EXAMPLES = (
    "birkhoff train --method go-mhc --s 2 -o go-mhc",
    "birkhoff train --method mhc --text book.txt --updates 2000 --every 100 -o run",
    "birkhoff train --mix tokens --method be-hc --basis local-shift --d 32 --k 7 --layers 100 "
    "--width 32 --learning-rate 0.003 -o tokens",
)

SCHEMA = ()
TABLES = {log.LOG_FILE: log.LOG}
"""Tables in the directory of a run, and their columns."""

SUMMARY = (
    METHOD,
    D,
    quantity("updates", "steps of the optimizer", range=AT_LEAST_0),
    quantity("parameters", "learned numbers of the model", range=AT_LEAST_0),
    quantity("first_loss", "loss of the first batch", unit="nat", range=AT_LEAST_0),
    quantity(
        "learned_loss", "loss on text that it learns from, at the end", unit="nat", good="low"
    ),
    quantity("held_out_loss", "loss on text that it does not", unit="nat", good="low"),
    *(
        quantity(
            f"{side}_error", f"largest |{side} sum - 1| at the end", range=AT_LEAST_0, good="near 0"
        )
        for side in ("row", "column")
    ),
    quantity("gradient_norm_max", "largest norm of the gradient", range=AT_LEAST_0),
    quantity("directory", "where the checkpoints are"),
)


def run(
    method: Parameterization,
    *,
    mix: Annotated[
        Literal["streams", "tokens"], "what H mixes: d streams, or the d tokens of a sequence"
    ] = "streams",
    output: Annotated[Path | None, "directory of the run: new, or one that was stopped"] = None,
    text: Annotated[Path | None, "UTF-8 text to learn; Python's help topics if not given"] = None,
    updates: Annotated[int, "steps of the optimizer"] = 600,
    layers: Annotated[int, "layers, of two sites each; of one with --mix tokens"] = 6,
    heads: Annotated[int, "attention heads, of --mix streams", With("mix", "streams")] = 4,
    width: Annotated[int, "length of a stream"] = 64,
    length: Annotated[int | None, "tokens in a sequence: 64, or --d with --mix tokens"] = None,
    batch: Annotated[int, "sequences in a step"] = 16,
    learning_rate: Annotated[float, "highest learning rate"] = 0.01,
    warmup: Annotated[int, "updates until it is reached; then half a cosine, to a tenth"] = 20,
    every: Annotated[int, "updates between checkpoints"] = 100,
    seed: Annotated[int, "of the start and of every batch"] = 0,
    device: Annotated[Literal["cpu", "cuda"], "where to train"] = "cpu",
    precision: Annotated[
        Literal["float32", "bfloat16"], "of the branches, by autocast"
    ] = "float32",
) -> Result:
    """Train, or go on training.

    Raises:
        UsageError: options of no model, no directory, or one that holds another run.
        BadInput: no text, or a loss that is no longer finite.
        CannotWrite: the directory cannot be written.
        Unsupported: there is no such device here, or a method that a checkpoint cannot name.
    """
    if not parameterizations.has(method.name):
        raise Unsupported(
            f"a checkpoint names its method, and a name in a file is never a module: declare "
            f"{method.name} as an entry point of birkhoff.methods, then train"
        )
    target = folder.named(output)
    if length is None:
        length = method.d if mix == "tokens" else 64
    read = texts.read(text, length)
    heads = heads if mix == "streams" else 1
    sizes = Sizes(layers, heads, width, length, len(read.characters))
    plan = Plan(
        method, sizes, updates, batch, learning_rate, warmup, every, seed, device, precision, mix
    )
    under_way = folder.opened(target, plan, read)
    return Result(
        schema=SCHEMA,
        steps=_steps(target, under_way),
        summarise=lambda: _summary(target, under_way),
        total=updates - under_way.step,
    )


def _steps(target: Path, run: Run) -> Iterator[Columns]:
    if run.step == 0:
        folder.save(target, run)
    for _ in advance(run):
        if run.step % run.plan.every == 0 or run.step == run.plan.updates:
            folder.save(target, run)
        yield {}


def _summary(target: Path, run: Run) -> dict[str, Any]:
    last = run.log[-1]
    return {
        "method": run.plan.map.name,
        "d": run.plan.map.d,
        "updates": run.step,
        "parameters": sum(tensor.numel() for tensor in run.state.values()),
        "first_loss": run.log[0]["loss"],
        **{n: last[n] for n in ("learned_loss", "held_out_loss", "row_error", "column_error")},
        "gradient_norm_max": max(row["gradient_norm"] for row in run.log),
        "directory": str(target),
    }


def answer(summary: Summary) -> str:
    """How far the loss fell, and where the checkpoints are."""
    return (
        f"The loss fell from {short(summary['first_loss'])} to {short(summary['learned_loss'])} "
        f"({short(summary['held_out_loss'])} on text held out) in "
        f"{count(summary['updates'], 'update')}; checkpoints are in {summary['directory']}."
    )
