"""Files appear whole or not at all, whichever write fails."""

import errno
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from birkhoff_cli import files, process, tables, temporaries
from birkhoff_cli.analyses.core.errors import CannotWrite
from birkhoff_cli.analyses.core.table import arrow_schema, column, record_batch
from birkhoff_cli.temporaries import NewFile, remove_stale, remove_stale_in, temporary_path

SCHEMA = arrow_schema((column("x", "float64", "a number"),))


def batches(parts):
    return (
        record_batch(SCHEMA, {"x": np.random.default_rng(k).random(5000)}) for k in range(parts)
    )


class Failing:
    """A file whose n-th write finds the disk full."""

    def __init__(self, file, after):
        self.file, self.left = file, after

    def write(self, data):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("format", tables.writable(), ids=lambda f: f.name)
def test_the_old_file_or_the_new_one_for_every_write_that_could_fail(format, tmp_path):
    target = tmp_path / "out"
    outcomes = []
    for after in range(10_000):
        target.write_bytes(b"old")
        try:
            with files.opened(target) as sink:
                format.write(batches(2), SCHEMA, Failing(sink, after), dict)
        except CannotWrite as error:
            assert "No space left" in str(error)
            assert target.read_bytes() == b"old"
            outcomes.append("old")
        else:
            assert len(target.read_bytes()) > 10_000
            outcomes.append("new")
        assert list(tmp_path.iterdir()) == [target]
        if outcomes[-1] == "new" or after > 60:
            break
    assert "old" in outcomes


def test_the_last_write_counts(tmp_path):
    """The number of writes is finite: with enough room the new file is there."""
    target = tmp_path / "out"
    with files.opened(target) as sink:
        tables.load("parquet").write(batches(3), SCHEMA, sink, dict)
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_read_only_directory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(CannotWrite, match="read-only"):
        files.check(tmp_path / "x")


def test_a_read_only_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, _: path == tmp_path)
    with pytest.raises(CannotWrite, match="x: is read-only"):
        files.check(tmp_path / "x")
    files.check(tmp_path / "y")


def test_two_outputs_of_one_name_are_one(tmp_path, monkeypatch):
    """The figure replaced the table, and the command ended well."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.svg").symlink_to("a.csv")
    here = Path("a.csv")
    assert all(files.are_one(here, path) for path in (here, tmp_path / here, Path("link.svg")))
    assert not files.are_one(here, Path("b.csv")) and not files.are_one(files.STDOUT, files.STDOUT)


def test_the_input_is_not_overwritten(tmp_path):
    file = tmp_path / "a.pt"
    file.write_bytes(b"x")
    with pytest.raises(CannotWrite, match="is the input as well"):
        files.check(tmp_path / "." / "a.pt", (file,))


def test_names_that_no_file_can_have_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, said in (
        ("loop", "loop of links"),
        ("x" * 300, "too long"),
        ("x" * 300 + "/a", "too long"),
    ):
        with pytest.raises(CannotWrite, match=said):
            files.check(tmp_path / name)
        with pytest.raises(CannotWrite, match=said), files.together() as every:
            every.folder(tmp_path / name)  # pathlib raises an error that is none of the system's


def test_what_a_killed_command_left_is_removed_by_the_next_and_what_is_written_is_not(tmp_path):
    """Names hold no process id: in a container it is the same every time."""
    final = tmp_path / "a.parquet"
    stale = [temporary_path(final) for _ in range(3)]
    for path in stale:
        path.write_bytes(b"half")
    others = [tmp_path / ".b.parquet.0123456789abcdef.tmp", tmp_path / ".a.parquet.notes"]
    for path in others:
        path.write_bytes(b"of somebody else")
    with files.opened(final) as first:
        first.write(b"first")
        assert not any(path.exists() for path in stale)
        with files.opened(final) as second:  # both write the same file; the last one stays
            second.write(b"second")
            assert len([*tmp_path.glob(".a.parquet.*.tmp")]) == 2
        assert final.read_bytes() == b"second"
    assert final.read_bytes() == b"first"
    assert sorted(tmp_path.iterdir()) == sorted([final, *others])


def test_what_is_left_of_many_files_of_a_folder_is_removed_and_nothing_else(tmp_path):
    finals = [tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet")]
    stale = [temporary_path(path) for path in finals]
    for path in (*stale, *finals):
        path.write_bytes(b"half")
    with NewFile(finals[0]).path.open("wb"):  # not locked: it is no writer's
        remove_stale_in(tmp_path, {"a.parquet", "b.parquet"})
    assert {*tmp_path.iterdir()} == {*finals, stale[2]}
    remove_stale_in(tmp_path / "none", {"a.parquet"})


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_mode_of_the_old_file_is_kept(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    path.chmod(0o640)
    with files.opened(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_folder_keeps_its_mode_also_one_that_is_read_only(tmp_path):
    """What only its owner could look into was open to all."""
    folder = tmp_path / "a_files"
    for mode in (0o700, 0o500):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
        with files.together() as every:
            (every.folder(folder) / "new").write_bytes(b"new")
        assert folder.stat().st_mode & 0o777 == mode and [*tmp_path.iterdir()] == [folder]


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Linux has such attributes")
def test_the_attributes_of_the_old_file_are_kept(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has no attributes")
    with files.opened(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), os.getxattr(path, "user.note")) == (b"new", b"mine")


@pytest.mark.skipif(not hasattr(os, "chown"), reason="Windows has no such owners")
def test_the_owner_of_the_old_file_is_kept_where_that_may_be(tmp_path, monkeypatch):
    path, owners = tmp_path / "a.csv", []
    path.write_text("old")
    real = os.stat

    def of_another(self, **named):
        status = real(self, **named)
        return os.stat_result((*status[:4], 1234, 2345, *status[6:])) if self == path else status

    monkeypatch.setattr(Path, "stat", of_another)
    monkeypatch.setattr(os, "chown", lambda _, *owner: owners.append(owner))
    with files.opened(path) as file:
        file.write(b"new")
    assert owners == [(1234, 2345)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_what_a_link_points_to_is_replaced_with_its_mode(make, tmp_path):
    """Of two names of one file the other one keeps the old file: it is never written into."""
    path, link = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("old")
    path.chmod(0o604)
    getattr(link, make)(path)
    with files.opened(link) as file:
        file.write(b"new")
    assert link.read_bytes() == b"new" and link.stat().st_mode & 0o777 == 0o604
    assert path.read_bytes() == (b"new" if link.is_symlink() else b"old")
    assert link.is_symlink() == (make == "symlink_to")
    assert sorted(tmp_path.iterdir()) == [path, link]


def test_a_link_to_nothing_is_a_name_of_the_new_file(tmp_path):
    (tmp_path / "b.csv").symlink_to("a.csv")
    with files.opened(tmp_path / "b.csv") as file:
        file.write(b"new")
    assert (tmp_path / "b.csv").is_symlink() and (tmp_path / "a.csv").read_bytes() == b"new"


def test_temporary_names_are_random(tmp_path):
    """They held the process id, which in a container is the same every time."""
    names = {temporary_path(tmp_path / "a").name for _ in range(100)}
    assert len(names) == 100


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("ü" * 120 + ".parquet")
    with files.opened(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and [*tmp_path.iterdir()] == [path]


def test_a_table_whose_figure_cannot_be_written_stays_as_it_was(birkhoff, tmp_path):
    """The table appeared, and then the figure did not."""
    (tmp_path / "full.png").symlink_to("/dev/full")
    (tmp_path / "a.csv").write_text("old")
    words = ("spectrum", "--method", "go-mhc", "--d", "3", "-n", "4", "--resolution", "8")
    done = birkhoff(*words, "-o", "a.csv", "--plot", "full.png")
    assert done.returncode == 5 and done.stderr.startswith("birkhoff: full.png: No space left")
    assert (tmp_path / "a.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "full.png"]


def test_files_and_folders_appear_together_or_not_at_all(tmp_path):
    file, folder = tmp_path / "page", tmp_path / "tables"

    def write(text):
        with files.together() as every, every.file(file) as page:
            inner = every.folder(folder)
            page.write(text)
            (inner / "a").write_bytes(text)
            assert folder.exists() == file.exists()
            if text == b"fails":
                raise CannotWrite("no")

    write(b"one")
    write(b"two")
    with pytest.raises(CannotWrite):
        write(b"fails")
    assert file.read_bytes() == (folder / "a").read_bytes() == b"two"
    assert sorted(tmp_path.iterdir()) == [file, folder]


def test_a_folder_that_a_killed_command_left_is_removed_and_one_in_use_is_not(tmp_path):
    """Only files were."""
    stale = temporary_path(tmp_path / "tables")
    stale.mkdir()
    (stale / "a").write_bytes(b"half")
    with files.together() as first:
        inner = first.folder(tmp_path / "tables")
        with files.together() as second:
            second.folder(tmp_path / "tables")
            assert inner.exists() and not stale.exists()
    assert [*tmp_path.iterdir()] == [tmp_path / "tables"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_an_old_file_without_its_second_name_is_not_the_end_of_both(tmp_path):
    """Another command that writes there takes it for what a killed one left."""
    path = tmp_path / "t"
    path.write_bytes(b"old")
    new = NewFile(path)
    new.create()
    new.file.write(b"new")
    new.settle()
    new.keep_old()
    remove_stale(path)
    new.appear()
    new.restore()
    new.discard()
    assert path.read_bytes() == b"new" and [*tmp_path.iterdir()] == [path]


def test_a_signal_waits_until_files_are_in_their_places(tmp_path, monkeypatch):
    """Each of two files, or neither: it came between two renames."""
    real, both = os.replace, [tmp_path / "a", tmp_path / "b"]

    def replace(*paths):
        real(*paths)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(process, "_last", float("-inf"))
    before = signal.signal(signal.SIGTERM, process._stop)
    try:
        with pytest.raises(process.Stopped), files.together() as every:
            for path in both:
                with every.file(path) as file:
                    file.write(b"new")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert sorted(tmp_path.iterdir()) == both


@pytest.mark.skipif(sys.platform != "linux", reason="folders change places at once on Linux")
def test_a_folder_is_never_away(tmp_path, monkeypatch):
    """A command that was killed between two renames left neither the old nor the new one."""
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x").write_bytes(b"old")
    monkeypatch.setattr(os, "rename", None)
    with files.together() as every:
        (every.folder(tmp_path / "f") / "x").write_bytes(b"new")
    assert (tmp_path / "f" / "x").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("call", ["replace", "rename", "fsync", "link"])
def test_a_name_that_cannot_be_given_leaves_every_output_as_it_was(call, tmp_path, monkeypatch):
    """The second of two renames failed, and a new table stood beside an old figure."""
    real = getattr(os, call)
    if call == "rename":
        monkeypatch.setattr(temporaries, "exchange", lambda *_: False)

    def failing(*arguments):
        nonlocal left
        left -= 1
        if left < 0:
            left = 1 << 40
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*arguments)

    outcomes = []
    for number in range(20):
        place, left = tmp_path / str(number), 1 << 40
        (place / "f").mkdir(parents=True)
        (place / "f" / "x").write_bytes(b"old")
        (place / "a").write_bytes(b"old")
        monkeypatch.setattr(os, call, failing)
        try:
            with files.together() as every:
                for name in ("a", "b"):
                    with every.file(place / name) as file:
                        file.write(b"new")
                (every.folder(place / "f") / "x").write_bytes(b"new")
                left = number
        except CannotWrite:
            outcomes.append("old")
        else:
            outcomes.append("new")
        monkeypatch.setattr(os, call, real)
        found = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
        assert found == {"a": b"old", "f/x": b"old"} or outcomes[-1] == "new"
        assert {*found.values()} == {outcomes[-1].encode()}
        assert {p.name for p in place.iterdir()} <= {"a", "b", "f"}
    assert outcomes[-1] == "new" and (call == "link" or "old" in outcomes)
