"""What an RTRRL agent carries from one step to the next."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.agents.base import Action
from rtrrl.cells import Cell
from rtrrl.learning.optimizers import ParameterGroups
from rtrrl.learning.policies import Policy
from rtrrl.types import Key, PyTree, Scalar


class Carry(eqx.Module):
    """The agent's present: what it read, what it remembers, what it did."""

    x: Float[Array, "inputs"]
    h: Float[Array, "k hidden"]
    y: Float[Array, "outputs"]
    """The actor's outputs, of which the action was drawn."""
    action: Action
    noise: Float[Array, "noise"]
    """What of the draw before this one went on from (see `Policy.sample_after`)."""


def initial_carry(cell: Cell, policy: Policy) -> Carry:
    """Before the first observation."""
    return Carry(
        jnp.zeros(cell.input_size),
        cell.initial_state(),
        jnp.zeros(policy.output_size),
        policy.no_action,
        policy.no_noise,
    )


class RTRRLState(eqx.Module):
    """Everything that changes while an agent lives."""

    parameters: ParameterGroups
    optimizer: PyTree
    traces: ParameterGroups
    influence: PyTree
    now: Carry
    value: Scalar
    average_reward: Scalar
    attenuation: Scalar
    observation_statistics: PyTree
    reward_statistics: PyTree
    bonus_statistics: PyTree
    key: Key
    steps: Int[Array, ""]
