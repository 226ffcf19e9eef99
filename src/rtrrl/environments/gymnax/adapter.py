"""The environments of gymnax (≥ 1.0), stepped without their automatic reset.

gymnax is imported only when an environment is made: its import is slow.
"""

import functools
import importlib
import sys
import types
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

_TRUE_BOUNDS: dict[str, tuple[Any, Any]] = {
    "MemoryChain-bsuite": (-1, 1),
    "GaussianBandit-misc": ([-np.inf, 0, 0, -1], [np.inf, 1, 1, 1]),
    "BernoulliBandit-misc": ([0, 0, 0, -1], 1),
    "MetaMaze-misc": (0, [1] * 13 + [10, 200]),
}
"""The bounds that hold where gymnax declares others than it returns."""


def _items(mapping: Mapping[str, Any] | _Items) -> _Items:
    return tuple(sorted(dict(mapping).items()))


class Gymnax(Environment):
    """A gymnax environment.

    `terminated` becomes discount 0. `truncated` (the time limit alone) keeps discount 1; a step
    that is both is a termination. All numbers are made float32 or int32: gymnax mixes dtypes and
    Python numbers, which a `scan` cannot carry.

    **Arguments:** `id`, gymnax's own name; `options` for its constructor; `params` to replace among
    its parameters; `random=False` asserts that no random number drawn in a step has an effect, and
    saves the work of drawing them.

    **Raises** `UnknownNameError` where `id` is unknown, `RtrrlError` where the environment does not
    have an option or parameter, `UnsupportedSpaceError` where a space is neither discrete nor a
    box.

    Everything is static: the environment's constants are compiled in.

    Source: Lange, "gymnax: A JAX-based reinforcement learning environment library", 2022.
    """

    id: str = eqx.field(static=True)
    options: _Items = eqx.field(static=True, converter=_items, default=())
    params: _Items = eqx.field(static=True, converter=_items, default=())
    random: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        _spaces(self.id, self.options, self.params)  # raises now what would be raised later

    @property
    def name(self) -> str:
        return self.id

    @property
    def observation_space(self) -> Space:
        return _spaces(self.id, self.options, self.params)[0]

    @property
    def action_space(self) -> Space:
        return _spaces(self.id, self.options, self.params)[1]

    def reset(self, key: Key) -> tuple[Any, Float[Array, "..."]]:
        environment, params = _environment(self.id, self.options, self.params)
        with jax.enable_x64(False):  # gymnax mixes dtypes that do not mix under x64
            observation, state = environment.reset_env(key, params)
        return _strongly_typed(state), jnp.asarray(observation, jnp.float32)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        environment, params = _environment(self.id, self.options, self.params)
        key = key if self.random else jax.random.key(0, impl=_CONSTANT_PRNG)
        action = action.astype(
            jnp.int32 if isinstance(self.action_space, Discrete) else jnp.float32
        )
        with jax.enable_x64(False):
            observation, state, reward, terminated, _ = environment.step_env(
                key, state, action, params
            )
            truncated = environment.is_truncated(state, params)
        return _strongly_typed(state), TimeStep(
            observation=jnp.asarray(observation, jnp.float32),
            reward=jnp.asarray(reward, jnp.float32),
            discount=1 - jnp.asarray(terminated, jnp.float32),
            last=jnp.logical_or(terminated, truncated),
        )


class _DeferredModule(types.ModuleType):
    """Imports the module of its name when one of its attributes is first used."""

    def __getattr__(self, attribute: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), attribute)


@functools.cache
def import_gymnax() -> Any:
    """The module gymnax, without the packages that it imports only to draw (3 s of import).

    Its environments refer to them as deferred modules; nothing is left in `sys.modules`, so that
    any other import of these packages is not affected.
    """
    deferred = {
        name: _DeferredModule(name)
        for name in ("matplotlib.pyplot", "seaborn")
        if name not in sys.modules
    }
    sys.modules.update(deferred)
    try:
        import gymnax
    finally:
        for name, module in deferred.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
    return gymnax


@functools.lru_cache(maxsize=256)
def _environment(id: str, options: _Items, params: _Items) -> Any:
    """gymnax's environment and parameters; cached because neither can be hashed."""
    gymnax = import_gymnax()
    if id not in gymnax.registered_envs:
        raise UnknownNameError("gymnax environment", id, gymnax.registered_envs)
    try:
        # Inside a trace, the environment's constants must still be concrete numbers.
        with jax.ensure_compile_time_eval(), jax.enable_x64(False):
            environment, defaults = gymnax.make(id, **dict(options))
            return environment, defaults.replace(**dict(params))
    except TypeError as error:
        raise RtrrlError(f"gymnax environment '{id}': {error}") from error


@functools.lru_cache(maxsize=256)
def _spaces(id: str, options: _Items, params: _Items) -> tuple[Space, Space]:
    environment, settings = _environment(id, options, params)
    with jax.ensure_compile_time_eval(), jax.enable_x64(False):
        observed = environment.observation_space(settings)
        actions = environment.action_space(settings)
    observation_space = _space(observed)
    if id in _TRUE_BOUNDS and isinstance(observation_space, Box):
        observation_space = Box.of(*_TRUE_BOUNDS[id], observation_space.shape)
    return observation_space, _space(actions)


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


def _strongly_typed(state: Any) -> Any:
    """The same numbers as arrays of one dtype per kind, so that a loop can carry them."""
    kinds = ((jnp.bool_, jnp.bool_), (jnp.integer, jnp.int32), (jnp.floating, jnp.float32))

    def cast(leaf):
        dtype = jnp.result_type(leaf)
        return jnp.asarray(leaf, next(to for of, to in kinds if jnp.issubdtype(dtype, of)))

    return jax.tree.map(cast, state)


_CONSTANT_PRNG = define_prng_impl(
    key_shape=(1,),
    seed=lambda _: jnp.zeros((1,), jnp.uint32),
    split=lambda _, shape: jnp.zeros((*shape, 1), jnp.uint32),
    random_bits=lambda _, width, shape: jnp.zeros(shape, f"uint{width}"),
    fold_in=lambda key, _: key,
    name="rtrrl_nothing",
    tag="rtrrl0",
)
"""A generator whose every bit is 0: drawing from it costs nothing."""
