"""What to do about words that a command does not take: the sentence for a first-time mistake."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from pathlib import Path

from birkhoff_cli import values
from birkhoff_cli.invocation import STAMP
from birkhoff_cli.options import SHORT, Option, dashes

Options = Mapping[str, Option]

LEAST = 3
"""Letters of a word that is looked for in the sentences of options."""

MEANT_LIKENESS, POSSIBLE_LIKENESS = 0.8, 0.7
"""Likeness of two words from which on one is meant by the other, and from which on it may be."""


def unknown_option(command: str, label: str, options: Options, args: Sequence[str]) -> str:
    """The sentence for an option that the command does not have.

    Args:
        command: its name.
        label: the option as the parser reports it; of ``-help`` one letter of it.
        options: those that it has.
        args: what was typed after its name.
    """
    if not label.startswith("--"):
        label = next((a for a in args if a.startswith("-") and label[1] in a[1:2]), label)
        if label.lstrip("-") in ("help", "h", "?") or "-help" in args:
            return f"{command} {label if label != '-e' else '-help'}: say --help"
    name = label.lstrip("-").partition("=")[0].replace("-", "_").lower()
    if guess := nearest(name, options):
        return f"{command} has no {label}; did you mean {guess}?"
    return f"{command} has no {label}; birkhoff {command} --help shows what it has"


def nearest(name: str, options: Options) -> str | None:
    """The option that is meant by a name, as it is typed; None if that is not clear."""
    shown = {n: option for n, option in options.items() if not option.positional}
    if letter := next((s for n, s in SHORT.items() if s == f"-{name}" and n in shown), None):
        return letter
    if name in shown:  # with one hyphen
        return dashes(name)
    singular = name.removesuffix("s")
    for n, option in options.items():
        if option.positional and singular in (n, n.removesuffix("s"), option.label.lower()):
            return f"{option.label} without an option"
    if len(name) == 1:
        return None
    guesses = (
        difflib.get_close_matches(name, shown, n=1, cutoff=MEANT_LIKENESS),
        [n for n in shown if len(n) > 1 and commonprefix([n, name]) in (n, name, n[:4])],
        [n for n in shown if "_" in n and "".join(w[0] for w in n.split("_")) == name],
        [n for n in shown if {*name.split("_")} & {*n.split("_")} - {"n"}],
        _by_sentence(name, shown),
        difflib.get_close_matches(name, shown, n=1, cutoff=POSSIBLE_LIKENESS),
    )
    names = next(filter(None, guesses), [])
    return dashes(names[0]) if names else None


def _by_sentence(name: str, options: Options) -> list[str]:
    """Options whose sentence has the word: ``updates`` are steps of the optimizer."""
    if len(name) < LEAST:
        return []
    notes = {n: o.note for n, o in options.items() if isinstance(o.note, str)}
    vocabulary = {
        n: re.findall(r"(?<![-a-z0-9])[a-z0-9]+", note.lower()) for n, note in notes.items()
    }
    return [n for n in notes if name in vocabulary[n]]


def stray_word(command: str, word: str, options: Options) -> str:
    """The sentence for a word that stands alone where none can."""
    return f"{command}: nothing takes '{word}'; {place_of(word, options, command)}"


def place_of(word: str, options: Options, command: str) -> str:
    """Where a word that stands alone may belong."""
    for option in (o for o in options.values() if not o.positional):
        known = [*option.alternatives, *(option.offers() if option.offers else ())]
        if word.lower() in map(str.lower, known):
            return f"say {option.label} {word}"
    if advice := "method" in options and option_for(word, options):
        return advice
    suffix = Path(word).suffix.lower()
    if suffix in STAMP and "plot" in options:
        return f"a figure is --plot {word}"
    if os.path.lexists(word):
        labels = ", ".join(_files_of(options))
        if labels:
            return f"a file may be the value of {labels}"
    elif suffix and "output" in options:
        return f"what is written is -o {word}"
    return f"birkhoff {command} --help shows what it takes"


def _files_of(options: Options) -> list[str]:
    """Options that name a file which is read."""
    own = {n: o for n, o in options.items() if n not in ("output", "plot") and not o.positional}
    return [o.label for o in own.values() if values.plain(o.annotation) is Path]


def option_for(word: str, options: Options) -> str | None:
    """What to say of a word that is a method, or ``name=value`` of an option."""
    from birkhoff_cli import methods
    from birkhoff_cli.analyses import parameterizations

    if parameterizations.has(methods.word_of(word)):
        return f"say --method {word}"
    name, equals, value = word.partition("=")
    if equals and (own := nearest(name, options)):
        return f"say {own} {value}"
    if equals and (owners := methods.owners(name)):
        return f"{name} is an option of {', '.join(owners)}"
    return None


def missing_argument(command: str, option: Option) -> str:
    """The sentence for an argument that is not there."""
    note = option.note if isinstance(option.note, str) else option.note()
    return f"{command}: {option.label} is missing: {note.split(';')[0].rstrip('.')}"


def unknown_command(word: str) -> str | None:
    """What is meant by a word that is no command; None if a name may be misspelt."""
    name = word.lstrip("-!").lower()
    if name == "birkhoff":
        return f"'{word}' is the program itself; leave it out"
    if name in ("v", "version"):
        return f"'{word}' is no command; say birkhoff --version"
    if name in ("help", "list", "commands", "ls"):
        return f"'{word}' is no command; say birkhoff --help, or birkhoff COMMAND --help"
    if word.startswith("-"):
        return f"{word} stands before a command; say birkhoff COMMAND {word}"
    if _is_url(word) or os.path.lexists(word):
        return f"'{word}' is a file and no command; say birkhoff check {word}"
    return None


def _is_url(word: str) -> bool:
    """Whether it is one that is read."""
    scheme, mark, _ = word.partition("://")
    if not mark:
        return False
    from birkhoff_cli import places

    return scheme.lower() in places.schemes()


def missing_file(path: Path) -> str:
    """What to do about a path that is not there."""
    text = str(path)
    if match := re.match("([A-Za-z][A-Za-z0-9+.-]*):/", text):
        from birkhoff_cli import places

        known = ", ".join(f"{scheme}://" for scheme in places.schemes())
        if match[1].lower() not in places.schemes():
            return f"{match[1]}:// is no URL that is read; those begin {known}"
    if text.startswith("~"):
        return "within quotes ~ is no folder; leave the quotes out"
    if "\\" in text and os.path.lexists(text.replace("\\", "/")):
        return f"folders are parted by /; say {text.replace(chr(92), '/')}"
    if text != text.strip() and os.path.lexists(text.strip()):
        return f"there is a blank around its name; say {text.strip()}"
    if any(letter in text for letter in "*?["):
        return "no file matches this pattern"
    head, mark, _ = text.rpartition("#")
    if mark and os.path.lexists(head):
        return f"{head} is there and has no such entry; leave what is behind # out, or check it"
    if path.name == "help":
        return "say --help"
    from birkhoff_cli.analyses import parameterizations

    if parameterizations.has(text.partition(":")[0].lower().replace("_", "-")):
        return f"if the method is meant, say --method {text}"
    if near := _beside(path):
        return f"did you mean {near}?"
    if match:
        return "check the URL"
    if path.suffix.lower() in STAMP:
        return f"check the path; a figure that is written is --plot {text}"
    if path.suffix.lower() in WRITTEN:
        return f"check the path; what is written is -o {text}"
    return "check the path"


WRITTEN = (".html", ".json", ".csv", ".parquet", ".arrow", ".ndjson")
"""Suffixes of what commands write, and of what few read."""

MAX_BESIDE = 1000
"""Entries of a folder that are looked at."""


def _beside(path: Path) -> Path | None:
    """The entry of the same folder that is meant."""
    from itertools import islice

    try:
        names = [entry.name for entry in islice(path.parent.iterdir(), MAX_BESIDE)]
    except OSError:
        return None
    stems = sorted(name for name in names if path.name and Path(name).stem == path.name)
    near = stems or difflib.get_close_matches(path.name, sorted(names), n=1, cutoff=0.8)
    return path.with_name(near[0]) if near else None
