"""Checks of compiled environments that rtrrl does not define, before they are compiled."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from rtrrl.environments.base import AbstractEnvironment, Environment
from rtrrl.environments.spaces import Space
from rtrrl.environments.wrappers import Wrapper
from rtrrl.errors import RtrrlError, UnsupportedSpaceError, described, location
from rtrrl.types import Key, PyTree, TimeStep
from rtrrl.utils.arrays import NUMBER, REAL, as_real, check_array, in_words
from rtrrl.utils.modules import is_own

_SIGNATURES = {"reset": "reset(self, key)", "step": "step(self, key, state, action)"}
_READS_VALUES = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def checked(environment: Environment) -> Environment:
    """The environment, after a look at what its `reset` and `step` return.

    They are traced once, and nothing is computed. Where they return Python numbers or lists, and
    integers where a space is real, the environment returned makes arrays of them. Environments of
    rtrrl, and its wrappers around them, are returned as they are.

    **Raises** `RtrrlError` where a method fails or returns something else than `Environment` says.
    """
    if is_own(environment):
        return environment
    return _checked(environment, jnp.result_type(float))


def check_spaces(environment: AbstractEnvironment) -> None:
    """**Raises** `RtrrlError` where the spaces of an environment are not spaces of rtrrl."""
    for name in ("observation_space", "action_space"):
        where = f"{type(environment).__name__}.{name}"
        try:
            space = getattr(environment, name)
        except UnsupportedSpaceError as error:
            raise UnsupportedSpaceError(f"{where}: {error}") from error
        except RtrrlError:
            raise
        except Exception as error:
            raise RtrrlError(f"{where} fails: {described(error)}") from error
        if not isinstance(space, Space):
            raise RtrrlError(
                f"{where} is {in_words(space)}: expected a space of rtrrl.environments, such as "
                "Box.of(-1, 1, (3,)) or Discrete(2)"
            )


@functools.lru_cache(maxsize=64)
def _checked(environment: Environment, _precision: Any) -> Environment:
    layers: list[Environment] = [environment]
    while isinstance(inner := layers[-1], Wrapper):
        layers.append(inner.env)
    for layer in reversed(layers):  # a wrapper may fail because of what is inside
        if type(layer).__module__.partition(".")[0] != "rtrrl":
            check_spaces(layer)
            key = jax.eval_shape(jax.random.key, 0)
            jax.eval_shape(functools.partial(_look_at_first_step, layer), key)
    return _Converted(environment)


class _Converted(Wrapper):
    """The same environment, with arrays for all numbers."""

    env: Environment

    @property
    def name(self) -> str:
        return self.env.name

    def reset(self, key: Key) -> tuple[Any, Shaped[Array, "..."]]:
        state, observation = self.env.reset(key)
        return jax.tree.map(jnp.asarray, state), as_real(observation)

    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        state, timestep = self.env.step(key, state, action)
        return jax.tree.map(jnp.asarray, state), TimeStep(
            as_real(timestep.observation),
            as_real(timestep.reward),
            as_real(timestep.discount),
            jnp.asarray(timestep.last),
        )


def _look_at_first_step(environment: Environment, key: Key) -> None:
    """Check what a reset and a step return, whose arrays are traced."""
    name = type(environment).__name__
    result = _call(environment, "reset", key)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RtrrlError(f"{name}.reset returns {in_words(result)}: expected (state, observation)")
    _check_observation(environment, "reset", result[1], key)
    before = _as_arrays(f"the state that {name}.reset returns", result[0])

    result = _call(environment, "step", key, before, environment.action_space.sample(key))
    match result:
        case (state, TimeStep() as timestep):
            after = _as_arrays(f"the state that {name}.step returns", state)
        case _:
            raise RtrrlError(
                f"{name}.step returns {in_words(result)}: expected (state, TimeStep(observation, "
                "reward, discount, last))"
            )
    _check_observation(environment, "step", timestep.observation, key)
    where = f"that {name}.step returns"
    check_array(f"the reward {where}", timestep.reward, (), REAL, "one number")
    ends = "one number, 0 at a terminal state and 1 otherwise"
    check_array(f"the discount {where}", timestep.discount, (), NUMBER, ends)
    check_array(f"`last` {where}", timestep.last, (), (jnp.bool_,), "one bool")
    _check_same_types(name, before, after)


def _call(environment: Environment, method: str, *arguments: Any) -> Any:
    name, function = f"{type(environment).__name__}.{method}", getattr(environment, method)
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        raise RtrrlError(f"{name} takes other arguments: expected {_SIGNATURES[method]}") from None
    try:
        return function(*arguments)
    except RtrrlError:
        raise
    except _READS_VALUES as error:
        raise RtrrlError(
            f"{name} cannot be compiled: Python needs the value of an array{location(error)}; use "
            "jnp.where, jax.lax.cond and jax.numpy, or write a gymnasium.Env, which Python steps"
        ) from error
    except Exception as error:
        raise RtrrlError(f"{name} fails: {described(error)}") from error


def _check_observation(environment: Environment, method: str, observation: Any, key: Key) -> None:
    space = environment.observation_space
    element = space.sample(key)
    real = jnp.issubdtype(element.dtype, jnp.floating)
    what = f"the observation that {type(environment).__name__}.{method} returns"
    numbers = f"{'numbers' if real else 'integers'} of shape {element.shape}"
    expected = f"{numbers}, as its observation_space is {space}"
    check_array(what, observation, element.shape, REAL if real else (jnp.integer,), expected)


def _as_arrays(what: str, tree: PyTree) -> PyTree:
    """The tree with arrays for numbers. **Raises** `RtrrlError` where a leaf is neither."""

    def as_array(path: tuple, leaf: Any) -> Array:
        try:
            return jnp.asarray(leaf)
        except TypeError:
            at = f" at {jax.tree_util.keystr(path)}" if path else ""
            raise RtrrlError(
                f"{what} holds {in_words(leaf)}{at}: expected arrays and numbers"
            ) from None

    return jax.tree_util.tree_map_with_path(as_array, tree)


def _check_same_types(name: str, before: PyTree, after: PyTree) -> None:
    """A compiled loop carries a state only if its type stays the same."""
    structures = [jax.tree.structure(state) for state in (before, after)]
    if structures[0] != structures[1]:
        first, second = (f"{structure}"[10:-1] for structure in structures)
        raise RtrrlError(
            f"the state of {name} has the structure {first:.200} after reset and {second:.200} "
            "after step: return the same one from both"
        )
    pairs = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, old), new in pairs:
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise RtrrlError(
                f"the state{jax.tree_util.keystr(path)} of {name} is {in_words(old)} after reset "
                f"and {in_words(new)} after step: keep its dtype and shape"
            )
