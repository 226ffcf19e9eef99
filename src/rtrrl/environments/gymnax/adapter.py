"""The worlds of gymnax (≥ 1.0), stepped without their automatic reset.

gymnax is imported only when a world is built: its import is slow.
"""

import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl
from jaxtyping import Array, Float, Shaped

from rtrrl.environments.base import Environment
from rtrrl.environments.spaces import Box, Discrete, Space
from rtrrl.errors import RtrrlError, UnknownNameError, UnsupportedSpaceError
from rtrrl.types import Key, TimeStep

_Items = tuple[tuple[str, Any], ...]

# What gymnax declares and what it returns differ here: the bounds that hold.
_TRUE_BOUNDS: dict[str, tuple[Any, Any]] = {
    "MemoryChain-bsuite": (-1, 1),
    "GaussianBandit-misc": ([-np.inf, 0, 0, -1], [np.inf, 1, 1, 1]),
    "BernoulliBandit-misc": ([0, 0, 0, -1], 1),
    "MetaMaze-misc": (0, [1] * 13 + [10, 200]),
}


class Gymnax(Environment):
    """A gymnax world behind the protocol of `Environment`.

    `terminated` becomes discount 0. `truncated` (the time limit alone) keeps discount 1; a step
    that is both is a termination. All numbers are made float32 or int32: gymnax mixes dtypes and
    Python numbers, which a `scan` cannot carry.

    **Arguments:** `id`, gymnax's own name; `options` for its constructor; `params` to replace among
    its parameters; `random=False` promises that a step draws no random number that matters, and
    then the work of drawing them is saved.

    **Raises** `UnknownNameError` where `id` is unknown, `RtrrlError` where the world does not have
    an option or parameter, `UnsupportedSpaceError` where a space is neither discrete nor a box.

    Everything is static: the world's constants are compiled in.

    Source: Lange, "gymnax: A JAX-based reinforcement learning environment library", 2022.
    """

    id: str = eqx.field(static=True)
    options: _Items = eqx.field(static=True)
    params: _Items = eqx.field(static=True)
    random: bool = eqx.field(static=True)

    def __init__(
        self,
        id: str,
        *,
        options: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        random: bool = True,
    ):
        self.id = id
        self.options = tuple(sorted((options or {}).items()))
        self.params = tuple(sorted((params or {}).items()))
        self.random = random
        _spaces(self.id, self.options, self.params)  # raises now what would be raised later

    @property
    def name(self) -> str:
        """gymnax's own name."""
        return self.id

    @property
    def observation_space(self) -> Space:
        """As gymnax declares it, corrected where it returns something else."""
        return _spaces(self.id, self.options, self.params)[0]

    @property
    def action_space(self) -> Space:
        """As gymnax declares it."""
        return _spaces(self.id, self.options, self.params)[1]

    def reset(self, key: Key) -> tuple[Any, Float[Array, "..."]]:
        """The state and first observation of a new episode."""
        world, settings = self._world()
        with jax.enable_x64(False):  # gymnax mixes dtypes that do not mix under x64
            observation, state = world.reset_env(key, settings)
        return _strong(state), jnp.asarray(observation, jnp.float32)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """One step, the real final observation included."""
        world, settings = self._world()
        key = key if self.random else _no_key()
        action = action.astype(
            jnp.int32 if isinstance(self.action_space, Discrete) else jnp.float32
        )
        with jax.enable_x64(False):
            observation, state, reward, terminated, _ = world.step_env(key, state, action, settings)
            truncated = world.is_truncated(state, settings)
        return _strong(state), TimeStep(
            observation=jnp.asarray(observation, jnp.float32),
            reward=jnp.asarray(reward, jnp.float32),
            discount=1 - jnp.asarray(terminated, jnp.float32),
            last=jnp.logical_or(terminated, truncated),
        )

    def _world(self):
        return _world(self.id, self.options, self.params)


@functools.lru_cache(maxsize=256)
def _world(id: str, options: _Items, params: _Items) -> Any:
    """gymnax's world and parameters; kept here because neither can be hashed."""
    import gymnax

    if id not in gymnax.registered_envs:
        raise UnknownNameError("gymnax world", id, gymnax.registered_envs)
    try:
        # Called inside a trace, the world's constants must still be numbers.
        with jax.ensure_compile_time_eval(), jax.enable_x64(False):
            world, settings = gymnax.make(id, **dict(options))
            return world, settings.replace(**dict(params))
    except TypeError as error:
        raise RtrrlError(f"gymnax world '{id}': {error}") from error


@functools.lru_cache(maxsize=256)
def _spaces(id: str, options: _Items, params: _Items) -> tuple[Space, Space]:
    world, settings = _world(id, options, params)
    with jax.ensure_compile_time_eval(), jax.enable_x64(False):
        seen, done = world.observation_space(settings), world.action_space(settings)
    observation_space = _space(seen)
    if id in _TRUE_BOUNDS and isinstance(observation_space, Box):
        observation_space = Box.of(*_TRUE_BOUNDS[id], observation_space.shape)
    return observation_space, _space(done)


def _space(space: Any) -> Space:
    from gymnax.environments import spaces

    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.Box):
        largest = np.finfo(np.float32).max  # how gymnax writes infinity
        low, high = (np.asarray(bound, float) for bound in (space.low, space.high))
        low, high = np.where(low <= -largest, -np.inf, low), np.where(high >= largest, np.inf, high)
        return Box.of(low, high, tuple(space.shape))
    raise UnsupportedSpaceError(f"gymnax space {space}: only Discrete and Box are supported")


def _strong(state: Any) -> Any:
    """The same numbers as arrays of one dtype per kind, so that a loop can carry them."""
    kinds = ((jnp.bool_, jnp.bool_), (jnp.integer, jnp.int32), (jnp.floating, jnp.float32))

    def cast(leaf):
        dtype = jnp.result_type(leaf)
        return jnp.asarray(leaf, next(to for of, to in kinds if jnp.issubdtype(dtype, of)))

    return jax.tree.map(cast, state)


# A generator whose every bit is 0: what is "drawn" from it is a constant.
_NOTHING = define_prng_impl(
    key_shape=(1,),
    seed=lambda _: jnp.zeros((1,), jnp.uint32),
    split=lambda _, shape: jnp.zeros((*shape, 1), jnp.uint32),
    random_bits=lambda _, width, shape: jnp.zeros(shape, f"uint{width}"),
    fold_in=lambda key, _: key,
    name="rtrrl_nothing",
    tag="rtrrl0",
)


def _no_key() -> Key:
    return jax.random.key(0, impl=_NOTHING)
