"""Worlds seen through a filter: each wrapper changes one thing and is an environment again."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from rtrrl.environments.base import Environment
from rtrrl.environments.spaces import Box, Discrete, MultiDiscrete, Space
from rtrrl.errors import RtrrlError, UnsupportedSpaceError
from rtrrl.types import Key, TimeStep


class Wrapper(Environment):
    """What all wrappers share: whatever they do not change is the inner world's."""

    env: eqx.AbstractVar[Environment]

    @property
    def name(self) -> str:
        """What wraps and what is wrapped, as in `ScaledReward(TMaze-3)`: it is another world."""
        return f"{type(self).__name__}({self.env.name})"

    @property
    def observation_space(self) -> Space:
        """The inner world's observations."""
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        """The inner world's actions."""
        return self.env.action_space

    def reset(self, key: Key) -> tuple[Any, Shaped[Array, "..."]]:
        """The state and first observation of a new episode."""
        return self.env.reset(key)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """The next state and what the agent is told of it, without any reset."""
        return self.env.step(key, state, action)


class Named(Wrapper):
    """Gives the world another name and changes nothing else."""

    env: Environment
    title: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        """The new name."""
        return self.title


class Masked(Wrapper):
    """Shows only the entries `keep` of the observation, in that order; the rest is hidden.

    **Raises** `RtrrlError` where an index is out of range or there is none at all,
    `UnsupportedSpaceError` where the observation is no vector.
    """

    env: Environment
    keep: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self):
        space = self.env.observation_space
        if not (isinstance(space, Box) and len(space.shape) == 1):
            raise UnsupportedSpaceError(f"cannot mask {space}: wrap the world in Flattened first")
        if outside := [i for i in self.keep if not 0 <= i < space.size]:
            raise RtrrlError(
                f"cannot keep {outside} of '{self.env.name}': its observation has entries 0 to "
                f"{space.size - 1}"
            )
        if not self.keep:
            raise RtrrlError(f"the mask of '{self.env.name}' must keep at least one entry")

    @property
    def observation_space(self) -> Space:
        """The bounds of the entries that are shown."""
        space = self.env.observation_space
        assert isinstance(space, Box)
        return Box(
            (len(self.keep),),
            tuple(space.low[i] for i in self.keep),
            tuple(space.high[i] for i in self.keep),
        )

    def reset(self, key: Key) -> tuple[Any, Shaped[Array, " kept"]]:
        """The state and the visible part of the first observation."""
        state, observation = self.env.reset(key)
        return state, self._shown(observation)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """One step, of whose observation only the visible part is told."""
        state, timestep = self.env.step(key, state, action)
        return state, _observing(timestep, self._shown(timestep.observation))

    def _shown(self, observation: Shaped[Array, " observed"]) -> Shaped[Array, " kept"]:
        # Static slices fuse with what comes before; a gather is a kernel of its own.
        return jnp.stack([observation[i] for i in self.keep])


class TimeLimitState(eqx.Module):
    """The inner world's state and the steps taken since its episode began."""

    inner: Any
    time: Int[Array, ""]


class TimeLimit(Wrapper):
    """Truncates an episode after `steps` steps: `last` becomes true, the discount stays as it is.

    **Raises** `RtrrlError` where the limit is below 1.
    """

    env: Environment
    steps: int = eqx.field(static=True)

    def __check_init__(self):
        if self.steps < 1:
            raise RtrrlError(f"a time limit is at least 1 step, not {self.steps}")

    def reset(self, key: Key) -> tuple[TimeLimitState, Shaped[Array, "..."]]:
        """The state and first observation of a new episode."""
        state, observation = self.env.reset(key)
        return TimeLimitState(state, jnp.zeros((), jnp.int32)), observation

    def step(
        self, key: Key, state: TimeLimitState, action: Shaped[Array, "..."]
    ) -> tuple[TimeLimitState, TimeStep]:
        """One step, the last one if time is up."""
        inner, timestep = self.env.step(key, state.inner, action)
        time = state.time + 1
        return TimeLimitState(inner, time), TimeStep(
            timestep.observation,
            timestep.reward,
            timestep.discount,
            last=timestep.last | (time >= self.steps),
        )


class ScaledReward(Wrapper):
    """Multiplies every reward by `scale`."""

    env: Environment
    scale: float = eqx.field(static=True)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """One step with r ← scale · r."""
        state, timestep = self.env.step(key, state, action)
        return state, TimeStep(
            timestep.observation, self.scale * timestep.reward, timestep.discount, timestep.last
        )


class NoisyObservation(Wrapper):
    """Adds independent Gaussian noise of standard deviation `std` to all that is observed.

    **Raises** `RtrrlError` where `std` is negative, `UnsupportedSpaceError` where the observation
    is discrete.
    """

    env: Environment
    std: float = eqx.field(static=True)

    def __check_init__(self):
        space = self.env.observation_space
        if not isinstance(space, Box):
            raise UnsupportedSpaceError(f"cannot blur {space}: wrap the world in Flattened first")
        if not self.std >= 0:
            raise RtrrlError(f"the standard deviation of noise is at least 0, not {self.std}")

    @property
    def observation_space(self) -> Space:
        """The same shape without bounds: noise has none."""
        space = self.env.observation_space
        assert isinstance(space, Box)
        return Box.of(-jnp.inf, jnp.inf, space.shape)

    def reset(self, key: Key) -> tuple[Any, Float[Array, "..."]]:
        """The state and a noisy first observation."""
        key, key_noise = jax.random.split(key)
        state, observation = self.env.reset(key)
        return state, self._blurred(key_noise, observation)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """One step and a noisy observation of it."""
        key, key_noise = jax.random.split(key)
        state, timestep = self.env.step(key, state, action)
        return state, _observing(timestep, self._blurred(key_noise, timestep.observation))

    def _blurred(self, key: Key, observation: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return observation + self.std * jax.random.normal(key, observation.shape, observation.dtype)


class Flattened(Wrapper):
    """Makes every observation a float32 vector: an array row by row, integers one-hot."""

    env: Environment

    @property
    def observation_space(self) -> Space:
        """A vector with the same bounds entry by entry; 0 to 1 for a one-hot."""
        space = self.env.observation_space
        if isinstance(space, Discrete):
            return Box.of(0, 1, (space.n,))
        if isinstance(space, MultiDiscrete):
            return Box.of(0, 1, (sum(space.sizes),))
        return Box((space.size,), space.low, space.high)

    def reset(self, key: Key) -> tuple[Any, Float[Array, " observed"]]:
        """The state and the first observation as a vector."""
        state, observation = self.env.reset(key)
        return state, self._flat(observation)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """One step and its observation as a vector."""
        state, timestep = self.env.step(key, state, action)
        return state, _observing(timestep, self._flat(timestep.observation))

    def _flat(self, observation: Shaped[Array, "..."]) -> Float[Array, " observed"]:
        space = self.env.observation_space
        if isinstance(space, Discrete):
            return jax.nn.one_hot(observation, space.n, dtype=jnp.float32)
        if isinstance(space, MultiDiscrete):
            entries = zip(observation, space.sizes, strict=True)
            return jnp.concatenate([jax.nn.one_hot(i, n, dtype=jnp.float32) for i, n in entries])
        return jnp.ravel(observation).astype(jnp.float32)


class TruncationAsTermination(Wrapper):
    """Calls every end a termination: discount 0 wherever `last` is true.

    Right where the horizon belongs to the task itself; wrong where it only ends the experiment, and
    there for comparison with code that knows no truncation (the paper's).
    """

    env: Environment

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """One step with discount 0 if it is the last."""
        state, timestep = self.env.step(key, state, action)
        return state, TimeStep(
            timestep.observation,
            timestep.reward,
            jnp.where(timestep.last, 0, timestep.discount),
            timestep.last,
        )


def _observing(timestep: TimeStep, observation: Shaped[Array, "..."]) -> TimeStep:
    return TimeStep(observation, timestep.reward, timestep.discount, timestep.last)
