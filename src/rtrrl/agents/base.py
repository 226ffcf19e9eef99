"""The protocol of agents: pure functions that learn from each observation as it arrives."""

import abc
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Shaped

from rtrrl.environments import AbstractEnvironment, Environment, as_environment
from rtrrl.environments.checks import check_spaces, checked
from rtrrl.environments.spaces import Box, Space
from rtrrl.errors import RtrrlError, UnsupportedSpaceError
from rtrrl.types import Key, Scalar
from rtrrl.utils.arrays import in_words
from rtrrl.utils.modules import structural_hash
from rtrrl.utils.validation import Settings

Observation = Shaped[Array, "..."]
Action = Shaped[Array, "..."]


class Info(eqx.Module):
    """Diagnostics of one step; nothing depends on them."""

    td_error: Scalar
    """δ."""
    value: Scalar
    """v̂(h'), in units of the (normalised) reward."""
    entropy: Scalar
    """H(π(· | h')) in nats."""


class Agent(Settings):
    """An agent: its fields are its settings, its `state` is everything that changes.

    `step` learns from the consequence of the last action, then acts. `discount` is 0 at a terminal
    state and 1 otherwise. After the last step of an episode, terminated or truncated, call `begin`
    with the first observation of the next episode.
    """

    task: eqx.AbstractVar[str]

    def __hash__(self) -> int:
        return structural_hash(self)

    @abc.abstractmethod
    def init(self, key: Key) -> Any:
        """The state before the first observation, with random parameters."""

    @abc.abstractmethod
    def begin(self, state: Any, observation: Observation) -> tuple[Any, Action]:
        """Start an episode: the state after its first observation, and the first action."""

    @abc.abstractmethod
    def step(
        self, state: Any, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[Any, Action, Info]:
        """Learn from the consequence of the last action: the next state, action and diagnostics."""

    @abc.abstractmethod
    def frozen(self, state: Any, greedy: bool = False) -> "Agent":
        """An agent that acts as this one in `state`, without learning.

        With `greedy` it takes the mode of the policy.
        """

    def share_over_envs(self) -> "Agent":
        """This agent with parameters shared over environments; each update is the mean of theirs.

        **Raises** `RtrrlError` where the agent's way of learning does not allow that.
        """
        raise RtrrlError(
            f"{type(self).__name__} learns from one environment at a time: num_envs must be 1"
        )

    def shared_state(self, state: Any) -> tuple[Any, ...]:
        """The parts of a state that all environments share; none without `share_over_envs`."""
        return ()


def environment_spec(environment: str | AbstractEnvironment) -> tuple[str, int, Space]:
    """An environment's name, the length of its flat observation, and its action space.

    **Raises** `UnsupportedSpaceError` where the observation is not a flat box, `RtrrlError` where
    the environment is none.
    """
    environment = as_environment(environment)
    check_spaces(environment)
    match environment.observation_space:
        case Box(shape=(size,)):
            return environment.name, size, environment.action_space
    raise UnsupportedSpaceError(
        f"the observation space {environment.observation_space} of {environment.name} is not "
        f"supported: expected a flat Box; wrap it in environments.Flattened"
    )


def check_fit(agent: Agent, environment: AbstractEnvironment) -> None:
    """**Raises** `RtrrlError` where the agent was made for other spaces than the environment's.

    Also where the agent is not an `Agent`, or the environment does not pass `checked`.
    """
    if isinstance(environment, Environment):
        checked(environment)
    if not isinstance(agent, Agent):
        raise RtrrlError(
            f"the agent is {in_words(agent)}: expected an Agent, such as rtrrl.RTRRL.default("
            f"{environment.name!r})"
        )
    space, size = environment.observation_space, getattr(agent, "observation_size", None)
    if size is not None and isinstance(space, Box) and space.size != size:
        raise RtrrlError(
            f"the agent was made for observations of {size} numbers, and those of "
            f"{environment.name} have {space.size}: make it for this environment"
        )
    policy = getattr(agent, "policy", None)
    if policy is not None and policy.action_space != environment.action_space:
        raise RtrrlError(
            f"the agent was made for the actions {policy.action_space}, and those of "
            f"{environment.name} are {environment.action_space}: make it for this environment"
        )


def check_state(agent: Agent, state: Any) -> None:
    """**Raises** `RtrrlError` where a state does not have the form of those of the agent."""
    initial = _initial_state(agent)
    if type(state) is not type(initial):
        raise RtrrlError(
            f"the state is {in_words(state)}: expected a {type(initial).__name__}, as "
            f"{type(agent).__name__}.init or training returns"
        )
    leaves, wanted = (jax.tree_util.tree_leaves_with_path(tree) for tree in (state, initial))
    for (path, leaf), (_, like) in zip(leaves, wanted, strict=False):
        if eqx.is_array(leaf) and leaf.shape != like.shape:
            raise RtrrlError(
                f"the state belongs to another agent, or to several: its "
                f"{jax.tree_util.keystr(path)[1:]} is {in_words(leaf)}, expected {in_words(like)}; "
                "of a run's agents, run.agents().one(0) gives the first with its state"
            )


def _initial_state(agent: Agent) -> Any:
    """The shapes of a state of the agent, traced once for all that differ only in numbers."""
    leaves, structure = jax.tree.flatten(agent)
    form = structure, *((leaf.shape if eqx.is_array(leaf) else type(leaf)) for leaf in leaves)
    if form not in _STATES:
        _STATES[form] = eqx.filter_eval_shape(agent.init, jax.eval_shape(jax.random.key, 0))
    return _STATES[form]


_STATES: dict[Any, Any] = {}
"""By the form of an agent."""
