"""TD errors, returns and advantages. Time is in the names; functions are unbatched."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rtrrl.types import Scalar


def td_error(r_t: Scalar, discount_t: Scalar, v_t: Scalar, v_tm1: Scalar) -> Scalar:
    """δₜ = rₜ + γₜ v(sₜ) − v(sₜ₋₁), γₜ = 0 at a true terminal.

    In the average-reward form `r_t` is the reward less its running mean, and γ is 1.
    """
    return r_t + discount_t * v_t - v_tm1


def lambda_returns(
    r_t: Float[Array, "time"],
    discount_t: Float[Array, "time"],
    v_t: Float[Array, "time"],
    lambda_: Scalar | float,
) -> Float[Array, "time"]:
    """Gₜ₋₁ = rₜ + γₜ ((1 − λ) v(sₜ) + λ Gₜ), with G = v after the last step.

    >>> import jax.numpy as jnp
    >>> lambda_returns(jnp.ones(3), jnp.array([1.0, 1.0, 0.0]), jnp.zeros(3), 1.0)
    Array([3., 2., 1.], dtype=float32)
    """

    def backward(g, step):
        r, discount, v = step
        g = r + discount * ((1 - lambda_) * v + lambda_ * g)
        return g, g

    return jax.lax.scan(backward, jnp.asarray(v_t)[-1], (r_t, discount_t, v_t), reverse=True)[1]


def generalized_advantages(
    r_t: Float[Array, "time"],
    discount_t: Float[Array, "time"],
    v_t: Float[Array, "time"],
    v_tm1: Float[Array, "time"],
    last_t: Bool[Array, "time"],
    lambda_: Scalar | float,
) -> Float[Array, "time"]:
    """Aₜ₋₁ = δₜ + γₜ λ Aₜ, with A = 0 after a last step and after the end (Schulman et al. 2016).

    `v_t` is the value of the observation at the end of each step, and `v_tm1` of that at its start.
    At an episode's last step `v_t` is the value of its real final observation, whereas the next
    entry of `v_tm1` is that of the next episode's first one. Within an episode A + v is the
    λ-return.

    >>> import jax.numpy as jnp
    >>> one, zero, last = jnp.ones(3), jnp.zeros(3), jnp.array([False, True, False])
    >>> generalized_advantages(one, one, zero, zero, last, 1.0)
    Array([2., 1., 1.], dtype=float32)
    """

    def backward(advantage, step):
        delta, decay = step
        advantage = delta + decay * advantage
        return advantage, advantage

    delta = jax.vmap(td_error)(r_t, discount_t, v_t, v_tm1)
    decay = jnp.where(last_t, 0.0, discount_t * lambda_)
    return jax.lax.scan(backward, jnp.zeros_like(delta[-1]), (delta, decay), reverse=True)[1]
