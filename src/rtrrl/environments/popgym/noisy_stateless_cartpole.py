"""Cart and pole whose velocities are not seen, and whose positions are seen through noise."""

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
    """`StatelessCartPole` with Gaussian noise on all that is seen.

    To both x and θ, at every step and at the start, N(0, σ²) is added, and the sum is clipped to
    the bounds of the observation space. All else is as without noise: an episode ends where the
    true x or θ says so.

    POPGym's levels: σ = 0.1, 0.2 and 0.3, all of 200 steps.

    **Raises** `RtrrlError` where σ is negative or the steps are below 1.

    Source: Morad et al., "POPGym: Benchmarking Partially Observable Reinforcement Learning", ICLR
    2023; behaviour of `NoisyPositionOnlyCartPole` in the package popgym 1.0.7.
    """

    sigma: float = eqx.field(static=True, default=0.1)
    steps: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        if not self.sigma >= 0:
            raise RtrrlError(f"the standard deviation of noise is at least 0, not {self.sigma}")
        _ = self._cart  # raises now what would be raised later

    @property
    def observation_space(self) -> Box:
        """[x, θ], up to twice where the episode terminates."""
        return self._cart.observation_space

    @property
    def action_space(self) -> Discrete:
        """Left, right."""
        return self._cart.action_space

    def reset(self, key: Key) -> tuple[CartPoleState, Float[Array, "2"]]:
        """Near the middle, nearly upright and nearly at rest."""
        key_start, key_noise = jax.random.split(key)
        state, seen = self._cart.reset(key_start)
        return state, self._blurred(key_noise, seen)

    def step(
        self, key: Key, state: CartPoleState, action: Int[Array, ""]
    ) -> tuple[CartPoleState, TimeStep]:
        """One push, seen through noise that is drawn from `key`."""
        state, told = self._cart.step(key, state, action)
        seen = self._blurred(key, told.observation)
        return state, TimeStep(seen, told.reward, told.discount, told.last)

    @property
    def _cart(self) -> StatelessCartPole:
        return StatelessCartPole(self.steps)

    def _blurred(self, key: Key, seen: Float[Array, "2"]) -> Float[Array, "2"]:
        space = self.observation_space
        noise = self.sigma * jax.random.normal(key, (2,), jnp.float32)
        return jnp.clip(seen + noise, jnp.float32(space.low), jnp.float32(space.high))
