"""What an agent carries from one step to the next."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.agents.base import Action
from rtrrl.cells import Cell
from rtrrl.learning.input_pipeline import InputStatistics
from rtrrl.learning.optimizers import ParameterGroups
from rtrrl.learning.policies import Policy
from rtrrl.types import Key, PyTree, Scalar
from rtrrl.utils.prng import inline_threefry


class Carry(eqx.Module):
    """One step of an agent: the cell's input and state, the action and its distribution."""

    x: Float[Array, "inputs"]
    """The cell's input."""
    h: Float[Array, "k hidden"]
    """The recurrent state after x."""
    outputs: Float[Array, "outputs"]
    """The actor's outputs, the parameters of the distribution of the action."""
    action: Action
    """The action, before it is clipped to its space."""
    noise: Float[Array, "noise"]
    """The noise of the previous action, given which this one was sampled."""


def initial_carry(cell: Cell, policy: Policy) -> Carry:
    """A placeholder of zeros before the first observation."""
    return Carry(
        jnp.zeros(cell.input_size),
        cell.initial_state(),
        jnp.zeros(policy.output_size),
        policy.no_action,
        policy.no_noise,
    )


class RTRRLState(eqx.Module):
    """The state of an RTRRL agent."""

    params: ParameterGroups
    """θ: an actor, a critic and a cell."""
    opt_state: PyTree
    """The optimizer's state."""
    traces: ParameterGroups
    """e."""
    influence: PyTree
    """Ĵ ≈ ∂h/∂θ_R, as the gradient rule carries it."""
    last: Carry
    """The last step, on whose consequence the next one learns."""
    value: Scalar
    """v, the value of the last step's state when it was reached."""
    average_reward: Scalar
    """r̄."""
    attenuation: Scalar
    """I = γ^t, t the time in the episode."""
    input_stats: InputStatistics
    """The statistics of observations and rewards."""
    key: Key
    """Constant; each step folds its number in."""
    steps: Int[Array, ""]
    """The number of actions taken."""


def step_key(state: Any) -> Key:
    """The random key of a step, from a state's `key` and `steps`."""
    # one hash a step instead of splitting and carrying keys
    return jax.random.fold_in(inline_threefry(state.key), state.steps)
