"""How much memory may be used: of the machine, of a container, of the process."""

import builtins
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forked
from birkhoff_cli import app, engines, rooms
from birkhoff_cli.analyses.core import cgroups, memory
from birkhoff_cli.analyses.core.errors import NoRoom, TooLarge
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.pages import sections
from conftest import ROOT

MIB = 1 << 20


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of 1,000 MiB without limits; returns where its control groups are."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 1000 * MIB}))
    monkeypatch.setattr(cgroups, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_own_rooms", lambda: iter(()))
    return tmp_path


def group(machine, path, limit, used, cached=0, version=2):
    folder = machine / "cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "") if version == 2 else V1
    text = limit if isinstance(limit, str) else str(limit * MIB)
    (folder / names[0]).write_text(f"{text}\n")
    (folder / names[1]).write_text(f"{used * MIB}\n")
    stat = f"anon 1\n{names[2]}active_file {cached * MIB}\n{names[2]}inactive_file {cached * MIB}\n"
    (folder / "memory.stat").write_text(stat)


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def test_without_control_groups_it_is_what_the_machine_has(machine):
    assert memory.available() == 1000 * MIB
    (machine / "own").write_text("0::/user.slice\n")  # a group whose files are not there
    assert memory.available() == 1000 * MIB


def test_version_2_counts_the_least_room_of_all_groups_around_the_process(machine):
    (machine / "own").write_text("0::/pod/worker\n")
    group(machine, "", "max", 900)
    group(machine, "pod", 300, 100)
    group(machine, "pod/worker", 500, 80)
    assert memory.available() == 200 * MIB
    group(machine, "pod", 300, 100, cached=20)  # what only caches files can be had
    assert memory.available() == 240 * MIB
    group(machine, "pod/worker", 500, 490)
    assert memory.available() == 10 * MIB
    group(machine, "pod/worker", 500, 600)
    assert memory.available() == 0


def test_a_container_that_sees_its_group_as_the_root(machine):
    (machine / "own").write_text("0::/docker/0123abcd\n")  # no such folder inside
    group(machine, "", 256, 56)
    assert memory.available() == 200 * MIB


@pytest.mark.parametrize(
    "own, files, cores",
    [
        ("", {}, 8),
        ("0::/pod/worker", {"cpu.max": "max 100000"}, 8),
        ("0::/pod/worker", {"cpu.max": "400000 100000", "pod/cpu.max": "250000 100000"}, 3),
        ("0::/pod/worker", {"pod/worker/cpu.max": "50000 100000", "pod/cpu.max": "max 100000"}, 1),
        ("0::/pod/worker", {"pod/worker/cpu.max": "9000000 100000"}, 8),
        ("0::/docker/0123abcd", {"cpu.max": "200000 100000"}, 2),  # it sees its own as the root
        ("4:cpu,cpuacct:/job", {"cpu/job/cpu.cfs_quota_us": "200000"}, 2),
        ("4:cpu,cpuacct:/job", {"cpu,cpuacct/job/cpu.cfs_quota_us": "300000"}, 3),
        ("4:cpu,cpuacct:/job", {"cpu/job/cpu.cfs_quota_us": "-1"}, 8),
        ("3:memory:/job\n1:name=systemd:/", {"memory/job/cpu.cfs_quota_us": "100000"}, 8),
    ],
)
def test_processors_are_those_that_the_control_groups_allow(
    own, files, cores, machine, monkeypatch
):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8))
    (machine / "own").write_text(f"{own}\n" if own else "")
    for name, text in files.items():
        file = machine / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
        if name.endswith("quota_us"):
            file.with_name("cpu.cfs_period_us").write_text("100000\n")
    assert engines.cores() == cores


def test_version_1_has_a_folder_and_names_of_its_own(machine):
    (machine / "own").write_text("9:cpu,cpuacct:/x\n4:memory:/../job\n0::/\n")
    group(machine, "memory", 9223372036854771712 // MIB, 900, version=1)  # no limit
    group(machine, "memory/job", 400, 150, cached=25, version=1)
    assert memory.available() == 300 * MIB


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("depth", range(3))
def test_a_container_without_room_for_a_command_is_said_before_libraries_are_loaded(
    version, depth, machine
):
    """The system ended it by SIGKILL."""
    groups = ["", "pod", "pod/worker"]
    (machine / "own").write_text("4:memory:/pod/worker\n" if version == 1 else "0::/pod/worker\n")
    for k, path in enumerate(groups):
        at = f"memory/{path}".rstrip("/") if version == 1 else path
        group(machine, at, 60 if k == depth else 500, 40, version=version)
    with pytest.raises(TooLarge, match="the container leaves 20 MB of memory and .* at least 32"):
        rooms.require_to_start()
    at = f"memory/{groups[depth]}".rstrip("/") if version == 1 else groups[depth]
    group(machine, at, 60, 40, cached=10, version=version)
    rooms.require_to_start()


LARGE = [*rooms.NEEDS]


@pytest.mark.parametrize("library", LARGE)
def test_a_library_is_loaded_only_where_it_has_room(library, machine, monkeypatch):
    """A container killed the process, and under a limit libraries ended it by abort."""
    monkeypatch.delitem(sys.modules, library, raising=False)
    (machine / "own").write_text("0::/pod\n")
    needed = rooms.NEEDS[library].resident // MIB
    group(machine, "pod", 500, 501 - needed)
    name = library.partition(".")[0]
    said = f"the container leaves {needed - 1} MB of memory and {name} needs at least {needed}"
    with pytest.raises(TooLarge, match=said):
        rooms.Guard().find_spec(library)
    rooms.Guard().find_spec(f"{library}.part")  # is a part of what is there
    group(machine, "pod", 500, 500 - needed)
    rooms.Guard().find_spec(library)
    reserved = rooms.NEEDS[library].reserved // MIB
    monkeypatch.setattr(rooms, "_reserved", lambda: 200 * MIB)
    monkeypatch.setattr(rooms, "address_limit", lambda: (200 + reserved) * MIB)
    rooms.Guard().find_spec(library)
    monkeypatch.setattr(rooms, "address_limit", lambda: (199 + reserved) * MIB)
    with pytest.raises(TooLarge, match=f"{reserved - 1} MB more of address space and {name}"):
        rooms.Guard().find_spec(library)


def test_a_figure_without_room_is_refused_before_the_work(machine, monkeypatch):
    from birkhoff_cli.invocation import check_figure

    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    (machine / "own").write_text("0::/pod\n")
    group(machine, "pod", 100, 60)
    rooms.require_to_start()
    with pytest.raises(TooLarge, match="40 MB of memory and .*matplotlib needs? at least"):
        check_figure(Path("a.png"))


def in_container(megabytes, words, folder):
    """A command in a container that leaves so many megabytes, where no library is loaded yet."""

    def hook():
        rooms.container_room = lambda: megabytes * MIB
        for name in [*sys.modules]:
            if name.partition(".")[0] in {"torch", "matplotlib"}:
                del sys.modules[name]

    before = {path.name for path in folder.iterdir()} | {"tmp"}
    ended = forked.call([str(word) for word in words], folder, hook)
    assert {path.name for path in folder.iterdir()} == before
    return ended


@pytest.mark.parametrize("megabytes", [60, 150, 280])
def test_training_without_room_is_refused_before_it_begins(megabytes, tmp_path):
    """It ended after the last step, where the log was written; or the system killed it."""
    words = ("train", "--method", "mhc", "-o", "out", "--updates", "1")
    code, out, err = in_container(megabytes, words, tmp_path)
    assert (code, out, err.count("\n")) == (6, "", 1)
    said = (
        rf"birkhoff: the container leaves {megabytes} MB of memory and .*torch.* need about 3\d\d;"
    )
    assert re.match(said, err), err


def test_a_model_too_large_to_be_trained_is_refused_before_it_is_made(tmp_path):
    words = ("train", "--method", "mhc", "--width", "1e6", "--heads", "1", "-o", "out")
    code, _, err = in_container(10**12, words, tmp_path)
    assert code == 6 and "a step with --batch 16 and --width 1000000 would need" in err


def test_a_report_without_room_for_a_library_is_not_the_fault_of_the_model(tmp_path):
    """Each analysis was refused in a section of its own, and the page for its file, exit code 3."""
    np.save(tmp_path / "g.npy", np.full((2, 3, 3), 1 / 3))
    code, _, err = in_container(60, ("report", "g.npy", "-o", "out.html"), tmp_path)
    assert code == 6 and re.search("60 MB of memory and .*matplotlib needs? at least", err)


@pytest.mark.parametrize("error, code", [(NoRoom("no room"), 6), (TooLarge("too large"), 6)])
def test_a_page_that_no_analysis_has_room_for_is_not_the_fault_of_the_model(error, code, tmp_path):
    np.save(tmp_path / "g.npy", np.full((2, 3, 3), 1 / 3))

    def fail(*_):
        raise error

    def hook():
        sections._run = fail

    ended = forked.call(["report", "g.npy", "-o", "out.html"], tmp_path, hook)
    assert (ended.code, ended.err) == (code, f"birkhoff: {error}\n")


WORDS = (
    ("methods",),
    ("depth-drift", "--method", "mhc", "--layers", "2", "-n", "3"),
    ("sample", "--method", "go-mhc", "-n", "3", "-o", "{}/a.parquet"),
    ("spectrum", "--method", "go-mhc", "-n", "9", "-o", "{}/a.parquet", "--plot", "{}/a.png"),
    ("train", "--method", "mhc", "-o", "{}/run", "--updates", "1"),
)


@pytest.mark.release
@pytest.mark.parametrize("megabytes", [600, 640, 700, 760, 850, 1000])
@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_whatever_the_limit_a_command_ends_well_or_is_refused(words, megabytes, birkhoff, tmp_path):
    """OpenBLAS, torch and Arrow ended it by codes of their own."""
    resource = pytest.importorskip("resource")

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    words = [word.format(tmp_path) for word in words]
    done = birkhoff(*words, preexec_fn=limited)
    assert done.returncode in (0, 6), done.stderr
    if done.returncode:
        assert done.stderr.count("\n") == 1
        assert words[0] == "train" or not [*tmp_path.iterdir()]  # a run can be taken up again


def test_a_limit_of_the_process_counts(monkeypatch):
    resource = pytest.importorskip("resource")
    limits = {"soft": resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limits["soft"], limits["soft"]))
    assert list(memory._own_rooms()) == []
    used = psutil.Process().memory_info().vms
    limits["soft"] = used + 50 * MIB
    (room,) = memory._own_rooms()
    assert abs(room - 50 * MIB) < 20 * MIB


def test_where_there_is_no_module_resource_there_is_no_such_limit(monkeypatch):
    real = builtins.__import__

    def without(name, *more):
        if name == "resource":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert list(memory._own_rooms()) == []


def test_half_of_it_may_be_used_and_little_is_never_refused(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 8 * MIB)
    memory.require_memory(4 * MIB, "it")
    with pytest.raises(TooLarge, match="it would need 0.0 GiB"):
        memory.require_memory(4 * MIB + 1, "it")
    monkeypatch.setattr(memory, "available", lambda: 0)
    memory.require_memory(MIB, "it")


def test_a_small_command_asks_nothing():
    """psutil takes longer to import than the work takes."""
    code = (
        "import sys; sys.argv = 'birkhoff sample --method go-mhc -n 3 -q'.split()\n"
        "from birkhoff_cli.app import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "assert 'psutil' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_command_under_ulimit_is_refused_in_a_line(birkhoff):
    resource = pytest.importorskip("resource")
    limit = 4 << 30

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = birkhoff("region", "--d", "50", "--points", "50000", "-q", preexec_fn=limited)
    assert done.returncode == 6 and done.stderr.count("\n") == 1
    needed, allowed = map(float, re.findall(r"([0-9.]+) GiB", done.stderr))
    assert allowed <= 2.0 < needed


@pytest.mark.parametrize("megabytes", [120, 200, 350, 450, 599])
def test_too_little_address_space_is_refused_before_libraries_are_loaded(megabytes, birkhoff):
    resource = pytest.importorskip("resource")

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    done = birkhoff("spectrum", "--method", "go-mhc", preexec_fn=limited)
    assert done.returncode == 6
    assert done.stderr.startswith(f"birkhoff: this process may use {megabytes} MB of address space")
    assert done.stderr.count("\n") == 1 and not done.stdout
    assert birkhoff("--help", preexec_fn=limited).returncode == 0


@pytest.mark.parametrize(
    "name", ["sample", "spectrum", "slice", "heatmap", "depth-drift", "compare"]
)
def test_a_refusal_says_sizes_that_no_float_can_hold(name, birkhoff):
    done = birkhoff(name, "--method", "mhc-lite", "--d", "200")
    assert done.returncode == 6 and done.stderr.count("\n") == 1
    assert re.search("more than 1e374 p.*more than 1e3(67|71) GB?i?B", done.stderr)


@given(st.integers(0, 10**400))
def test_a_magnitude_is_right(number):
    said = memory.magnitude(number)
    if said.startswith("more than 1e"):
        exponent = int(said.removeprefix("more than 1e"))
        assert 10**exponent <= number < 10 ** (exponent + 2)
    else:
        assert int(said.replace(",", "")) == number


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("can't start new thread"),
        OSError(12, "Cannot allocate memory"),
    ],
    ids=["torch", "threads", "system"],
)
def test_what_libraries_say_of_memory_is_blamed_on_no_file_and_is_no_bug(error, capsys):
    def fail():
        raise error

    with pytest.raises(MemoryError), refusing(Path("model.pt")):
        fail()
    assert app._bug(error) == 6
    assert "out of memory" in capsys.readouterr().err
