"""What every agent is: a pure function that learns from each observation as it arrives."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
from jaxtyping import Array, Shaped

from rtrrl.environments import AbstractEnvironment, make
from rtrrl.environments.spaces import Box, Space
from rtrrl.errors import RtrrlError, UnsupportedSpaceError
from rtrrl.types import Key, Scalar

Observation = Shaped[Array, "..."]
Action = Shaped[Array, "..."]


class Info(eqx.Module):
    """What one step of learning shows of itself; nothing here is needed to go on."""

    td_error: Scalar
    """δ."""
    value: Scalar
    """v̂(h'), in units of the (normalised) reward."""
    entropy: Scalar
    """H(π(· | h')) in nats."""


class Agent(eqx.Module):
    """An agent; its fields are its settings, its `state` is everything that changes.

    `step` learns from the consequence of the last action, then acts. `discount` is 0 at a true
    terminal and 1 otherwise. After the last step of an episode, terminated or truncated, call
    `begin` with the next episode's first observation.
    """

    task: eqx.AbstractVar[str]

    @abc.abstractmethod
    def init(self, key: Key) -> Any:
        """A newborn agent's state."""

    @abc.abstractmethod
    def begin(self, state: Any, observation: Observation) -> tuple[Any, Action]:
        """An episode starts: the state and the first action."""

    @abc.abstractmethod
    def step(
        self, state: Any, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[Any, Action, Info]:
        """Learns from what the last action brought, then acts."""

    @abc.abstractmethod
    def frozen(self, state: Any, greedy: bool = False) -> "Agent":
        """This agent as it is now, acting without learning; `greedy` takes the policy's mode."""

    def sharing(self) -> "Agent":
        """This agent with parameters that several streams share, each step the mean of theirs.

        **Raises** `RtrrlError` where it learns in a way that does not allow that.
        """
        raise RtrrlError(
            f"{type(self).__name__} learns from one stream at a time: leave --num-envs out"
        )

    def shared(self, state: Any) -> tuple[Any, ...]:
        """The parts of a state that all streams share: none, unless the agent is `sharing`."""
        return ()


def check_parts(agent: Agent) -> None:
    """**Raises** `TypeError` where a part of an agent is no member of its family."""
    for field in dataclasses.fields(agent):
        family, part = field.type, getattr(agent, field.name)
        if (
            isinstance(family, type)
            and issubclass(family, eqx.Module)
            and not isinstance(part, family)
        ):
            raise TypeError(
                f"{field.name} is {part!r}: it must be a {family.__name__}, such as {field.default}"
            )


def world_of(task: str | AbstractEnvironment) -> tuple[str, int, Space]:
    """A task's name, the length of its flat observation, and its action space.

    **Raises** `UnsupportedSpaceError` where the observation is no flat box.
    """
    environment = make(task) if isinstance(task, str) else task
    match environment.observation_space:
        case Box(shape=(size,)):
            return environment.name, size, environment.action_space
    raise UnsupportedSpaceError(
        f"the observation space {environment.observation_space} of {environment.name} is not "
        f"supported: expected a flat Box; wrap it in environments.Flattened"
    )
