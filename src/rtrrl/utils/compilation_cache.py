"""Compiled programs are kept on disk: a command compiles only what it has not compiled before."""

import os
import sys
import warnings
from pathlib import Path

import jax


def reuse_programs() -> None:
    """Keeps this process's compiled programs in the user's cache folder, and takes them from there.

    Does nothing where JAX has been told itself what to do (`JAX_COMPILATION_CACHE_DIR`,
    `JAX_ENABLE_COMPILATION_CACHE`), or where the folder cannot be written: the cache saves time,
    and is never needed. See docs/decisions/0011.
    """
    config = jax.config
    chosen = config.values["jax_compilation_cache_dir"] is not None
    if chosen or not config.values["jax_enable_compilation_cache"]:
        return
    folder = cache_folder()
    if not _private(folder):
        return
    config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # many small programs stand before the first step
        config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # a full disk, or an entry that another process is still writing
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")


def cache_folder() -> Path:
    """`rtrrl/xla` in the user's own cache folder, by the platform's convention."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        given = Path(os.environ.get("XDG_CACHE_HOME", ""))
        base = given if given.is_absolute() else Path.home() / ".cache"
    return base / "rtrrl" / "xla"


def _private(folder: Path) -> bool:
    """Whether the folder, made if it was not there, is the user's to write and nobody else's."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.stat()
    except OSError:
        return False
    # what is in it will be executed
    if os.name == "posix" and (facts.st_uid != os.geteuid() or facts.st_mode & 0o022):
        return False
    return os.access(folder, os.W_OK | os.X_OK)
