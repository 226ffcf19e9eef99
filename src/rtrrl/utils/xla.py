"""How XLA compiles for a CPU: said once, before JAX starts its backend.

A step of learning is many operations on a few hundred numbers. XLA's CPU runtime calls a function
for each, and the calls take longer than the work. One option makes one function of a whole loop
(decision 0013). It changes neither a program's meaning nor what runs on an accelerator.
"""

import os

OPTION = "xla_cpu_small_while_loop_byte_threshold=1000000000"
"""Loops that touch fewer bytes than this become one function: all of them."""

_FLAG = "--xla_backend_extra_options"


def compile_loops_whole() -> None:
    """Adds the option to `XLA_FLAGS`; where the user has set that flag, theirs stands alone."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}={OPTION}".strip()
