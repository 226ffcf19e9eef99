"""The agent that every score has to be compared with."""

from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rtrrl.agents.base import Action, Agent, Info, Observation, world_of
from rtrrl.environments import AbstractEnvironment
from rtrrl.learning.policies import Policy, policy_for
from rtrrl.types import Key, Scalar


class RandomState(eqx.Module):
    """A stream of random numbers."""

    key: Key
    steps: Int[Array, ""]


class Random(Agent):
    """Acts by the policy whose outputs are all zero: uniform over discrete actions.

    Over a box it is the Gaussian at the middle whose σ is half the width.
    """

    task: str = eqx.field(static=True)
    policy: Policy

    @classmethod
    def uniform(cls, task: str | AbstractEnvironment, **changes: Any) -> Self:
        """Chance, for a task."""
        name, _, actions = world_of(task)
        return cls(task=name, policy=policy_for(actions), **changes)

    def init(self, key: Key) -> RandomState:
        """A newborn."""
        return RandomState(key, jnp.zeros((), jnp.int32))

    def begin(self, state: RandomState, observation: Observation) -> tuple[RandomState, Action]:
        """The first action."""
        key = jax.random.fold_in(state.key, state.steps)
        action = self.policy.sample(key, jnp.zeros(self.policy.output_size))
        return RandomState(state.key, state.steps + 1), self.policy.admissible(action)

    def step(
        self, state: RandomState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[RandomState, Action, Info]:
        """The next action; there is nothing to learn."""
        state, action = self.begin(state, observation)
        zero = jnp.zeros(())
        return (
            state,
            action,
            Info(zero, zero, self.policy.entropy(jnp.zeros(self.policy.output_size))),
        )

    def frozen(self, state: RandomState, greedy: bool = False) -> Self:
        """Itself."""
        return self
