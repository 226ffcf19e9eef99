"""How XLA compiles for a CPU: said once, before JAX starts its backend.

A step of learning is many operations on a few hundred numbers. XLA's CPU runtime calls a function
for each, and the calls take longer than the work. These options make one function of a whole loop
(decision 0013). They change neither a program's meaning nor what runs on an accelerator.
"""

import os

OPTIONS = {
    "xla_cpu_small_while_loop_byte_threshold": "1000000000",
    "xla_cpu_use_multi_output_fusion": "true",
    # short loops would be unrolled before they are vectorised, and then are not
    "xla_cpu_disable_loop_unrolling": "true",
}
"""Loops of any size as one function, in which one pass makes several arrays."""

_FLAG = "--xla_backend_extra_options"


def compile_loops_whole() -> None:
    """Adds the options to `XLA_FLAGS`; where the user has set that flag, theirs stands alone."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _FLAG not in flags:
        options = ",".join(f"{name}={value}" for name, value in OPTIONS.items())
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}={options}".strip()
