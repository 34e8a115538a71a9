"""What is written beside its place under a temporary name, and takes the place once it is whole."""

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp"
MAX_MARK = 200
"""Bytes of a file's name in that of its temporary file."""

NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
"""What file systems say that cannot synchronise a folder: network and FUSE ones."""


class NewFile:
    """A file that is being written.

    Attributes:
        label: what a message calls it.
        final: where it goes; through a link, so that what it points to is replaced, not the link.
        path: where it is until then.
        file: it, open from `create` on, and locked as long as it is.
    """

    file: BinaryIO
    _can_restore = _is_first = False

    def __init__(self, path: Path) -> None:
        """Choose a name; nothing is written yet."""
        self.label, self.final = str(path), path.resolve()
        self.path, self._old = temporary_path(self.final), temporary_path(self.final)

    def create(self) -> None:
        """Make it, readable by whoever may read the old one."""
        remove_stale(self.final)
        self.file = _created(self.path)
        _make_alike(self.path, self.final)

    def settle(self) -> None:
        """Bring every byte to the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def keep_old(self) -> None:
        """Give the old one a second name, for `restore`; some file systems have no links."""
        with contextlib.suppress(OSError):
            self._is_first = not self.final.exists()
            if not self._is_first:
                os.link(self.final, self._old)
            self._can_restore = True

    def appear(self) -> None:
        """Take the place of the old one."""
        self.file.close()
        self.path.replace(self.final)
        _sync_folder(self.final.parent)

    def restore(self) -> None:
        """Bring back the old one, or that there was none; of no effect on one that is not there."""
        with contextlib.suppress(OSError):
            if not self._can_restore or self.path.exists():
                return
            if self._old.exists():
                self._old.replace(self.final)
            elif self._is_first:  # else another command took the old one for stale
                self.final.unlink()

    def discard(self) -> None:
        """Leave the old one as it was; of no effect on one that has appeared."""
        with contextlib.suppress(OSError, AttributeError):  # what was never made has no file
            self.file.close()
        for left in (self.path, self._old):
            with contextlib.suppress(OSError):  # the next command that writes there removes it
                left.unlink(missing_ok=True)


class NewFolder:
    """A folder that is being filled.

    Attributes:
        label: what a message calls it.
        final: where it goes.
        path: where it is until then.
    """

    _handle = -1
    _is_exchanged = False

    def __init__(self, folder: Path) -> None:
        """Choose a name; nothing is made yet."""
        self.label, self.final = str(folder), folder.resolve()
        self.path, self._old = temporary_path(self.final), temporary_path(self.final)

    def create(self) -> None:
        """Make it, and lock it for as long as it is being filled."""
        remove_stale(self.final)
        self.path.mkdir()
        with contextlib.suppress(OSError):  # Windows opens no folder
            self._handle = os.open(self.path, os.O_RDONLY)
            _lock(self._handle, wait=True)

    def keep_old(self) -> None:
        """Nothing: the old one is there until `discard`, under a temporary name."""

    def appear(self) -> None:
        """Take the place of the old one."""
        is_old = self.final.exists()
        if is_old:
            _make_alike(self.path, self.final)
        self._is_exchanged = is_old and exchange(self.path, self.final)
        if not self._is_exchanged:
            if is_old:
                self.final.rename(self._old)
            self.path.rename(self.final)
        _sync_folder(self.final.parent)

    def restore(self) -> None:
        """Bring back the old one, or that there was none; of no effect on one that is not there."""
        with contextlib.suppress(OSError):
            if self._is_exchanged:
                self._is_exchanged = not exchange(self.path, self.final)
            elif not self.path.exists():
                self.final.rename(self.path)
            if self._old.exists():
                self._old.rename(self.final)

    def discard(self) -> None:
        """Remove what has not appeared, and what was replaced."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        for left in (self.path, self._old):
            with contextlib.suppress(OSError):
                left.chmod(stat.S_IRWXU)  # out of one that is read-only nothing can be removed
            shutil.rmtree(left, ignore_errors=True)


AT_FDCWD, RENAME_EXCHANGE = -100, 2


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places at once; False, and nothing, where the system cannot.

    Between two renames a command that is killed would leave neither of them (Linux, renameat2).
    """
    import ctypes

    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    names = [(AT_FDCWD, os.fsencode(path)) for path in (one, other)]
    return rename is not None and rename(*names[0], *names[1], RENAME_EXCHANGE) == 0


ATTRIBUTES = ("user.", "system.posix_acl_")
"""Beginnings of names of attributes that are the user's; others are those of the system."""


def _make_alike(path: Path, old: Path) -> None:
    """Give a new file or folder the owner, the mode and the attributes of the old one.

    The owner and attributes as far as the process and the file system may.
    """
    with contextlib.suppress(FileNotFoundError):
        before, now = old.stat(), path.stat()
        if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
            with contextlib.suppress(OSError):
                os.chown(path, before.st_uid, before.st_gid)
        with contextlib.suppress(OSError, AttributeError):  # macOS and Windows have no such calls
            for name in os.listxattr(old):
                if name.startswith(ATTRIBUTES):
                    os.setxattr(path, name, os.getxattr(old, name))
        if stat.S_IMODE(before.st_mode) != stat.S_IMODE(path.stat().st_mode):
            path.chmod(stat.S_IMODE(before.st_mode))  # last: a new owner takes bits of it away


def temporary_path(final: Path) -> Path:
    """A name beside a file or a folder that nobody else has.

    It holds random letters and no process id, which is the same in every container.
    """
    return final.with_name(f"{_mark(final)}{os.urandom(8).hex()}{TEMPORARY}")


def remove_stale(final: Path) -> None:
    """Remove what killed commands left beside a file or a folder: what nobody holds locked."""
    for path in _temporaries(final):
        _remove_abandoned(path)


def remove_stale_in(folder: Path, names: Collection[str]) -> None:
    """The same for many files of a folder, which is looked through once.

    Args:
        folder: of the files.
        names: of them; none is so long that its mark is cut.
    """
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            marked, _, suffix = entry.name.rpartition(".")
            name = marked.rpartition(".")[0].removeprefix(".")
            if f".{suffix}" == TEMPORARY and name in names:
                _remove_abandoned(Path(entry.path))


def _remove_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        if not _is_abandoned(path):
            return
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _temporaries(final: Path) -> Iterator[Path]:
    """The temporary files and folders of a file or a folder."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(final.parent):
            ours = entry.name.startswith(_mark(final)) and entry.name.endswith(TEMPORARY)
            is_entry = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
            if ours and is_entry:
                yield Path(entry.path)


def _mark(final: Path) -> str:
    """How the temporary names of a file begin; a long name is cut, for names have a limit."""
    name = final.name
    while len(os.fsencode(name)) > MAX_MARK:
        name = name[:-1]
    return f".{name}."


def _created(path: Path) -> BinaryIO:
    """A new file, locked as long as it is open."""
    while True:
        file = path.open("xb")
        _lock(file.fileno(), wait=True)
        with contextlib.suppress(FileNotFoundError):  # taken for stale before it was locked
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock a file as long as it is open; False where somebody else does, or none can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_abandoned(path: Path) -> bool:
    """Whether nobody writes a temporary file any more."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return _lock(handle, wait=False)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last, where folders can be opened and synchronised."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder; a folder may be writable and not readable
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
