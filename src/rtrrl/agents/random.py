"""A random agent, the baseline that scores are compared with."""

from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rtrrl.agents.base import Action, Agent, Info, Observation, environment_spec
from rtrrl.environments import AbstractEnvironment
from rtrrl.learning.policies import Policy, policy_for
from rtrrl.types import Key, Scalar


class RandomState(eqx.Module):
    """The state of a random agent."""

    key: Key
    steps: Int[Array, ""]
    """The number of actions taken."""


class Random(Agent):
    """Acts by the policy whose outputs are all zero: uniform over discrete actions.

    Over a box it is the Gaussian at the centre whose σ is half the width.
    """

    task: str = eqx.field(static=True)
    """The environment's name."""
    policy: Policy
    """The distribution over actions, at outputs of zero."""

    @classmethod
    def uniform(cls, environment: str | AbstractEnvironment, **changes: Any) -> Self:
        """The random agent for an environment."""
        name, _, actions = environment_spec(environment)
        return cls(**{"task": name, "policy": policy_for(actions), **changes})

    def init(self, key: Key) -> RandomState:
        return RandomState(key, jnp.zeros((), jnp.int32))

    def begin(self, state: RandomState, observation: Observation) -> tuple[RandomState, Action]:
        key = jax.random.fold_in(state.key, state.steps)
        action = self.policy.sample(key, jnp.zeros(self.policy.output_size))
        return RandomState(state.key, state.steps + 1), self.policy.admissible(action)

    def step(
        self, state: RandomState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[RandomState, Action, Info]:
        state, action = self.begin(state, observation)
        zero, entropy = jnp.zeros(()), self.policy.entropy(jnp.zeros(self.policy.output_size))
        return state, action, Info(zero, zero, entropy)

    def frozen(self, state: RandomState, greedy: bool = False) -> Self:
        return self
