"""Wrappers: environments that change one thing about another environment."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from rtrrl.environments.base import Environment
from rtrrl.environments.spaces import Box, Discrete, MultiDiscrete, Product, Space
from rtrrl.errors import RtrrlError, UnsupportedSpaceError
from rtrrl.types import Key, TimeStep


class Wrapper(Environment):
    """The base class of wrappers; what a subclass does not override is that of `env`.

    The name is that of the class and of what is wrapped, as in `ScaledReward(TMaze-3)`: a wrapped
    environment is a different one.
    """

    env: eqx.AbstractVar[Environment]

    @property
    def name(self) -> str:
        return f"{type(self).__name__}({self.env.name})"

    @property
    def observation_space(self) -> Space:
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        return self.env.action_space

    def reset(self, key: Key) -> tuple[Any, Shaped[Array, "..."]]:
        return self.env.reset(key)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        return self.env.step(key, state, action)


class ObservationWrapper(Wrapper):
    """The base class of wrappers that replace every observation by a function of it."""

    @abc.abstractmethod
    def observation(self, observation: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """The observation of the wrapped environment from that of `env`."""

    def reset(self, key: Key) -> tuple[Any, Shaped[Array, "..."]]:
        state, observation = self.env.reset(key)
        return state, self.observation(observation)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        state, timestep = self.env.step(key, state, action)
        observation = self.observation(timestep.observation)
        return state, dataclasses.replace(timestep, observation=observation)


class Named(Wrapper):
    """The same environment under another name."""

    env: Environment
    title: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        return self.title


class Masked(ObservationWrapper):
    """Only the entries `keep` of the observation vector, in that order; the rest is hidden.

    **Raises** `RtrrlError` where an index is out of range or there is none, `UnsupportedSpaceError`
    where the observation is not a vector.
    """

    env: Environment
    keep: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self):
        space = self.env.observation_space
        if not (isinstance(space, Box) and len(space.shape) == 1):
            raise UnsupportedSpaceError(f"cannot mask {space}: wrap it in Flattened first")
        if outside := [i for i in self.keep if not 0 <= i < space.size]:
            raise RtrrlError(
                f"cannot keep {outside} of '{self.env.name}': its observation has entries 0 to "
                f"{space.size - 1}"
            )
        if not self.keep:
            raise RtrrlError(f"the mask of '{self.env.name}' must keep at least one entry")

    @property
    def observation_space(self) -> Space:
        space = self.env.observation_space
        assert isinstance(space, Box)
        low, high = (tuple(bound[i] for i in self.keep) for bound in (space.low, space.high))
        return Box((len(self.keep),), low, high)

    def observation(self, observation: Shaped[Array, " observed"]) -> Shaped[Array, " kept"]:
        # Static slices are fused with the operation before; a gather is a kernel of its own.
        return jnp.stack([observation[i] for i in self.keep])


class TimeLimitState(eqx.Module):
    """The state of the wrapped environment, and the number of steps of its episode."""

    inner: Any
    time: Int[Array, ""]


class TimeLimit(Wrapper):
    """Truncates an episode after `steps` steps: `last` becomes true, the discount does not change.

    **Raises** `RtrrlError` where the limit is below 1.
    """

    env: Environment
    steps: int = eqx.field(static=True)

    def __check_init__(self):
        if self.steps < 1:
            raise RtrrlError(f"a time limit is at least 1 step, not {self.steps}")

    def reset(self, key: Key) -> tuple[TimeLimitState, Shaped[Array, "..."]]:
        state, observation = self.env.reset(key)
        return TimeLimitState(state, jnp.zeros((), jnp.int32)), observation

    def step(
        self, key: Key, state: TimeLimitState, action: Shaped[Array, "..."]
    ) -> tuple[TimeLimitState, TimeStep]:
        inner, timestep = self.env.step(key, state.inner, action)
        time = state.time + 1
        last = timestep.last | (time >= self.steps)
        return TimeLimitState(inner, time), dataclasses.replace(timestep, last=last)


class ScaledReward(Wrapper):
    """Multiplies every reward by `scale`."""

    env: Environment
    scale: float = eqx.field(static=True)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        state, timestep = self.env.step(key, state, action)
        return state, dataclasses.replace(timestep, reward=self.scale * timestep.reward)


class NoisyObservation(Wrapper):
    """Adds independent Gaussian noise of standard deviation `std` to every observation.

    The observation space has no bounds.

    **Raises** `RtrrlError` where `std` is negative, `UnsupportedSpaceError` where the observation
    is discrete.
    """

    env: Environment
    std: float = eqx.field(static=True)

    def __check_init__(self):
        space = self.env.observation_space
        if not isinstance(space, Box):
            raise UnsupportedSpaceError(f"cannot add noise to {space}: wrap it in Flattened first")
        if not self.std >= 0:
            raise RtrrlError(f"the standard deviation of noise is at least 0, not {self.std}")

    @property
    def observation_space(self) -> Space:
        space = self.env.observation_space
        assert isinstance(space, Box)
        return Box.of(-jnp.inf, jnp.inf, space.shape)

    def reset(self, key: Key) -> tuple[Any, Float[Array, "..."]]:
        key, key_noise = jax.random.split(key)
        state, observation = self.env.reset(key)
        return state, self._noisy(key_noise, observation)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        key, key_noise = jax.random.split(key)
        state, timestep = self.env.step(key, state, action)
        observation = self._noisy(key_noise, timestep.observation)
        return state, dataclasses.replace(timestep, observation=observation)

    def _noisy(self, key: Key, observation: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return observation + self.std * jax.random.normal(key, observation.shape, observation.dtype)


class Flattened(ObservationWrapper):
    """Makes every observation a float32 vector: an array in row-major order, integers one-hot."""

    env: Environment

    @property
    def observation_space(self) -> Space:
        space = self.env.observation_space
        if isinstance(space, Discrete):
            return Box.of(0, 1, (space.n,))
        if isinstance(space, MultiDiscrete):
            return Box.of(0, 1, (sum(space.sizes),))
        if isinstance(space, Product):
            ones, box = sum(space.choices.sizes), space.numbers
            low, high = (0.0,) * ones + box.low, (1.0,) * ones + box.high
            return Box((ones + box.size,), low, high)
        return Box((space.size,), space.low, space.high)

    def observation(self, observation: Shaped[Array, "..."]) -> Float[Array, " observed"]:
        return _flat(self.env.observation_space, observation)


def _flat(space: Space, observation: Shaped[Array, "..."]) -> Float[Array, " observed"]:
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.n, dtype=jnp.float32)
    if isinstance(space, MultiDiscrete):
        entries = zip(observation, space.sizes, strict=True)
        return jnp.concatenate([jax.nn.one_hot(i, n, dtype=jnp.float32) for i, n in entries])
    if isinstance(space, Product):
        choices, numbers = space.split(observation)
        return jnp.concatenate([_flat(space.choices, choices), _flat(space.numbers, numbers)])
    return jnp.ravel(observation).astype(jnp.float32)


class TruncationAsTermination(Wrapper):
    """Makes every end of an episode a termination: discount 0 wherever `last` is true.

    Correct where the horizon belongs to the task; wrong where it only ends the experiment, and then
    useful for comparison with code that does not distinguish truncation (the paper's).
    """

    env: Environment

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        state, timestep = self.env.step(key, state, action)
        discount = jnp.where(timestep.last, 0, timestep.discount)
        return state, dataclasses.replace(timestep, discount=discount)
