"""A running Gymnasium environment whose results are checked.

The class is sent to processes that need not import JAX: it refers to nothing that does.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rtrrl.environments.gymnasium.construction import BrokenRuleError, one_line_errors
from rtrrl.environments.gymnasium.seeding import generators_of, seed_all

RUNNING = "; fix the environment, then resume the run"


class Copy:
    """One running environment: what it returns without `info`, checked against Gymnasium's API.

    With `seed_once`, its first reset is seeded with that number, and no other reset is seeded.
    Every method raises `RtrrlError` with the name of the environment.
    """

    def __init__(
        self,
        name: str,
        construct: Callable[[], Any],
        to_vector: Callable[[Any], np.ndarray],
        to_action: Callable[[Any], Any],
        seed_once: int | None = None,
        advice: str = RUNNING,
    ):
        self._name, self._to_vector, self._to_action = name, to_vector, to_action
        self._once, self._seeded, self._advice = seed_once, False, advice
        with one_line_errors(name):
            self._environment = construct()
            self._generators = generators_of(self._environment)

    def reset(self, seed: int) -> np.ndarray:
        """The first observation of an episode, as a vector."""
        with one_line_errors(self._name, self._advice):
            chosen = self._seed(seed)
            if chosen is not None:
                seed_all(self._generators, chosen)
            result = self._environment.reset(seed=chosen, options={})
            return self._to_vector(_first(result))

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        """The observation as a vector, the reward, and whether it is terminated and truncated."""
        with one_line_errors(self._name, self._advice):
            result = self._environment.step(self._to_action(action))
            if not isinstance(result, tuple) or len(result) != 5:
                raise BrokenRuleError(
                    f"step returns {_kind(result)}",
                    "(observation, reward, terminated, truncated, info)",
                )
            observation, reward, terminated, truncated, info = result
            _check_info("step", info)
            return (
                self._to_vector(observation),
                _number(reward),
                _truth("terminated", terminated),
                _truth("truncated", truncated),
            )

    def render(self) -> Any:
        """An image."""
        with one_line_errors(self._name, self._advice):
            return self._environment.render()

    def close(self) -> None:
        """Release what it holds."""
        with one_line_errors(self._name):
            self._environment.close()

    def _seed(self, seed: int) -> int | None:
        if self._once is None:
            return seed
        self._seeded, first = True, not self._seeded
        return self._once if first else None


def check_environment(environment: Any) -> None:
    """**Raises** `BrokenRuleError` where a space is missing, or an argument of `reset`."""
    import inspect

    from gymnasium import Space, Wrapper

    for name in ("observation_space", "action_space"):
        space = getattr(environment, name, None)
        if not isinstance(space, Space):
            raise BrokenRuleError(f"its {name} is {space!r:.60}", "one of gymnasium.spaces")
    layer = environment
    while layer is not None:
        try:
            inspect.signature(layer.reset).bind(seed=0, options={})
        except TypeError as error:
            raise BrokenRuleError(
                f"reset of {type(layer).__name__}: {error}", "reset(*, seed=None, options=None)"
            ) from error
        except ValueError:  # not written in Python
            pass
        layer = layer.env if isinstance(layer, Wrapper) else None


def _first(result: Any) -> Any:
    """The observation that `reset` returns."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise BrokenRuleError(f"reset returns {_kind(result)}", "(observation, info)")
    observation, info = result
    _check_info("reset", info)
    return observation


def _check_info(method: str, info: Any) -> None:
    if not isinstance(info, Mapping):
        raise BrokenRuleError(f"the info of {method} is {info!r:.60}", "a dict")


def _number(reward: Any) -> float:
    if isinstance(reward, float | int):
        return float(reward)
    array = np.asarray(reward)
    if array.dtype.kind not in "buif" or array.size != 1:
        raise BrokenRuleError(f"the reward is {reward!r:.60}", "one number")
    return float(array.item())


def _truth(name: str, value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    array = np.asarray(value)
    if array.dtype.kind not in "bui" or array.size != 1 or array.item() not in (0, 1):
        raise BrokenRuleError(f"{name} is {value!r:.60}", "True or False")
    return bool(array.item())


def _kind(result: Any) -> str:
    if isinstance(result, tuple):
        old = ", as before Gym 0.26" if len(result) == 4 else ""
        return f"{len(result)} values{old}"
    return f"{result!r:.60}, which is not a tuple"
