"""The common part of actor-critics with a recurrent cell."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.agents.base import Action, Agent, Info, Observation, environment_spec
from rtrrl.agents.parts import PARTS, with_parts
from rtrrl.agents.state import Carry, initial_carry, step_key
from rtrrl.cells import Cell, CellConfig
from rtrrl.environments import AbstractEnvironment
from rtrrl.errors import UnknownNameError
from rtrrl.gradients import GradientRule
from rtrrl.gradients.checks import check_cell
from rtrrl.learning.input_pipeline import InputPipeline, InputStatistics
from rtrrl.learning.optimizers import ParameterGroups
from rtrrl.learning.policies import Policy, policy_for
from rtrrl.learning.readouts import Features, Feedback, WithConstants
from rtrrl.learning.returns import td_error
from rtrrl.types import Key, PyTree, Scalar, parameters
from rtrrl.utils.arrays import REAL, as_real, check_array


class ActorCritic(Agent):
    """A recurrent cell with an actor and a critic as readouts of its features.

    The state of such an agent has at least the fields `params`, `last`, `input_stats`, `key` and
    `steps` of `RTRRLState`.
    """

    observation_size: eqx.AbstractVar[int]
    policy: eqx.AbstractVar[Policy]
    cell: eqx.AbstractVar[CellConfig]
    feedback: eqx.AbstractVar[Feedback]
    inputs: eqx.AbstractVar[InputPipeline]
    gamma: eqx.AbstractVar[float]
    meta_input: eqx.AbstractVar[bool]

    def __check_init__(self) -> None:
        super().__check_init__()  # of the types first
        check_cell(self.cell, self.input_size, getattr(self, "rule", None))

    @property
    def input_size(self) -> int:
        """The length of the cell's input: the observation, and maybe last action and reward."""
        return self.observation_size + (self.policy.action_size + 1) * self.meta_input

    @classmethod
    def _make(
        cls,
        environment: str | AbstractEnvironment,
        settings: Mapping[str, Any],
        changes: Mapping[str, Any],
        explore: bool = False,
    ) -> Self:
        """The agent for an environment with `settings`, as far as `changes` do not override them.

        Parts may be given by name, as in `cell="gru"`, and those of `inputs` as `observations`,
        `rewards` and `bonus`.
        """
        name, observation_size, actions = environment_spec(environment)
        policy = policy_for(actions)
        fields = {
            "task": name,
            "observation_size": observation_size,
            "policy": policy.with_exploration() if explore else policy,
        }
        flags = {part.flag for part in PARTS}
        known = {field.name for field in dataclasses.fields(cls)} | flags
        for setting in changes:
            if setting not in known:
                raise UnknownNameError(f"setting of {cls.__name__}", setting, known)
        others = {field: value for field, value in changes.items() if field not in flags}
        return with_parts(cls(**{**fields, **settings, **others}), changes)

    def init_params(self, cell_key: Key, actor_key: Key, critic_key: Key) -> ParameterGroups:
        """Random parameters of cell, actor and critic."""
        cell = self.cell(self.input_size, cell_key)
        output_size = self.policy.output_size - self.policy.num_constants
        actor = self.feedback.readout(cell.feature_size, output_size, 1.0, actor_key)
        if self.policy.num_constants:
            actor = WithConstants(actor, jnp.zeros(self.policy.num_constants))
        critic = self.feedback.readout(cell.feature_size, 1, 1.0, critic_key)
        return ParameterGroups(actor, critic, cell)

    def observed(self, observation: Observation) -> Float[Array, "observations"]:
        """An observation as floats.

        **Raises** `RtrrlError` where its shape is not that of the agent's environment.
        """
        expected = f"numbers of shape ({self.observation_size},), as in {self.task}"
        check_array("the observation", observation, (self.observation_size,), REAL, expected)
        return as_real(observation)

    def received(
        self, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[Float[Array, "observations"], Scalar, Scalar]:
        """The consequence of an action as floats.

        **Raises** `RtrrlError` as `observed`, and where reward or discount is not one number.
        """
        check_array("the reward", reward, (), REAL, "one number")
        check_array("the discount", discount, (), REAL, "one number")
        return self.observed(observation), as_real(reward), as_real(discount)

    def cell_input(
        self,
        observation: Float[Array, "observations"],
        action: Action | None = None,
        reward: Scalar | None = None,
    ) -> Float[Array, "inputs"]:
        """x = [o, a, r], zeros for action and reward at the start of an episode."""
        if not self.meta_input:
            return observation
        if action is None or reward is None:
            return jnp.concatenate([observation, jnp.zeros(self.policy.action_size + 1)])
        return jnp.concatenate([observation, self.policy.encode(action), jnp.reshape(reward, 1)])

    def act(
        self, state: Any, x: Array, h: Array, features: Features, noise: Array
    ) -> tuple[Any, Action]:
        """a ~ π(· | h): the state with this as its last step, and the action to take."""
        outputs = state.params.actor(features)
        action = self.policy.sample_after(step_key(state), outputs, noise)
        last = Carry(x, h, outputs, action, noise)
        state = dataclasses.replace(state, last=last, steps=state.steps + 1)
        return state, self.policy.admissible(action)

    def frozen(self, state: Any, greedy: bool = False) -> Agent:
        return FrozenActorCritic(self.task, self, state.params, state.input_stats, greedy)


def apply_updates(params: ParameterGroups, updates: ParameterGroups) -> ParameterGroups:
    """θ + Δθ, with the cell's parameters projected to the nearest admissible ones."""
    params = eqx.apply_updates(params, updates)
    return dataclasses.replace(params, cell=params.cell.project())


def features_and_gradient(
    rule: GradientRule, cell: Cell, influence: PyTree, last: Carry
) -> tuple[Features, Callable[[Features], PyTree]]:
    """The features f of the last step's state, and the map from f̄ to the gradient of the cell.

    It is Ĵᵀ h̄ with h̄ = f̄ᵀ ∂f/∂h, and the immediate gradient f̄ᵀ ∂f/∂θ for parameters that the
    features alone depend on.
    """
    features, vjp = jax.vjp(
        lambda learned, h: eqx.combine(learned, cell).features(h, last.x), parameters(cell), last.h
    )

    def gradient(features_bar: Features) -> PyTree:
        immediate, h_bar = vjp(features_bar)
        return eqx.combine(rule.pullback(cell, influence, h_bar), immediate)

    return features, gradient


class FrozenState(eqx.Module):
    """The state of a frozen agent."""

    last: Carry
    key: Key
    steps: Int[Array, ""]


class FrozenActorCritic(Agent):
    """An actor-critic with constant parameters and statistics."""

    task: str = eqx.field(static=True)
    agent: ActorCritic
    params: ParameterGroups
    input_stats: InputStatistics
    greedy: bool = eqx.field(static=True)

    @property
    def observation_size(self) -> int:
        """That of the agent."""
        return self.agent.observation_size

    @property
    def policy(self) -> Policy:
        """That of the agent."""
        return self.agent.policy

    def init(self, key: Key) -> FrozenState:
        last = initial_carry(self.params.cell, self.agent.policy)
        return FrozenState(last, key, jnp.zeros((), jnp.int32))

    def begin(self, state: FrozenState, observation: Observation) -> tuple[FrozenState, Action]:
        agent = self.agent
        observation = agent.observed(observation)
        x = agent.cell_input(agent.inputs.observations(self.input_stats.observations, observation))
        state = self._act(state, self.params.cell.initial_state(), x, agent.policy.no_noise)
        return state, agent.policy.admissible(state.last.action)

    def step(
        self, state: FrozenState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[FrozenState, Action, Info]:
        """Acts; the TD error is reported only."""
        agent, last = self.agent, state.last
        observation, reward, discount = agent.received(observation, reward, discount)
        observation = agent.inputs.observations(self.input_stats.observations, observation)
        reward = agent.inputs.rewards(self.input_stats.rewards, reward)
        x = agent.cell_input(observation, last.action, reward)
        noise = agent.policy.noise(last.outputs, last.action)
        state = self._act(state, last.h, x, noise)
        value = self._value(state.last)
        delta = td_error(reward, agent.gamma * discount, value, self._value(last))
        action = agent.policy.admissible(state.last.action)
        return state, action, Info(delta, value, agent.policy.entropy(state.last.outputs))

    def frozen(self, state: FrozenState, greedy: bool = False) -> "FrozenActorCritic":
        return dataclasses.replace(self, greedy=greedy)

    def _value(self, carry: Carry) -> Scalar:
        return self.params.critic(self.params.cell.features(carry.h, carry.x))[0]

    def _act(self, state: FrozenState, h: Array, x: Array, noise: Array) -> FrozenState:
        h = self.params.cell(h, x)
        outputs = self.params.actor(self.params.cell.features(h, x))
        if self.greedy:
            action = self.agent.policy.mode(outputs)
        else:
            action = self.agent.policy.sample_after(step_key(state), outputs, noise)
        return FrozenState(Carry(x, h, outputs, action, noise), state.key, state.steps + 1)
