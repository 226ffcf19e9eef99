"""XLA's options for the CPU, set before JAX starts its backend.

A step of learning consists of many operations on a few hundred numbers. XLA's CPU runtime calls
one function per operation, which takes longer than the operation itself. One option compiles a
whole loop into one function (docs/decisions/0013). It changes neither a program's meaning nor
what runs on an accelerator.
"""

import os

OPTION = "xla_cpu_small_while_loop_byte_threshold=1000000000"
"""Loops that touch fewer bytes than this, that is all of them, become one function."""

_FLAG = "--xla_backend_extra_options"


def compile_loops_whole() -> None:
    """Add the option to `XLA_FLAGS`, unless the user has set that flag."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}={OPTION}".strip()
