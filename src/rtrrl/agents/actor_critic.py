"""What actor-critics on a recurrent state share, however they learn."""

import dataclasses
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.agents.base import Action, Agent, Info, Observation, world_of
from rtrrl.agents.state import Carry, initial_carry
from rtrrl.cells import CellConfig
from rtrrl.environments import AbstractEnvironment
from rtrrl.learning.normalizers import ObservationNormalizer, RewardNormalizer
from rtrrl.learning.optimizers import ParameterGroups
from rtrrl.learning.policies import Policy, policy_for
from rtrrl.learning.readouts import Feedback, WithConstants
from rtrrl.learning.returns import td_error
from rtrrl.types import Key, PyTree, Scalar
from rtrrl.utils.prng import inline_threefry


class ActorCritic(Agent):
    """A recurrent cell whose features an actor and a critic read.

    The state of such an agent holds at least `parameters` (a `Groups`), `observation_statistics`
    and `reward_statistics`, from which `frozen` makes a player.
    """

    observation_size: eqx.AbstractVar[int]
    policy: eqx.AbstractVar[Policy]
    cell: eqx.AbstractVar[CellConfig]
    feedback: eqx.AbstractVar[Feedback]
    observation_normalizer: eqx.AbstractVar[ObservationNormalizer]
    reward_normalizer: eqx.AbstractVar[RewardNormalizer]
    gamma: eqx.AbstractVar[float]
    meta_input: eqx.AbstractVar[bool]

    @classmethod
    def _for(cls, task: str | AbstractEnvironment, settings: dict[str, Any]) -> Self:
        name, observations, actions = world_of(task)
        fitting = {"task": name, "observation_size": observations, "policy": policy_for(actions)}
        return cls(**fitting | settings)

    def newborn(self, cell_key: Key, actor_key: Key, critic_key: Key) -> ParameterGroups:
        """Random weights for cell, actor and critic."""
        inputs = self.observation_size + (self.policy.action_size + 1 if self.meta_input else 0)
        cell = self.cell(inputs, cell_key)
        read = self.policy.output_size - self.policy.num_constants
        actor = self.feedback.readout(cell.feature_size, read, 1.0, actor_key)
        if self.policy.num_constants:
            actor = WithConstants(actor, jnp.zeros(self.policy.num_constants))
        return ParameterGroups(
            actor=actor,
            critic=self.feedback.readout(cell.feature_size, 1, 1.0, critic_key),
            cell=cell,
        )

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

    def frozen(self, state: Any, greedy: bool = False) -> Agent:
        """This agent as it is now, acting without learning."""
        return FrozenActorCritic(
            task=self.task,
            agent=self,
            parameters=state.parameters,
            observation_statistics=state.observation_statistics,
            reward_statistics=state.reward_statistics,
            greedy=greedy,
        )


class FrozenState(eqx.Module):
    """All that changes while a frozen agent acts."""

    now: Carry
    key: Key
    steps: Int[Array, ""]


class FrozenActorCritic(Agent):
    """An actor-critic whose parameters and statistics stand still."""

    task: str = eqx.field(static=True)
    agent: ActorCritic
    parameters: ParameterGroups
    observation_statistics: PyTree
    reward_statistics: PyTree
    greedy: bool = eqx.field(static=True)

    def init(self, key: Key) -> FrozenState:
        """At rest."""
        cell = self.parameters.cell
        return FrozenState(initial_carry(cell, self.agent.policy), key, jnp.zeros((), jnp.int32))

    def begin(self, state: FrozenState, observation: Observation) -> tuple[FrozenState, Action]:
        """An episode starts."""
        seen = self.agent.observation_normalizer(self.observation_statistics, observation)
        rest, noise = self.parameters.cell.initial_state(), self.agent.policy.no_noise
        state = self._act(state, rest, self.agent.cell_input(seen), noise)
        return state, self.agent.policy.admissible(state.now.action)

    def step(
        self, state: FrozenState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[FrozenState, Action, Info]:
        """Acts. The TD error is reported, not learnt from."""
        agent, before = self.agent, state.now
        observation = agent.observation_normalizer(self.observation_statistics, observation)
        reward = agent.reward_normalizer(self.reward_statistics, reward)
        x = agent.cell_input(observation, before.action, reward)
        v_tm1 = self._value(before)
        noise = agent.policy.noise(before.y, before.action)
        state = self._act(state, before.h, x, noise)
        value = self._value(state.now)
        delta = td_error(reward, agent.gamma * discount, value, v_tm1)
        action = agent.policy.admissible(state.now.action)
        return state, action, Info(delta, value, agent.policy.entropy(state.now.y))

    def frozen(self, state: FrozenState, greedy: bool = False) -> "FrozenActorCritic":
        """Itself."""
        del state
        return dataclasses.replace(self, greedy=greedy)

    def _value(self, now: Carry) -> Scalar:
        return self.parameters.critic(self.parameters.cell.features(now.h, now.x))[0]

    def _act(self, state: FrozenState, h: Array, x: Array, noise: Array) -> FrozenState:
        policy, cell = self.agent.policy, self.parameters.cell
        h = cell(h, x)
        y = self.parameters.actor(cell.features(h, x))
        if self.greedy:
            action = policy.mode(y)
        else:
            key = jax.random.fold_in(inline_threefry(state.key), state.steps)
            action = policy.sample_after(key, y, noise)
        return FrozenState(Carry(x, h, y, action, noise), state.key, state.steps + 1)
