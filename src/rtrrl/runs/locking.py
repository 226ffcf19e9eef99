"""One writer for each folder of a run: a lock, and numbered folders that no two processes share."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from rtrrl.errors import RunFolderError

LOCK = ".lock"


@contextlib.contextmanager
def hold(folder: str | Path | None) -> Iterator[Path | None]:
    """Keep every other process, and thread, from writing into `folder` meanwhile.

    The operating system releases the lock when the process ends, also where it is killed: the file
    `.lock` that stays behind locks nothing. A folder that is still empty at the end is removed.
    None, of a run that is in memory only, passes through.

    **Raises** `RunFolderError` where another one writes into the folder, or it cannot be written.
    """
    if folder is None:
        yield None
        return
    import filelock  # imports asyncio

    folder = Path(folder)
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise RunFolderError(
            f"{folder} is in use: another run is being written into it; wait for its end, or "
            "choose another folder"
        ) from None
    except OSError as error:
        raise RunFolderError(
            f"cannot write into {folder}: {error.strerror}; choose another folder"
        ) from error
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # a mount point, or a folder that somebody removed
            if os.listdir(folder) == [LOCK]:
                # while it is held, so that nobody else can have begun a run here
                (folder / LOCK).unlink()
                folder.rmdir()
        lock.release()


def make_folder(folder: str | Path) -> Path:
    """Make `folder` and its parents. **Raises** `RunFolderError` where that is not possible."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_make(folder, error) from error
    return Path(folder)


def numbered_folder(stem: str | Path) -> Path:
    """Make the first of the folders STEM-1, STEM-2 ... that does not exist.

    Processes that ask at the same time get different folders.

    **Raises** `RunFolderError` where none can be made.
    """
    parent = make_folder(Path(stem).parent)
    for number in itertools.count(1):
        folder = parent / f"{Path(stem).name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_make(folder, error) from error
        return folder
    raise AssertionError("numbers do not end")


def _cannot_make(folder: str | Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"cannot make a run in {folder}: {error.strerror}; choose another folder")
