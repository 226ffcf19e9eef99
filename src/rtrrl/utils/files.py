"""Writing files such that a crash leaves the old file or the new one."""

import os
from pathlib import Path

from rtrrl.errors import RunFolderError


def write_atomic(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`; at any time the file has its old or its new content.

    **Raises** `RunFolderError` where it cannot be written; the old file then stays as it was.
    """
    path = Path(path)
    # `tempfile` would make the file private to its owner
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose a folder "
            "that you may write to"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power failure; Windows neither can nor needs it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
