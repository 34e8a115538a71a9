"""Files appear whole or not at all, whichever write fails."""

import errno
import os

import numpy as np
import pytest

from birkhoff_cli import files, tables
from birkhoff_cli.analyses.core.errors import CannotWrite
from birkhoff_cli.analyses.core.table import arrow_schema, column, record_batch

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
