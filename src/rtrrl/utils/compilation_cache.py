"""JAX's persistent compilation cache in the user's cache folder (docs/decisions/0011)."""

import os
import warnings
from pathlib import Path

import jax
import platformdirs
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from rtrrl.errors import RtrrlError
from rtrrl.utils import traced_programs


def use_compilation_cache(folder: str | Path | None = None) -> None:
    """Keep compiled programs on disk, and load those that are there, as the command always does.

    To compile an agent takes seconds to tens of seconds. After a call of this, at any time, every
    program that JAX compiles in this process, also one that is not rtrrl's, is kept in `folder`,
    and so are the traces of rtrrl's own. Another process that makes the call loads it instead of
    compiling. The numbers are the same bits.

    Without a `folder` it is `rtrrl` in the user's cache folder (`~/.cache` on Linux), the command's
    own. `JAX_COMPILATION_CACHE_DIR`, or a folder that the program has given to JAX, has precedence
    over that, and then JAX's own settings hold. Nothing is kept where
    `JAX_ENABLE_COMPILATION_CACHE` is false, or the user's cache folder cannot be written.

    It is off by default in Python, as it changes the settings of the whole process, and writes half
    a megabyte for each agent, which is never removed (`JAX_COMPILATION_CACHE_MAX_SIZE` limits it).

        rtrrl.use_compilation_cache()
        for gamma in (0.9, 0.99, 0.999):
            rtrrl.train("TMaze-10", rtrrl.RTRRL.default("TMaze-10", gamma=gamma))

    **Raises** `RtrrlError` where `folder` cannot be written, or others may write to it: what is in
    it is executed.
    """
    config = jax.config
    chosen = folder is None and config.values["jax_compilation_cache_dir"] is not None
    if chosen or not config.values["jax_enable_compilation_cache"]:
        return
    parent = cache_folder() if folder is None else Path(folder).expanduser().absolute()
    programs, traces = parent / "xla", parent / "traced"
    if not (_is_private(programs) and _is_private(traces)):
        if folder is not None:
            raise RtrrlError(
                f"cannot keep programs in {folder}: it must be a folder that you alone can write to"
            )
        return
    config.update("jax_compilation_cache_dir", str(programs))
    jax_cache.reset_cache()  # JAX asks at its first compilation whether there is a folder
    traced_programs.keep_in(traces)
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # many small programs run before the first step
        config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # a full disk, or an entry that another process is still writing
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")


def cache_folder() -> Path:
    """`rtrrl` in the user's cache folder, which depends on the platform."""
    return platformdirs.user_cache_path("rtrrl", appauthor=False)


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
