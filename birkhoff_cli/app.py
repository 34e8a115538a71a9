"""The ``birkhoff`` command: one subcommand per file, imported on use; one contract for errors."""

import contextlib
import errno
import gc
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from birkhoff_cli import members, process
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BirkhoffError, TooLarge, Unsupported, UsageError
from birkhoff_cli.parameters import PlainFlags

BUG = 70
OUT_OF_MEMORY = "out of memory; use fewer samples or a smaller d"
FULL = {errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT}
"""What the system says of a standard output that takes no more."""

EXAMPLES = (
    "birkhoff spectrum --method go-mhc --s 2 --plot reach.png",
    "birkhoff check out/ckpt.pt",
    "birkhoff depth-drift out/ckpt.pt --plot drift.png",
    "birkhoff report out/ckpt.pt -o report.html",
)

OPTIONS = (
    *("-h", "--help", "--version"),
    *("--install-completion", "--show-completion"),
)
"""Those of the program itself."""

COMPLETION = "_BIRKHOFF_COMPLETE"
"""Variable by which a shell's script asks for completions, and gives the words in others."""


class CommandPerFile(PlainFlags, TyperGroup):
    """``birkhoff X`` runs the file X.py; help lists files and headlines, importing none."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the signature is Typer's)
        """Every command, sorted."""
        return members.names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Name and headline, enough to list a command."""
        package = members.package_of(cmd_name)
        if package is None:
            return None
        return TyperCommand(cmd_name, short_help=discover.headline(package, cmd_name))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Nothing at all asks for help; an option stands behind a command, but for two."""
        first = args[0] if args else ""
        if first.startswith("-") and first not in OPTIONS and not ctx.resilient_parsing:
            _refuse(first)
        return super().parse_args(ctx, args or ["--help"])

    def invoke(self, ctx: Any) -> Any:
        """Run; Typer takes the end of a file that is imported for the end of what is typed."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            from birkhoff_cli import extras

            raise (extras.of_import(error) or RuntimeError("the end of a file")) from error

    def get_help(self, ctx: Any) -> str:
        """Examples first, then every command."""
        from birkhoff_cli import help

        options = (record for p in self.get_params(ctx) if (record := p.get_help_record(ctx)))
        commands = [(name, discover.headline(p, name)) for name, p in members.packages().items()]
        return help.front_page(self.help or "", EXAMPLES, commands, [*options], members.hidden())

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the one module that is about to run."""
        if ctx.resilient_parsing and members.package_of(args[0]) is None:  # a shell completes
            return None, None, args
        from birkhoff_cli import rooms  # help needs none of it

        rooms.require_to_start()
        rooms.guard_imports()
        if not ctx.resilient_parsing:
            from birkhoff_cli import progress  # the help of all commands has none

            progress.begin(args[0], args[1:])
        if members.package_of(args[0]) is None:
            _refuse(args[0])
        module = members.module_of(args[0])
        from birkhoff_cli.command import Subcommand

        return args[0], Subcommand(args[0], module, args[1:]), args[1:]


def _refuse(word: str) -> None:
    """Say what is meant by a word that is no command, where that is clear.

    Raises:
        UsageError: with the way out.
    """
    from birkhoff_cli import mistakes

    if sentence := mistakes.unknown_command(word):
        raise UsageError(sentence)


def _version(is_set: bool) -> None:
    if is_set:
        from importlib.metadata import version

        typer.echo(f"birkhoff {version('birkhoff-cli')}")
        raise typer.Exit


app = typer.Typer(
    cls=CommandPerFile,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def birkhoff(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Geometry of the mixing matrices in hyper-connection networks.

    Draw matrices of every published parameterization, or read those of a trained checkpoint;
    measure them; write a table and a picture.
    """


def main() -> NoReturn:
    """Run; turn whatever happens into an exit code and at most one line on standard error."""
    process.prepare()
    try:
        code = _run()
    finally:
        _end_progress()
    code = _flush(code)
    process.finish()
    gc.freeze()  # the end: what is left is not looked through for cycles, a twentieth of a start
    sys.exit(code)


def _run() -> int:
    if COMPLETION in os.environ:  # Typer would break sentences, and fish offers every line
        os.environ["COLUMNS"] = "1000"
    try:
        code = typer.main.get_command(app).main(prog_name="birkhoff", standalone_mode=False)
    except (BirkhoffError, TyperException) as error:
        from birkhoff_cli.analyses.core.shortage import is_short_of_memory

        if is_short_of_memory(error) and not isinstance(error, TooLarge):
            return _say(TooLarge.exit_code, OUT_OF_MEMORY)
        return _say(error.exit_code, _sentence(error))
    except (process.Stopped, process.PipeClosed) as end:
        return end.exit_code
    except MemoryError:
        return _say(TooLarge.exit_code, OUT_OF_MEMORY)
    except ImportError as error:
        from birkhoff_cli import extras

        missing = extras.explain(error)
        return _say(missing.exit_code, str(missing))
    except OSError as error:
        is_full = not error.filename and error.errno in FULL and not _is_of_import(error)
        return _unwritten(error) if is_full else _bug(error)
    except Exception as error:  # the last resort: a bug becomes a line and a log, not a traceback
        if isinstance(error, KeyError | ValueError) and COMPLETION in os.environ:
            return _say(2, f"{COMPLETION} is set and no shell asks for completion; unset it")
        return _bug(error)
    except BaseException as error:
        return _left(error)
    return code if isinstance(code, int) else 0


def _is_of_import(error: BaseException) -> bool:
    """Whether a library that was being imported raised an error."""
    from birkhoff_cli import extras

    return extras.of_import(error) is not None


def _left(error: BaseException) -> int:
    """The exit code of what is no error, but for a library that raises it as it is imported."""
    from birkhoff_cli import extras

    cause = error.__context__ if isinstance(error.__context__, BrokenPipeError) else error
    if lack := extras.of_import(cause):
        return _say(lack.exit_code, str(lack))
    if not isinstance(error, SystemExit):
        raise error
    if cause is not error:  # click makes it a 1
        return process.PipeClosed.exit_code
    return error.code if isinstance(error.code, int) else 1


def _end_progress() -> None:
    """Take the line of progress away, if a command began one."""
    if progress := sys.modules.get("birkhoff_cli.progress"):
        progress.end()


def _sentence(error: Any) -> str:
    """One line; Typer's empty NoArgsIsHelp has printed the help already."""
    if isinstance(error, BirkhoffError):
        return str(error)
    return " ".join(str(error.format_message()).split())


def _say(code: int, sentence: str) -> int:
    from birkhoff_cli.text import escape

    _end_progress()
    if (stopped := process.stopped()) is not None:  # what fails then only follows from it
        return stopped
    if "--debug" in sys.argv:
        import traceback

        print(_public(traceback.format_exc()), file=sys.stderr)
    if sentence and sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"birkhoff: {escape(_public(sentence))}", file=sys.stderr)
    return code


def _public(text: str) -> str:
    """A text without passwords and signatures of URLs."""
    if "://" not in text:
        return text
    from birkhoff_cli import places

    return places.cut_secrets(text)


def _bug(error: Exception) -> int:
    import traceback

    from birkhoff_cli import extras

    if lack := extras.of_import(error):
        return _say(lack.exit_code, str(lack))
    from birkhoff_cli.analyses.core.shortage import is_short_of_memory

    if is_short_of_memory(error):
        return _say(TooLarge.exit_code, OUT_OF_MEMORY)
    from birkhoff_cli import packages  # which import what may be broken
    from birkhoff_cli.analyses.core.entry_points import one_line

    if location := packages.place_of(error):
        sentence = f"{location}: {one_line(error)}; it is code of another package, mend it there"
        return _say(Unsupported.exit_code, f"{sentence} (--debug shows how it was called)")
    enclosed = _log(f"birkhoff {sys.argv[1:]}\n{traceback.format_exc()}")
    return _say(BUG, f"a bug of ours, {type(error).__name__}; please report it with {enclosed}")


def _log(text: str) -> str:
    """Write what a bug is reported with; where no file can be, it is what --debug prints."""
    import tempfile

    try:
        handle, name = tempfile.mkstemp(prefix="birkhoff-", suffix=".log")
    except OSError:
        return "what --debug prints"
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as log:  # noqa: PTH123
            log.write(_public(text))
    except OSError:
        os.unlink(name)  # noqa: PTH108 (the rest of this module needs no pathlib)
        return "what --debug prints"
    return name


def _unwritten(error: OSError) -> int:
    return _say(5, f"standard output: {error.strerror}; the output is not complete")


def _flush(code: int) -> int:
    """Errors of the last flush count, but for those of standard error.

    The interpreter must not try again: it would end with a code of its own.
    """
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            if number == 1:
                is_pipe = isinstance(error, BrokenPipeError)
                code = process.PipeClosed.exit_code if is_pipe else _unwritten(error)
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return code
