"""Living on in a model of the world, and what a policy can learn from that."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from jaxtyping import Key as Keys

from rtrrl.agents.world_model import LatentState, WorldModel
from rtrrl.learning.policies import Policy
from rtrrl.learning.readouts import Readout
from rtrrl.learning.returns import lambda_returns
from rtrrl.types import Key, PyTree, Scalar


class ImaginedTrajectory(eqx.Module):
    """Imagined moments, in time."""

    features: Float[Array, "time features"]
    score: Float[Array, "time outputs"]
    """∇_y log π of the action that was taken in the moment."""
    entropy_gradient: Float[Array, "time outputs"]
    weight: Float[Array, "time"]
    """w = Π γ d̂: the probability that the moment comes at all, discounted."""
    advantage: Float[Array, "time"]
    """G^λ − v̂."""


def imagine(
    model: WorldModel,
    actor: Readout,
    policy: Policy,
    start: LatentState,
    keys: Keys[Array, "time"],
    discount: Scalar | float,
    lambda_: Scalar | float,
) -> ImaginedTrajectory:
    """As many imagined steps of the policy as there are keys.

    γ d̂ takes the place of γ, d̂ the foreseen probability that the episode goes on: a terminated
    future earns nothing, in the λ-returns as in the weights. After the last step the critic says
    what follows.
    """

    def turn(now: LatentState, key: Key) -> tuple[LatentState, tuple]:
        features = model.features(now)
        y = actor(features)
        action = policy.sample(key, y)
        ahead, outcome = model.step(now, action)
        score, entropy_gradient = policy.score(y, action), policy.entropy_gradient(y)
        shown = features, score, entropy_gradient, outcome, model.value(now), model.value(ahead)
        return ahead, shown

    _, (features, score, entropy_gradient, outcome, v_tm1, v_t) = jax.lax.scan(turn, start, keys)
    discounts = discount * outcome.discount
    returns = lambda_returns(outcome.reward, discounts, v_t, lambda_)
    weight = jnp.cumprod(jnp.concatenate([jnp.ones_like(discounts[:1]), discounts[:-1]]))
    return ImaginedTrajectory(features, score, entropy_gradient, weight, returns - v_tm1)


def improvement(
    dream: ImaginedTrajectory, actor: Readout, entropy_coefficient: Scalar | float
) -> PyTree:
    """Σₖ wₖ (Aₖ ∇log π + η_H ∇H), the ascent direction of the actor's parameters."""
    y_bar = dream.advantage[:, None] * dream.score + entropy_coefficient * dream.entropy_gradient
    each = jax.vmap(actor.gradient)(dream.features, dream.weight[:, None] * y_bar)
    return jax.tree.map(lambda g: jnp.sum(g, axis=0), each)
