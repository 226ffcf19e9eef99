"""The matrix product that dense RTRL cannot avoid, J' = A·J, timed alone."""

import os

# read by numpy's BLAS when it is loaded: the agent has one core, and so has its floor
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import jax
import jax.numpy as jnp
import numpy as np
from timing import Row, compiled
from workloads import initial_state

from rtrrl.agents import RTRRL


def shape(agent: RTRRL) -> tuple[int, int]:
    """The shape of J: a row for each unit, a column for each recurrent parameter."""
    cell = jax.eval_shape(lambda: initial_state(agent)).params.cell
    return cell.hidden_size, cell.weight.size + cell.tau.size


def numpy_row(hidden: int, columns: int) -> Row:
    """The product by numpy's BLAS on one thread."""
    A, J = _factors(hidden, columns)

    def run(pair: tuple[np.ndarray, np.ndarray], steps: int) -> tuple[np.ndarray, np.ndarray]:
        J, result = pair
        for _ in range(steps):
            np.matmul(A, J, out=result)
            J, result = result, J
        return J, result

    return Row("A·J, BLAS", (J, np.empty_like(J)), run)


def xla_row(hidden: int, columns: int) -> Row:
    """The product by XLA."""
    A, J = _factors(hidden, columns)

    def loop(J: jax.Array, steps: jax.Array, A: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, steps, lambda _, J: A @ J, J)

    return Row("A·J, XLA", jnp.asarray(J), compiled(loop, jnp.asarray(J), jnp.asarray(A)))


def _factors(hidden: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """A and J; A is orthogonal, so that the norm of J stays the same."""
    rng = np.random.default_rng(0)
    A, _ = np.linalg.qr(rng.normal(size=(hidden, hidden)))
    return A.astype(np.float32), rng.normal(size=(hidden, columns)).astype(np.float32)
