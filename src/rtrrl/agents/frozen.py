"""An actor-critic that acts and no longer learns: what evaluation plays with."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rtrrl.agents.actor_critic import ActorCritic
from rtrrl.agents.base import Action, Agent, Info, Observation
from rtrrl.agents.state import Moment, at_rest
from rtrrl.randomness import written_out
from rtrrl.returns import td_error
from rtrrl.types import Key, PyTree, Scalar
from rtrrl.updates import Groups


class Play(eqx.Module):
    """All that changes while a frozen agent acts."""

    now: Moment
    key: Key
    steps: Int[Array, ""]


class FrozenActorCritic(Agent):
    """An actor-critic whose parameters and statistics stand still."""

    task: str = eqx.field(static=True)
    agent: ActorCritic
    parameters: Groups
    observation_statistics: PyTree
    reward_statistics: PyTree
    greedy: bool = eqx.field(static=True)

    def init(self, key: Key) -> Play:
        """At rest."""
        cell = self.parameters.cell
        return Play(at_rest(cell, self.agent.policy), key, jnp.zeros((), jnp.int32))

    def begin(self, state: Play, observation: Observation) -> tuple[Play, Action]:
        """An episode starts."""
        seen = self.agent.observation_normalizer(self.observation_statistics, observation)
        rest, noise = self.parameters.cell.initial_state(), self.agent.policy.no_noise
        state = self._act(state, rest, self.agent.inputs(seen), noise)
        return state, self.agent.policy.admissible(state.now.action)

    def step(
        self, state: Play, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[Play, Action, Info]:
        """Acts. The TD error is reported, not learnt from."""
        agent, before = self.agent, state.now
        observation = agent.observation_normalizer(self.observation_statistics, observation)
        reward = agent.reward_normalizer(self.reward_statistics, reward)
        x = agent.inputs(observation, before.action, reward)
        v_tm1 = self._value(before)
        noise = agent.policy.noise(before.y, before.action)
        state = self._act(state, before.h, x, noise)
        value = self._value(state.now)
        delta = td_error(reward, agent.discount * discount, value, v_tm1)
        action = agent.policy.admissible(state.now.action)
        return state, action, Info(delta, value, agent.policy.entropy(state.now.y))

    def frozen(self, state: Play, greedy: bool = False) -> "FrozenActorCritic":
        """Itself."""
        del state
        return dataclasses.replace(self, greedy=greedy)

    def _value(self, now: Moment) -> Scalar:
        return self.parameters.critic(self.parameters.cell.features(now.h, now.x))[0]

    def _act(self, state: Play, h: Array, x: Array, noise: Array) -> Play:
        policy, cell = self.agent.policy, self.parameters.cell
        h = cell(h, x)
        y = self.parameters.actor(cell.features(h, x))
        if self.greedy:
            action = policy.mode(y)
        else:
            key = jax.random.fold_in(written_out(state.key), state.steps)
            action = policy.sample_after(key, y, noise)
        return Play(Moment(x, h, y, action, noise), state.key, state.steps + 1)
