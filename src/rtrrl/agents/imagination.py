"""Trajectories of a policy in a world model, and the policy gradient of their returns."""

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
    """What a policy gradient needs of each step of an imagined trajectory."""

    features: Float[Array, "time features"]
    score: Float[Array, "time outputs"]
    """∇_y log π of the action."""
    entropy_gradient: Float[Array, "time outputs"]
    """∇_y H."""
    weight: Float[Array, "time"]
    """w = Π γ d̂: the discounted probability that the step is reached."""
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
    """A trajectory of the policy in the model, of as many steps as there are keys.

    Its discounts are γ d̂, with d̂ the predicted probability that the episode continues, in the
    λ-returns as in the weights: nothing counts after a predicted end. The last step is bootstrapped
    from the critic.
    """

    def step(state: LatentState, key: Key) -> tuple[LatentState, tuple]:
        features = model.features(state)
        y = actor(features)
        action = policy.sample(key, y)
        next_state, prediction = model.step(state, action)
        score, entropy_gradient = policy.score(y, action), policy.entropy_gradient(y)
        values = model.value(state), model.value(next_state)
        return next_state, (features, score, entropy_gradient, prediction, values)

    _, (features, score, entropy_gradient, prediction, (v_tm1, v_t)) = jax.lax.scan(
        step, start, keys
    )
    discounts = discount * prediction.discount
    returns = lambda_returns(prediction.reward, discounts, v_t, lambda_)
    weight = jnp.cumprod(jnp.concatenate([jnp.ones_like(discounts[:1]), discounts[:-1]]))
    return ImaginedTrajectory(features, score, entropy_gradient, weight, returns - v_tm1)


def policy_gradient(
    trajectory: ImaginedTrajectory, actor: Readout, entropy_coefficient: Scalar | float
) -> PyTree:
    """Σₖ wₖ (Aₖ ∇log π + η_H ∇H), the ascent direction of the actor's parameters."""
    y_bar = (
        trajectory.advantage[:, None] * trajectory.score
        + entropy_coefficient * trajectory.entropy_gradient
    )
    gradients = jax.vmap(actor.gradient)(trajectory.features, trajectory.weight[:, None] * y_bar)
    return jax.tree.map(lambda g: jnp.sum(g, axis=0), gradients)
