"""Cart and pole without velocities in the observation, with and without noise."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rtrrl.environments.base import Environment
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep

GRAVITY = 9.8
CART_MASS, POLE_MASS = 1.0, 0.1
HALF_POLE = 0.5
FORCE = 10.0
INTERVAL = 0.02
MAX_POSITION, MAX_ANGLE = 2.4, 12 * 2 * np.pi / 360


class CartPoleState(eqx.Module):
    """[x, ẋ, θ, θ̇], and the number of steps."""

    physics: Float[Array, "4"]
    time: Int[Array, ""]


class StatelessCartPole(Environment):
    """Balance a pole on a cart that is pushed left (0) or right (1) with 10 N every 20 ms.

    The observation is [x, θ], the position and the angle without their velocities, in a space of
    twice the range of an episode. The reward is 1/T at every step, the last included, with
    T = `steps`. The episode terminates where |x| > 2.4 or |θ| > 12°, and is truncated after T
    steps. All four numbers of the state start uniform in ±0.05. The best return is 1.

    With masses M = 1 and m = 0.1, half a pole's length l = 0.5 and the force F:

        u = (F + m l θ̇² sin θ) / (M + m)
        θ̈ = (g sin θ − u cos θ) / (l (4/3 − m cos² θ / (M + m)))
        ẍ = u − m l θ̈ cos θ / (M + m)

    and all four numbers move by 20 ms times their derivatives at the old state (Euler).

    POPGym's levels: 200, 400 and 600 steps.

    **Raises** `RtrrlError` where the steps are below 1.

    Source: Barto, Sutton and Anderson 1983; POPGym (Morad et al., ICLR 2023), as
    `PositionOnlyCartPole` in the package popgym 1.0.7.
    """

    steps: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        if self.steps < 1:
            raise RtrrlError(f"an episode of cart and pole is at least 1 step, not {self.steps}")

    @property
    def observation_space(self) -> Box:
        high = [2 * MAX_POSITION, 2 * MAX_ANGLE]
        return Box.of(np.negative(high), high, (2,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(2)

    def reset(self, key: Key) -> tuple[CartPoleState, Float[Array, "2"]]:
        physics = jax.random.uniform(key, (4,), jnp.float32, -0.05, 0.05)
        return CartPoleState(physics, jnp.zeros((), jnp.int32)), _observe(physics)

    def step(
        self, key: Key, state: CartPoleState, action: Int[Array, ""]
    ) -> tuple[CartPoleState, TimeStep]:
        force = jnp.where(action == 1, FORCE, -FORCE)
        physics = state.physics + INTERVAL * _derivative(state.physics, force)
        observation, time = _observe(physics), state.time + 1
        terminated = (
            jnp.abs(observation) > jnp.array([MAX_POSITION, MAX_ANGLE], jnp.float32)
        ).any()
        return CartPoleState(physics, time), TimeStep(
            observation=observation,
            reward=jnp.float32(1 / self.steps),
            discount=1 - terminated.astype(jnp.float32),
            last=terminated | (time == self.steps),
        )


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


def _observe(physics: Float[Array, "4"]) -> Float[Array, "2"]:
    return jnp.stack([physics[0], physics[2]])


def _derivative(physics: Float[Array, "4"], force: Float[Array, ""]) -> Float[Array, "4"]:
    _, v, angle, spin = physics
    sin, cos = jnp.sin(angle), jnp.cos(angle)
    mass = CART_MASS + POLE_MASS
    push = (force + POLE_MASS * HALF_POLE * spin**2 * sin) / mass
    inertia = HALF_POLE * (4 / 3 - POLE_MASS * cos**2 / mass)
    spin_rate = (GRAVITY * sin - cos * push) / inertia
    acceleration = push - POLE_MASS * HALF_POLE * spin_rate * cos / mass
    return jnp.stack([v, acceleration, spin, spin_rate]).astype(physics.dtype)
