"""Real-time recurrent learning: the full influence, exact for every cell."""

import jax
import jax.numpy as jnp

from rtrrl.cells import Cell, recurrent_parameters
from rtrrl.cells.base import Input, State
from rtrrl.gradients.base import GradientRule, communication_jacobian, unit_jacobians
from rtrrl.types import Key, PyTree


class RTRL(GradientRule):
    """J' = (∂h'/∂h) J + ∂h'/∂θ, dense (Williams & Zipser 1989; RTRRL §2).

    Each leaf of the influence is `[k, hidden, *parameter]`: O(n³) memory, O(n⁴) work a step.
    """

    def init(self, cell: Cell, key: Key | None = None) -> PyTree:
        return jax.tree.map(
            lambda leaf: jnp.zeros((cell.components, cell.hidden_size, *leaf.shape), leaf.dtype),
            recurrent_parameters(cell),
        )

    def step(self, cell: Cell, influence: PyTree, h: State, x: Input) -> tuple[State, PyTree]:
        own = jnp.arange(cell.hidden_size)

        def micro_step(_, carry):
            h, influence = carry
            unit = unit_jacobians(cell, h, x)
            jacobian = communication_jacobian(cell, h, x)
            jacobian = jacobian.at[:, own, :, own].add(jnp.moveaxis(unit.leak, -1, 0))
            carried = jax.tree.map(lambda J: jnp.tensordot(jacobian, J, axes=2), influence)
            # the immediate effect of a unit's parameters is on that unit alone
            return unit.h, jax.tree.map(
                lambda J, new: J.at[:, own, ..., own].add(jnp.moveaxis(new, -1, 0)),
                carried,
                unit.immediate,
            )

        return jax.lax.fori_loop(0, cell.micro_steps, micro_step, (h, influence))

    def pullback(self, cell: Cell, influence: PyTree, h_bar: State) -> PyTree:
        """θ̄ = Σ h̄ᵢₐ Jᵢₐ, over the axes of the state."""
        return jax.tree.map(lambda J: jnp.tensordot(h_bar, J, axes=2), influence)
