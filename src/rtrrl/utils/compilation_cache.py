"""JAX's persistent compilation cache in the user's cache folder (docs/decisions/0011)."""

import os
import warnings
from pathlib import Path

import jax
import platformdirs

from rtrrl.utils import traced_programs


def reuse_programs() -> None:
    """Keep this process's traced and compiled programs on disk, and load those that are there.

    Does nothing where the user has configured the cache (`JAX_COMPILATION_CACHE_DIR`,
    `JAX_ENABLE_COMPILATION_CACHE`), nor where the folder cannot be written: the cache saves time
    and is never needed.
    """
    config = jax.config
    chosen = config.values["jax_compilation_cache_dir"] is not None
    if chosen or not config.values["jax_enable_compilation_cache"]:
        return
    folder = cache_folder()
    if not (_is_private(folder) and _is_private(folder.with_name("traced"))):
        return
    config.update("jax_compilation_cache_dir", str(folder))
    traced_programs.keep_in(folder.with_name("traced"))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # many small programs run before the first step
        config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # a full disk, or an entry that another process is still writing
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")


def cache_folder() -> Path:
    """`rtrrl/xla` in the user's cache folder, which depends on the platform."""
    return platformdirs.user_cache_path("rtrrl", appauthor=False) / "xla"


def _is_private(folder: Path) -> bool:
    """Whether the folder, created if need be, is writable by the user and by nobody else."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat()
    except OSError:
        return False
    # its content will be executed
    if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
        return False
    return os.access(folder, os.W_OK | os.X_OK)
