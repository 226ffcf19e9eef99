"""What XLA is told about loops, seen by the programs that it makes."""

import os
import subprocess
import sys

PROGRAM = """
import rtrrl, jax, jax.numpy as jnp
turn = lambda i, x: jnp.tanh(jnp.roll(x, 1)) + x.sum()
loop = jax.jit(lambda x: jax.lax.fori_loop(0, 1000, turn, x))
print("small_call" in loop.lower(jnp.ones((40, 40))).compile().as_text())
"""
THEIRS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1024"


def made_of_one_function(**environment: str) -> bool:
    rest = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=rest | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


def test_a_loop_is_one_function():
    assert made_of_one_function()


def test_other_flags_of_the_user_stay():
    assert made_of_one_function(XLA_FLAGS="--xla_cpu_enable_fast_math=false")


def test_the_users_own_choice_stands():
    assert not made_of_one_function(XLA_FLAGS=THEIRS)
