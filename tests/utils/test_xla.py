"""XLA's option for loops, by the programs that it compiles."""

import os
import subprocess
import sys

PROGRAM = """
import rtrrl, jax, jax.numpy as jnp
body = lambda i, x: jnp.tanh(jnp.roll(x, 1)) + x.sum()
loop = jax.jit(lambda x: jax.lax.fori_loop(0, 1000, body, x))
print("small_call" in loop.lower(jnp.ones((40, 40))).compile().as_text())
"""
USERS_FLAG = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1024"


def loop_is_one_function(**environment: str) -> bool:
    inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


def test_a_loop_is_compiled_into_one_function():
    assert loop_is_one_function()


def test_other_flags_of_the_user_are_kept():
    assert loop_is_one_function(XLA_FLAGS="--xla_cpu_enable_fast_math=false")


def test_the_users_flag_has_precedence():
    assert not loop_is_one_function(XLA_FLAGS=USERS_FLAG)
