"""One run, one process that writes: a lock on the run's folder."""

import atexit
import contextlib
import os
import platform
import shutil
from pathlib import Path

from runtime.errors import UserError
from runtime.files import make_folder

LOCK = ".lock"


def hold(folder: Path, *, empty: bool) -> None:
    """Make a folder and hold it until this process ends; with `empty`, delete what lies in it.

    A process that ends before it has put anything there takes the folder away again. Raises
    UserError if another one holds it. Where the system or the disk knows no locks, nothing is held.
    """
    make_folder(folder)
    _lock(folder)
    for path in folder.iterdir() if empty else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _lock(folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        # POSIX's lock belongs to this process alone. flock's would go on to the loader workers,
        # which outlive a killed process by some seconds.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        pid, _, machine = os.read(lock, 1000).decode(errors="replace").partition(" ")
        os.close(lock)
        raise UserError(
            f"{folder} is in use by process {pid} on {machine}",
            f"wait for it, stop it (kill {pid}), or start another run: --name NEW",
        ) from error
    except OSError:  # some network disks
        os.close(lock)
        return
    if os.fstat(lock).st_nlink == 0:  # who had it was just taking the folder away
        os.close(lock)
        hold(folder, empty=False)
        return
    # It stays open, and so the lock holds, until the process ends, however it ends.
    os.truncate(lock, 0)
    os.write(lock, f"{os.getpid()} {platform.node()}".encode())
    atexit.register(_leave_nothing, folder.absolute())


def _leave_nothing(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if os.listdir(folder) == [LOCK]:
            (folder / LOCK).unlink()
            folder.rmdir()
