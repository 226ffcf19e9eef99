"""Unbiased online recurrent optimization: the influence as one random outer product."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.cells import Cell, recurrent_parameters
from rtrrl.cells.base import Input, State
from rtrrl.gradients.base import GradientRule
from rtrrl.types import Key, PyTree

EPSILON = 1e-7


class RankOne(eqx.Module):
    """P ≈ s ⊗ w, whose mean is the influence."""

    s: State
    w: PyTree
    key: Key


class UORO(GradientRule):
    """UORO (Tallec & Ollivier 2018): E[s ⊗ w] = J, in hidden + θ numbers.

        s' = ρ₀ A s + ρ₁ ν,   w' = w/ρ₀ + (νᵀ ∂h'/∂θ)/ρ₁,   ν random signs

    The ρ balance the two factors' norms, which keeps the variance small; any ρ > 0 is unbiased.
    """

    def init(self, cell: Cell, key: Key | None = None) -> RankOne:
        zeros = jax.tree.map(jnp.zeros_like, recurrent_parameters(cell))
        return RankOne(cell.initial_state(), zeros, jax.random.key(0) if key is None else key)

    def restart(self, cell: Cell, influence: RankOne) -> RankOne:
        # new signs in every episode
        return self.init(cell, influence.key)

    def step(self, cell: Cell, influence: RankOne, h: State, x: Input) -> tuple[State, RankOne]:
        def micro_step(_, carry):
            h, influence = carry
            key, sign_key = jax.random.split(influence.key)
            nu = jax.random.rademacher(sign_key, h.shape, h.dtype)
            trained = recurrent_parameters(cell)
            new, carried = jax.jvp(lambda h: cell.micro_step(h, x), (h,), (influence.s,))
            _, vjp = jax.vjp(lambda p: eqx.combine(p, cell).micro_step(h, x), trained)
            (immediate,) = vjp(nu)
            rho_0 = _balance(_norm(influence.w), _norm(carried))
            rho_1 = _balance(_norm(immediate), _norm(nu))
            s = rho_0 * carried + rho_1 * nu
            w = jax.tree.map(lambda w, new: w / rho_0 + new / rho_1, influence.w, immediate)
            return new, RankOne(s, w, key)

        return jax.lax.fori_loop(0, cell.micro_steps, micro_step, (h, influence))

    def pullback(self, cell: Cell, influence: RankOne, h_bar: State) -> PyTree:
        """(h̄ · s) w."""
        along = jnp.vdot(h_bar, influence.s)
        return jax.tree.map(lambda w: along * w, influence.w)


def _norm(tree: PyTree) -> Float[Array, ""]:
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def _balance(numerator: Float[Array, ""], denominator: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.sqrt((numerator + EPSILON) / (denominator + EPSILON))
