"""The shape of the house: imports go one way, a file is a command, everything says what it is."""

import ast
import dataclasses
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from functools import partial
from importlib import metadata
from typing import get_args, get_type_hints

import numpy as np
import pytest

from birkhoff_cli import converters, methods, values
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.random_numbers import Seed
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.core.table import arrow_schema
from conftest import ROOT
from copies import python_in

ANALYSES = discover.members("birkhoff_cli.analyses")
COMMANDS = discover.members("birkhoff_cli.commands")
FILES = sorted(p for d in ("analyses", "birkhoff_cli") for p in (ROOT / d).rglob("*.py"))
ORDER = (
    *("core", "geometry", "regions", "statistics", "parameterizations", "planes", "probes"),
    *("balancing", "sites", "fitting", "kernels", "networks", "comparison", "drawing", "analysis"),
    "birkhoff_cli",
)


def modules_imported(file, everywhere=False):
    """Names a file imports when it is imported itself (or anywhere in it), type checking apart."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not is_type_checking(node)]
    nodes = ast.walk(tree) if everywhere else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def room(module):
    parts = module.split(".")
    if parts[:2] == ["birkhoff_cli", "analyses"]:
        parts = parts[1:]
    if parts[0] == "birkhoff_cli":
        return "birkhoff_cli"
    if parts[0] != "analyses" or len(parts) == 1:
        return None
    if parts[1] in ORDER:
        return parts[1]
    return "analysis" if parts[1].replace("_", "-") in ANALYSES else None


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_one_way(file):
    own = room(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for module in modules_imported(file, everywhere=True):
        other = room(module)
        if own is None or other is None:
            continue
        assert ORDER.index(other) <= ORDER.index(own), f"{own} imports {module}"
        assert not (own == other == "analysis"), f"an analysis imports {module}"


MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
"""With decorators, signature and docstring."""


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_files_and_functions_can_be_read_at_once(file):
    text = file.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= MAX_FILE_LINES, f"{lines} lines; move a room of it into a file of its own"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            begin = min([node, *node.decorator_list], key=lambda part: part.lineno).lineno
            lines = node.end_lineno - begin + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines; cut it in steps"


FOREIGN = ("analyses/parameterizations/", "birkhoff_cli/checkpoints/", "birkhoff_cli/recording/")
"""Where a method's class may be named: beside it, and where foreign data is turned into one."""

CODE_BASES = "analyses/geometry/recipes.py"
"""Names of code bases, of which one is called like the method that it implements."""

ENGINES = tuple(f"analyses/{room}/" for room in ORDER[: ORDER.index("analysis")])


def relative(file):
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "file", [f for f in FILES if not relative(f).startswith(FOREIGN)], ids=relative
)
def test_what_is_known_of_a_method_is_asked_of_it(file):
    """A switch on a method's class needs the class; an engine does not even load methods."""
    package = parameterizations.__name__
    modules = {path.stem for path in (ROOT / "analyses" / "parameterizations").glob("*.py")}
    for module in modules_imported(file, everywhere=True):
        if module.startswith(package):
            assert not {*module.removeprefix(package).split(".")} & modules, f"imports {module}"
            assert not relative(file).startswith(ENGINES), f"an engine imports {module}"


@pytest.mark.parametrize(
    "file", [f for f in FILES if relative(f).startswith(ENGINES)], ids=relative
)
def test_engines_name_no_method_and_try_no_attribute(file):
    """A fact that only some methods have is a default in `core.facts`, and no ``hasattr``."""
    if relative(file).startswith(FOREIGN):
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    assert relative(file) == CODE_BASES or not words & {*parameterizations.names()}
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        name = ast.unparse(call.func)
        assert name not in ("hasattr", "singledispatch"), f"line {call.lineno}: {name}"
        assert name != "getattr" or len(call.args) == 2, f"line {call.lineno}: getattr"


BASES = {"Parameterization", "Region", "Drawn"}
"""Classes that an engine or an analysis meets in several forms, each of which knows itself."""

DOORS = ("analyses/core/arguments.py", "analyses/core/models.py")
"""Where what a caller in Python hands over becomes one of them."""


@pytest.mark.parametrize(
    "file",
    [f for f in FILES if relative(f).startswith("analyses/") and relative(f) not in DOORS],
    ids=relative,
)
def test_no_engine_and_no_analysis_asks_what_class_a_member_is_of(file):
    """What differs between members is asked of them; a fact has a default in their base class."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        asked: list[ast.AST] = []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = list(ast.walk(node.args[1]))
        if isinstance(node, ast.MatchClass):
            asked = [node.cls]
        names = {n.id for n in asked if isinstance(n, ast.Name)}
        assert not names & BASES, f"{ast.unparse(node)} switches on a class"
        assert not (isinstance(node, ast.Attribute) and node.attr == "__class__"), "__class__"


@pytest.mark.parametrize("name", parameterizations.names())
def test_a_file_is_one_method(name):
    module = discover.member(parameterizations.__name__, name)
    classes = [c for c in vars(module).values() if isinstance(c, type)]
    own = [
        c for c in classes if c.__module__ == module.__name__ and issubclass(c, Parameterization)
    ]
    assert len(own) == 1, (
        f"{module.__file__} defines {len(own)} parameterizations: {own}; a file there is one "
        f"method, and what several share is in a file whose name begins with _"
    )


@pytest.mark.parametrize("file", sorted((ROOT / "analyses").rglob("*.py")), ids=lambda f: f.name)
def test_analyses_never_meet_the_terminal_a_drawing_library_or_torch(file):
    barred = ("typer", "rich", "matplotlib", "pyarrow", "torch", "scipy")
    assert not [m for m in modules_imported(file) if m.split(".")[0] in barred]


def test_help_imports_no_numerical_library():
    code = (
        "import sys; sys.argv = ['birkhoff', '--help']\n"
        "from birkhoff_cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pyarrow', 'scipy', 'rich'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.strip() == "[]"
    assert all(f"  {name}" in done.stdout for name in (*ANALYSES, *COMMANDS))


def test_drawing_matrices_imports_no_torch():
    code = (
        "import sys; sys.argv = 'birkhoff sample --method go-mhc -n 3 -q'.split()\n"
        "from birkhoff_cli.app import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "assert not {'torch', 'pyarrow', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


CONTRACTS = {
    "birkhoff_cli.analyses": ("run", "SCHEMA", "SUMMARY", "EXAMPLES"),
    "birkhoff_cli.commands": ("run", "SCHEMA", "SUMMARY", "EXAMPLES"),
    "birkhoff_cli.checkpoints": ("MARKS", "claims", "read"),
    "birkhoff_cli.recording.libraries": ("ATTRIBUTES", "owns", "attach", "feed"),
    "birkhoff_cli.analyses.parameterizations": ("EXAMPLES",),
}
"""What a file of each folder defines."""


def members_missing_something(package):
    """A sentence for every file of a folder that does not define what a member there does."""
    for name in discover.members(package):
        module = discover.member(package, name)
        missing = [word for word in CONTRACTS[package] if not hasattr(module, word)]
        if package == parameterizations.__name__ and name not in parameterizations.load_all():
            missing.append("a Parameterization")
        if missing:
            yield (
                f"{module.__file__} defines no {' and no '.join(missing)}, as every file of "
                f"{package} does; begin its name with _ if it is no member"
            )


@pytest.mark.parametrize("package", CONTRACTS)
def test_every_file_of_a_folder_is_a_member_of_it(package):
    assert not list(members_missing_something(package))


def test_a_file_that_is_no_member_fails_no_command_of_a_user(tmp_path):
    shutil.copytree(ROOT / "birkhoff_cli", tmp_path / "birkhoff_cli")
    for package in CONTRACTS:
        folder = tmp_path / package.replace(".", "/")
        for name in ("stray", "_vocabulary"):
            (folder / f"{name}.py").write_text(f'"""A file named {name}."""\n')
    birkhoff = partial(python_in(tmp_path), "-m", "birkhoff_cli")
    np.save(tmp_path / "h.npy", np.eye(3))
    for words in (
        ("--help",),
        ("methods",),
        ("sample", "--method", "go-mhc", "-n", "2"),
        ("spectrum", "h.npy"),
        ("report", "h.npy", "-o", "h.html"),
    ):
        done = birkhoff(*words)
        assert done.returncode == 0, done.stderr
        assert "vocabulary" not in done.stdout
    for words in (("stray",), ("sample", "--method", "stray")):
        done = birkhoff(*words)
        assert (done.returncode, done.stderr.count("\n")) == (4, 1)
        assert ".stray) cannot be used: " in done.stderr and "begin its name with _" in done.stderr
    done = birkhoff("_vocabulary")
    assert done.returncode == 2 and "is not among the" in done.stderr


LITERALS = {
    "birkhoff_cli.checkpoints": ("MARKS", "CONTAINERS"),
    "birkhoff_cli.checkpoints.architectures": ("ARCHITECTURES",),
    "birkhoff_cli.containers": ("MAGIC",),
    "birkhoff_cli.tables": ("MAGIC", "BEGINS"),
    "birkhoff_cli.recording.libraries": ("ATTRIBUTES",),
}
"""What is read of a file before it is imported."""


@pytest.mark.parametrize("package", LITERALS)
def test_what_is_read_without_an_import_is_a_literal_on_one_line(package):
    for name in discover.members(package):
        module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
        for word in LITERALS[package]:
            own = vars(module).get(word)
            assert discover.constant(package, name, word) == own, (
                f"{module.__file__}: {word} is no literal on one line, and is not seen"
            )


@pytest.mark.parametrize("name", converters.MODULES)
def test_a_converter_names_the_types_that_it_reads(name):
    module = importlib.import_module(f"birkhoff_cli.converters.{name}")
    ours = {
        n for n, v in vars(module).items() if "birkhoff_cli" in str(getattr(v, "__module__", ""))
    }
    named = {n for kind in module.CONVERTERS for n in converters.classes_in(kind)}
    assert {*module.READS} == named & ours
    assert discover.constant("birkhoff_cli.converters", name, "READS") == module.READS


BROKEN = {
    "torn": '"""Does not end.\n',
    "lame": '"""Divides by zero."""\n\n1 / 0\n',
    "leaving": '"""A script."""\n\nraise SystemExit(3)\n',
    "astray": '"""Asks for what is not there."""\n\nfrom birkhoff_cli.analyses import nowhere\n',
    "typo": '"""Asks for a library that nobody has."""\n\nimport torhc\n',
}
"""Files that cannot be imported, each in its own way."""

MUTE = '''"""A method that says nothing of its cost."""

from birkhoff_cli.analyses.core.parameterization import Parameterization


class Mute(Parameterization):
    """All but flops."""

    exact = frozenset()
    parameters = 1

    def __call__(self, theta):
        return theta

    def initial(self):
        return 0
'''
UNSEEN = '"""Marks that are no literal."""\n\nMARKS = tuple(".h_res".split())\n'
FOLDERS = (*CONTRACTS, "birkhoff_cli.tables", "birkhoff_cli.analyses.regions")


def test_a_broken_member_is_a_sentence_where_it_is_named_and_no_hindrance_elsewhere(tmp_path):
    shutil.copytree(ROOT / "birkhoff_cli", tmp_path / "birkhoff_cli")
    for package in FOLDERS:
        folder = tmp_path / package.replace(".", "/")
        for name, text in BROKEN.items():
            (folder / f"{name}.py").write_text(text)
    methods_folder, checkpoints = (
        tmp_path / f"birkhoff_cli/{name}" for name in ("analyses/parameterizations", "checkpoints")
    )
    (methods_folder / "mute.py").write_text(MUTE)
    (checkpoints / "unseen.py").write_text(UNSEEN)
    (checkpoints / "half.py").write_text('"""Half a format."""\n\nMARKS = ("hc", ".")\n')
    birkhoff = partial(python_in(tmp_path), "-m", "birkhoff_cli")
    np.save(tmp_path / "h.npy", np.eye(3))
    for words in (
        ("--help",),
        ("spectrum", "--help"),
        ("methods", "--json"),
        ("spectrum", "h.npy", "-q", "-o", "h.csv"),
        ("inspect", ROOT / "examples" / "hc.pt", "--json"),
        ("region", "--d", "3"),
        ("report", "h.npy", "-o", "h.html"),
    ):
        done = birkhoff(*words)
        assert done.returncode == 0, (words, done.stderr)
        if words[0] == "methods":
            said = {row["member"]: row["state"] for row in json.loads(done.stdout)["packages"]}
            assert said.keys() == {*BROKEN, "mute"}
            assert said["mute"].endswith("Mute does not define flops")
        if words[0] == "inspect":
            assert "half) cannot be used: it defines no claims and no read" in done.stderr
    for words in (
        *((name,) for name in BROKEN if name != "typo"),
        ("lame", "--help"),
        *(("sample", "--method", name) for name in ("torn", "mute")),
        ("region", "--kind", "lame"),
    ):
        done = birkhoff(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1), words
        assert f"'{words[-1] if len(words) > 2 else words[0]}' (" in done.stderr
        assert "; mend or begin its name with _" in done.stderr
    done = birkhoff("typo")
    assert done.returncode == 4 and "needs torhc, which is not installed" in done.stderr


@pytest.mark.parametrize(
    "package, name",
    [("birkhoff_cli.analyses", n) for n in ANALYSES]
    + [("birkhoff_cli.commands", n) for n in COMMANDS],
)
def test_a_command_documents_itself(package, name):
    module = discover.member(package, name)
    assert discover.headline(package, name).endswith(".")
    assert all(example.startswith(f"birkhoff {name}") for example in module.EXAMPLES)
    assert all(c.about and c.unit for c in module.SCHEMA)
    parameters = inspect.signature(module.run, eval_str=True).parameters
    writes_itself = {"output", "plot"} & parameters.keys()
    assert bool(arrow_schema(module.SCHEMA).names) is not bool(writes_itself)
    for parameter in parameters.values():
        if parameter.default is not parameter.empty and isinstance(
            parameter.default, int | float | str
        ):
            assert get_args(parameter.annotation)[1], f"{name}: {parameter.name} has no sentence"


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_has_no_option_of_a_method(name):
    """Both would be the same word on the command line."""
    own = inspect.signature(discover.member("birkhoff_cli.analyses", name).run).parameters
    draws = {field.name for field in dataclasses.fields(Draws)} - {"layers"}
    of_methods = {n for m in parameterizations.load_all().values() for n in methods.fields(m)}
    assert not own.keys() & {*of_methods, *draws}
    assert "seed" not in own or own["seed"].annotation is Seed


def test_methods_that_share_an_option_agree_on_its_type():
    kinds = {}
    for method in parameterizations.load_all().values():
        for name, option in methods.fields(method).items():
            assert kinds.setdefault(name, values.plain(option.annotation)) == values.plain(
                option.annotation
            )


@pytest.mark.parametrize("name", parameterizations.names())
def test_a_method_documents_its_options(name):
    cls = parameterizations.load(name)
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        assert len(get_args(hints[field.name])) >= 2, f"{name}.{field.name} has no sentence"
    assert cls.source
    assert discover.headline("birkhoff_cli.analyses.parameterizations", name).endswith(".")


def test_a_project_with_its_own_analyses_and_this_one_do_not_meet(tmp_path):
    own = tmp_path / "analyses"
    own.mkdir()
    (own / "__init__.py").write_text("MINE = 1\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", str(ROOT)])}
    code = "import analyses; assert analyses.MINE; from birkhoff_cli import record; print(record)"
    for words in (["-c", code], ["-m", "birkhoff_cli", "methods", "-q"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_a_wheel_and_a_source_distribution_bring_one_package(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist"]
    subprocess.run([*build, "-d", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in files} == {"birkhoff_cli"}
    assert "birkhoff_cli/analyses/spectrum.py" in files
    assert "birkhoff_cli/py.typed" in files
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert "birkhoff_cli/analyses/spectrum.py" in names  # a wheel built from it is whole


def metadata_of_a_wheel(folder, **environment):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    environment = {**os.environ, **environment}
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, env=environment)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return archive.read(name).decode("utf-8")


def test_a_release_has_urls_and_links_that_lead_somewhere_from_an_index(tmp_path):
    address = "https://forge.invalid/someone/birkhoff"
    text = metadata_of_a_wheel(tmp_path, BIRKHOFF_ADDRESS=address)
    assert f"Project-URL: Source, {address}\n" in text
    links = re.findall(r"""\]\(([^)]+)|(?:src|href)="([^"]+)""", text)
    links = [markdown or html for markdown, html in links]
    assert len(links) > 15
    for link in links:
        assert link.startswith(("https://", "#")), f"{link} leads nowhere from an index"
        if link.startswith(address):
            view, tag, name = link.removeprefix(address + "/").split("/", 2)
            assert tag == f"v{metadata.version('birkhoff-cli')}"
            assert (ROOT / name).exists()
            assert view == ("raw" if name.endswith((".png", ".svg")) else "blob")


def test_a_build_without_an_address_names_none(tmp_path):
    text = metadata_of_a_wheel(tmp_path, BIRKHOFF_ADDRESS="")
    assert "Project-URL:" not in text
    assert text.partition("\n\n")[2].strip() == (ROOT / "README.md").read_text("utf-8").strip()


def test_a_checkout_without_symbolic_links_says_so(tmp_path):
    package = tmp_path / "birkhoff_cli"
    package.mkdir()
    (package / "__init__.py").write_text((ROOT / "birkhoff_cli" / "__init__.py").read_text())
    (package / "analyses").write_text("../analyses")  # what git leaves without core.symlinks
    done = subprocess.run(
        [sys.executable, "-c", "import birkhoff_cli"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "git config core.symlinks true" in done.stderr.splitlines()[-1]


DOCUMENTS = re.compile(r"(?<!\w)(?:docs/)?[\w/.-]*[A-Za-z]\.md\b")
MATHEMATICS = "docs/mathematics.md"
SECTIONS = re.compile(re.escape(MATHEMATICS) + r"[,:]? (\d+(?:\.\d+)?)")


@pytest.mark.parametrize(
    "file",
    [f for d in ("analyses", "birkhoff_cli", "tests") for f in sorted((ROOT / d).rglob("*.py"))],
    ids=relative,
)
def test_a_document_that_is_named_is_in_the_repository(file):
    """And so is the section of it; what stands outside a clone helps nobody who reads the code."""
    text = file.read_text(encoding="utf-8")
    for name in set(DOCUMENTS.findall(text)):
        assert (ROOT / name).is_file(), f"{name} is not in the repository"
    mathematics = (ROOT / MATHEMATICS).read_text(encoding="utf-8")
    for number in set(SECTIONS.findall(text)):
        heading = rf"^(#+ )?{re.escape(number)}\.? "
        assert re.search(heading, mathematics, re.M), f"{MATHEMATICS} has no section {number}"
