"""What an RTRRL agent carries from one step to the next."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.agents.base import Action
from rtrrl.cells import Cell
from rtrrl.policies import Policy
from rtrrl.types import Key, PyTree, Scalar
from rtrrl.updates import Groups


class Moment(eqx.Module):
    """The agent's present: what it read, what it remembers, what it did."""

    x: Float[Array, "inputs"]
    h: Float[Array, "k hidden"]
    y: Float[Array, "outputs"]
    """The actor's outputs, of which the action was drawn."""
    action: Action
    noise: Float[Array, "noise"]
    """What of the draw before this one went on from (see `Policy.sample_after`)."""


def at_rest(cell: Cell, policy: Policy) -> Moment:
    """Before the first observation."""
    return Moment(
        jnp.zeros(cell.inputs),
        cell.initial_state(),
        jnp.zeros(policy.outputs),
        policy.no_action,
        policy.no_noise,
    )


class RTRRLState(eqx.Module):
    """Everything that changes while an agent lives."""

    parameters: Groups
    optimizer: PyTree
    traces: Groups
    influence: PyTree
    now: Moment
    value: Scalar
    average_reward: Scalar
    attenuation: Scalar
    observation_statistics: PyTree
    reward_statistics: PyTree
    intrinsic_statistics: PyTree
    key: Key
    steps: Int[Array, ""]
