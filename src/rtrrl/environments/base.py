"""What all environments share, and the interface of those that are compiled."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Shaped

from rtrrl.environments.spaces import Space
from rtrrl.types import Key, TimeStep
from rtrrl.utils.modules import structural_hash


class AbstractEnvironment(eqx.Module):
    """The base class of `Environment` (compiled) and `HostEnvironment` (stepped by Python)."""

    def __hash__(self) -> int:
        return structural_hash(self)

    @property
    def name(self) -> str:
        """The name of the environment; one from `make` has the name it was made by."""
        return type(self).__name__

    @property
    @abc.abstractmethod
    def observation_space(self) -> Space:
        """The space of observations."""

    @property
    @abc.abstractmethod
    def action_space(self) -> Space:
        """The space of actions."""


class Environment(AbstractEnvironment):
    """A partially observable environment as two pure functions of its state.

    `step` never resets: at the end of an episode it returns the real final observation with
    `last` true, and the caller resets. What `step` does after that is undefined.
    """

    @abc.abstractmethod
    def reset(self, key: Key) -> tuple[Any, Shaped[Array, "..."]]:
        """The state and first observation of a new episode."""

    @abc.abstractmethod
    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """The next state, and its observation, reward, discount and `last`; never resets."""
