"""What actor-critics on a recurrent state share, however they learn."""

from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.agents.base import Action, Agent, world_of
from rtrrl.cells import Recipe
from rtrrl.environments import World
from rtrrl.normalizers import ObservationNormalizer, RewardNormalizer
from rtrrl.policies import Policy, policy_for
from rtrrl.readouts import Feedback, WithConstants
from rtrrl.types import Key, Scalar
from rtrrl.updates import Groups


class ActorCritic(Agent):
    """A recurrent cell whose features an actor and a critic read.

    The state of such an agent holds at least `parameters` (a `Groups`), `observation_statistics`
    and `reward_statistics`, from which `frozen` makes a player.
    """

    observations: eqx.AbstractVar[int]
    policy: eqx.AbstractVar[Policy]
    cell: eqx.AbstractVar[Recipe]
    feedback: eqx.AbstractVar[Feedback]
    observation_normalizer: eqx.AbstractVar[ObservationNormalizer]
    reward_normalizer: eqx.AbstractVar[RewardNormalizer]
    discount: eqx.AbstractVar[float]
    meta_input: eqx.AbstractVar[bool]

    @classmethod
    def _for(cls, task: str | World, settings: dict[str, Any]) -> Self:
        name, observations, actions = world_of(task)
        fitting = {"task": name, "observations": observations, "policy": policy_for(actions)}
        return cls(**fitting | settings)

    def newborn(self, cell_key: Key, actor_key: Key, critic_key: Key) -> Groups:
        """Random weights for cell, actor and critic."""
        inputs = self.observations + (self.policy.action_size + 1 if self.meta_input else 0)
        cell = self.cell(inputs, cell_key)
        read = self.policy.outputs - self.policy.constants
        actor = self.feedback.readout(cell.feature_size, read, 1.0, actor_key)
        if self.policy.constants:
            actor = WithConstants(actor, jnp.zeros(self.policy.constants))
        return Groups(
            actor=actor,
            critic=self.feedback.readout(cell.feature_size, 1, 1.0, critic_key),
            cell=cell,
        )

    def inputs(
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
        from rtrrl.agents.frozen import FrozenActorCritic  # which is made of an ActorCritic

        return FrozenActorCritic(
            task=self.task,
            agent=self,
            parameters=state.parameters,
            observation_statistics=state.observation_statistics,
            reward_statistics=state.reward_statistics,
            greedy=greedy,
        )
