"""An error of the system as a file is read: of the file or of the machine, and no bug of ours."""

import errno
import os
import shutil
from pathlib import Path

import pytest

import forked
from conftest import ROOT

SAID = {
    errno.EIO: (3, "ckpt.pt: cannot be opened (Input/output error); check the path"),
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
