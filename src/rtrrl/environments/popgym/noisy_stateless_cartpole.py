"""Cart and pole with noisy positions and no velocities in the observation."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym.stateless_cartpole import CartPoleState, StatelessCartPole
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep


class NoisyStatelessCartPole(Environment):
    """`StatelessCartPole` with Gaussian noise on the observation.

    N(0, σ²) is added to both x and θ, at the start and at every step, and the sum is clipped to the
    bounds of the observation space. All else is as without noise: the end of an episode depends on
    the true x and θ.

    POPGym's levels: σ = 0.1, 0.2 and 0.3, all of 200 steps.

    **Raises** `RtrrlError` where σ is negative or the steps are below 1.

    Source: POPGym (Morad et al., ICLR 2023), as `NoisyPositionOnlyCartPole` in popgym 1.0.7.
    """

    sigma: float = eqx.field(static=True, default=0.1)
    steps: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        if not self.sigma >= 0:
            raise RtrrlError(f"the standard deviation of noise is at least 0, not {self.sigma}")
        _ = self._cart  # raises now what would be raised later

    @property
    def observation_space(self) -> Box:
        return self._cart.observation_space

    @property
    def action_space(self) -> Discrete:
        return self._cart.action_space

    def reset(self, key: Key) -> tuple[CartPoleState, Float[Array, "2"]]:
        key_start, key_noise = jax.random.split(key)
        state, observation = self._cart.reset(key_start)
        return state, self._noisy(key_noise, observation)

    def step(
        self, key: Key, state: CartPoleState, action: Int[Array, ""]
    ) -> tuple[CartPoleState, TimeStep]:
        state, timestep = self._cart.step(key, state, action)
        observation = self._noisy(key, timestep.observation)
        return state, dataclasses.replace(timestep, observation=observation)

    @property
    def _cart(self) -> StatelessCartPole:
        return StatelessCartPole(self.steps)

    def _noisy(self, key: Key, observation: Float[Array, "2"]) -> Float[Array, "2"]:
        space = self.observation_space
        noise = self.sigma * jax.random.normal(key, (2,), jnp.float32)
        return jnp.clip(observation + noise, jnp.float32(space.low), jnp.float32(space.high))
