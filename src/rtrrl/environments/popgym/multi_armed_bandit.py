"""Multi-armed bandit: find the arm that pays best and keep to it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.environments.base import Environment
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep


class MultiArmedBanditState(eqx.Module):
    """The probability with which each arm pays, and the number of steps."""

    probabilities: Float[Array, "arms"]
    time: Int[Array, ""]


class MultiArmedBandit(Environment):
    """Each arm pays with a probability that is uniform in [0, 1) and drawn in every episode.

    The observation is whether the last arm paid, one-hot: [1, 0] no (also at the start), [0, 1]
    yes. Action: an arm. With T = `steps`, the reward is 1/T if it pays, else −1/T; the episode is
    truncated after T steps. A random policy's mean return is 0.

    The observation does not say which arm was pulled: an agent needs its last action as an input.

    POPGym's levels: (arms, steps) = (10, 200), (20, 400) and (30, 600).

    **Raises** `RtrrlError` where there are fewer than 2 arms or the steps are below 1.

    Source: POPGym (Morad et al., ICLR 2023), as in the package popgym 1.0.7.
    """

    arms: int = eqx.field(static=True, default=10)
    steps: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        if self.arms < 2:
            raise RtrrlError(f"a bandit has at least 2 arms, not {self.arms}")
        if self.steps < 1:
            raise RtrrlError(f"a bandit's episode is at least 1 step, not {self.steps}")

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (2,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.arms)

    def reset(self, key: Key) -> tuple[MultiArmedBanditState, Float[Array, "2"]]:
        probabilities = jax.random.uniform(key, (self.arms,), jnp.float32)
        state = MultiArmedBanditState(probabilities, jnp.zeros((), jnp.int32))
        return state, jnp.array([1, 0], jnp.float32)

    def step(
        self, key: Key, state: MultiArmedBanditState, action: Int[Array, ""]
    ) -> tuple[MultiArmedBanditState, TimeStep]:
        paid = jax.random.uniform(key, (), jnp.float32) < state.probabilities[action]
        time = state.time + 1
        return MultiArmedBanditState(state.probabilities, time), TimeStep(
            observation=jnp.stack([~paid, paid]).astype(jnp.float32),
            reward=jnp.where(paid, 1 / self.steps, -1 / self.steps).astype(jnp.float32),
            discount=jnp.ones((), jnp.float32),
            last=time == self.steps,
        )
