"""What a world is, and the protocol of one that is stepped inside a compiled loop."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Shaped

from rtrrl.environments.spaces import Space
from rtrrl.types import Key, TimeStep


class AbstractEnvironment(eqx.Module):
    """Something to be lived in: what is seen, and what can be done."""

    @property
    def name(self) -> str:
        """What the world is called; a task from `make` has the name it was made by."""
        return type(self).__name__

    @property
    @abc.abstractmethod
    def observation_space(self) -> Space:
        """What is seen."""

    @property
    @abc.abstractmethod
    def action_space(self) -> Space:
        """What can be done."""


class Environment(AbstractEnvironment):
    """A partially observable world as two pure functions of its state.

    `step` never resets: at the end of an episode it returns the real final observation with
    `last` true, and whoever runs the loop calls `reset`. What `step` does after that is undefined.
    """

    @abc.abstractmethod
    def reset(self, key: Key) -> tuple[Any, Shaped[Array, "..."]]:
        """The state and first observation of a new episode."""

    @abc.abstractmethod
    def step(self, key: Key, state: Any, action: Shaped[Array, "..."]) -> tuple[Any, TimeStep]:
        """The next state and what the agent is told of it, without any reset."""
