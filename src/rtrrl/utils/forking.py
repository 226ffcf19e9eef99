"""Detection of a fork after JAX was used: the child would wait for ever, and is told instead."""

import os
import sys

from rtrrl.errors import RtrrlError

_forked = False


def watch_forks() -> None:
    """Remember in every process forked from this one whether JAX had been used before."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def refuse_after_fork() -> None:
    """**Raises** `RtrrlError` in a process that was forked from one that had used JAX.

    JAX computes in threads, which a fork does not copy.
    """
    if _forked:
        raise RtrrlError(
            "this process was forked from one that had used JAX, and would hang: start processes "
            'by multiprocessing.get_context("spawn"), or in concurrent.futures by '
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))'
        )


def _after_fork() -> None:
    global _forked
    bridge = sys.modules.get("jax._src.xla_bridge")  # None where JAX has not been imported
    _forked = bridge is not None and bridge.backends_are_initialized()
