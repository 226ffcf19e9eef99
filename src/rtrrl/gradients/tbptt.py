"""Truncated backpropagation through time over a sliding window."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.cells import Cell, recurrent_parameters
from rtrrl.cells.base import Input, State
from rtrrl.gradients.base import GradientRule
from rtrrl.types import Key, PyTree
from rtrrl.utils import validation


class Window(eqx.Module):
    """The states before the last steps and their inputs, oldest first."""

    h: Float[Array, "window k hidden"]
    x: Float[Array, "window inputs"]
    length: Int[Array, ""]
    """The number of them that belong to this episode."""


class TBPTT(GradientRule):
    """The gradient of h through the last `window` steps; exact while the episode is shorter.

    Each step is differentiated at the recorded state, not at one recomputed with the present
    parameters.
    """

    window: int = eqx.field(static=True, default=16)
    """The number of steps that the gradient is propagated back through."""

    def __check_init__(self) -> None:
        validation.counts(window=self.window)

    def init(self, cell: Cell, key: Key | None = None) -> Window:
        h = jnp.zeros((self.window, cell.components, cell.hidden_size))
        return Window(h, jnp.zeros((self.window, cell.input_size)), jnp.zeros((), jnp.int32))

    def step(self, cell: Cell, influence: Window, h: State, x: Input) -> tuple[State, Window]:
        length = jnp.minimum(influence.length + 1, self.window)
        return cell(h, x), Window(_push(influence.h, h), _push(influence.x, x), length)

    def pullback(self, cell: Cell, influence: Window, h_bar: State) -> PyTree:
        trained = recurrent_parameters(cell)

        def backward(carry, step):
            h_bar, gradient = carry
            h, x, inside = step
            _, vjp = jax.vjp(lambda p, h: eqx.combine(p, cell)(h, x), trained, h)
            # steps before the start of the episode have no effect
            theta_bar, h_bar = vjp(jnp.where(inside, h_bar, 0.0))
            return (h_bar, jax.tree.map(jnp.add, gradient, theta_bar)), None

        inside = jnp.arange(self.window) >= self.window - influence.length
        start = (h_bar, jax.tree.map(jnp.zeros_like, trained))
        steps = (influence.h, influence.x, inside)
        (_, gradient), _ = jax.lax.scan(backward, start, steps, reverse=True)
        return gradient


def _push(buffer: Float[Array, "window *item"], new: Float[Array, "*item"]) -> Array:
    return jnp.concatenate([buffer[1:], new[None]])
