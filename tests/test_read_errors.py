"""An error of the system as a file is read: of the file or of the machine, and no bug of ours."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import forked
from birkhoff_cli import members
from birkhoff_cli.analyses.core.errors import Unreadable
from birkhoff_cli.binding import bind
from birkhoff_cli.commands import report
from birkhoff_cli.pages import sections
from conftest import ROOT

SAID = {
    errno.EIO: (3, "ckpt.pt: cannot be read (Input/output error); check the disk"),
    errno.ENOENT: (3, "ckpt.pt: no such file; check the path"),
    errno.EMFILE: (6, "ckpt.pt: cannot be opened (Too many open files); allow more"),
    errno.ENOMEM: (6, "out of memory"),
}


def failing(number, path, left):
    """A hook that lets the opening of a file fail, but for so many times."""

    def hook():
        real = Path.open

        def opened(self, *more, **named):
            nonlocal left
            left -= self == path
            if left < 0:
                if number == errno.ENOENT:
                    path.unlink(missing_ok=True)
                raise OSError(number, os.strerror(number), str(self))
            return real(self, *more, **named)

        Path.open = opened

    return hook


@pytest.mark.parametrize("number", SAID)
def test_a_checkpoint_that_fails_after_it_was_looked_at(number, tmp_path):
    """It was a bug of ours, or standard output was said to be incomplete."""
    opens = 0
    while True:
        shutil.copy(ROOT / "examples" / "go-mhc-s2.pt", tmp_path / "ckpt.pt")
        hook = failing(number, Path("ckpt.pt"), opens)
        ended = forked.call(["depth-drift", "ckpt.pt", "-q"], tmp_path, hook)
        if ended.code == 0:
            break
        code, said = SAID[number]
        assert ended.code == code and ended.err.startswith(f"birkhoff: {said}"), ended
        assert ended.err.count("\n") == 1
        opens += 1 if number == errno.EIO else 4
    assert opens > 3


@pytest.mark.parametrize("name", ["ckpt_000150.pt", "latest", "trainer_state.json"])
def test_a_member_on_a_failing_disk_is_not_left_out_of_its_folder(name, tmp_path):
    """A series was one of fewer models, and a step that of a name."""
    for step in ("000000", "000150", "000300"):
        shutil.copy(ROOT / "examples" / "mhc" / f"ckpt_{step}.pt", tmp_path)
    note = tmp_path / name
    note.touch()
    real = Path.open

    def opened(self, *more, **named):
        if self.name == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return real(self, *more, **named)

    def hook():
        Path.open = opened

    ended = forked.call(["degeneration", ".", "-q"], tmp_path, hook)
    assert (ended.code, ended.out) == (3, "")
    said = f"{name}: cannot be read (Input/output error); check the disk that it is on"
    assert ended.err == f"birkhoff: {said}\n"


def test_a_report_of_a_file_that_fails_is_none(tmp_path):
    """The analysis that met it had nothing to say about this model, and the page was written."""
    np.save(tmp_path / "h.npy", np.random.default_rng(0).dirichlet(np.ones(3), (2, 3)))
    request = bind(report, {"path": (str(tmp_path / "h.npy"),)})[1]
    binding = Path.open

    def opened(self, *more, **named):
        if self.name == "h.npy":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return binding(self, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(Unreadable, match="cannot be read"):
            sections.run("check", members.module_of("check"), request, tmp_path)
