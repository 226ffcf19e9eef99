"""An agent and an environment whose returns are known: the agent's age."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rtrrl.agents import Agent, Info
from rtrrl.environments import Box, Environment
from rtrrl.types import TimeStep


class CountingState(eqx.Module):
    """The state of a `CountingAgent`."""

    params: Array
    count: Array


class CountingAgent(Agent):
    """Its action is the number of steps that it has learned from, `cap` at most.

    Its TD error is 2, its entropy ½.
    """

    task: str = "PaidAction"
    cap: float | Array = 1e9

    def init(self, key):
        return CountingState(jnp.zeros(1), jnp.zeros(()))

    def begin(self, state, observation):
        return state, jnp.minimum(state.count, self.cap)

    def step(self, state, observation, reward, discount):
        state = CountingState(state.params, state.count + 1)
        info = Info(jnp.array(2.0), jnp.array(0.0), jnp.array(0.5))
        return state, jnp.minimum(state.count, self.cap), info

    def frozen(self, state, greedy=False):
        """The same action for ever, ½ more if greedy."""
        return ConstantAgent(jnp.minimum(state.count, self.cap) + (0.5 if greedy else 0.0))


class ConstantAgent(Agent):
    """Takes one action only."""

    action: Array
    task: str = "PaidAction"

    def init(self, key):
        return jnp.zeros(())

    def begin(self, state, observation):
        return state, self.action

    def step(self, state, observation, reward, discount):
        return state, self.action, Info(state, state, state)

    def frozen(self, state, greedy=False):
        return self


class PaidAction(Environment):
    """Episodes of three steps; the reward of the second is the action, of the others 0."""

    @property
    def observation_space(self):
        return Box.of(0, 1, (1,))

    @property
    def action_space(self):
        return Box.of(0, np.inf, ())

    def reset(self, key):
        return jnp.zeros((), jnp.int32), jnp.ones(1)

    def step(self, key, state, action):
        reward, last = jnp.where(state == 1, action, 0.0), state == 2
        return state + 1, TimeStep(jnp.ones(1), reward, jnp.where(last, 0.0, 1.0), last)
