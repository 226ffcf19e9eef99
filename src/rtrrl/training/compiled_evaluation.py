"""Evaluation in environments that JAX compiles."""

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from rtrrl.agents import Agent
from rtrrl.environments import Environment
from rtrrl.training.evaluation_protocol import POLL_SECONDS, Poll, Progress, Returns
from rtrrl.types import Key, PyTree, Scalar
from rtrrl.utils import slicing
from rtrrl.utils.prng import zeros_like
from rtrrl.utils.traced_programs import TracedProgram

FIRST_SLICE = 16
"""How many steps to run before the time of a step has been measured."""


class Episode(eqx.Module):
    """An episode of a frozen agent in progress."""

    agent_state: PyTree
    env_state: PyTree
    action: Array
    episode_return: Scalar
    """Up to and including the reward of the last step."""
    steps: Int[Array, ""]
    ended: Bool[Array, ""]


def begin_episode(agent: Agent, environment: Environment, key: Key) -> Episode:
    """The first observation, and the action that follows."""
    agent_key, reset_key, _ = jax.random.split(key, 3)
    env_state, observation = environment.reset(reset_key)
    state, action = agent.begin(agent.init(agent_key), observation)
    return Episode(
        state, env_state, action, jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.array(False)
    )


def step_episode(agent: Agent, environment: Environment, key: Key, episode: Episode) -> Episode:
    """One step; `key` is that of `begin_episode`."""
    _, _, step_key = jax.random.split(key, 3)
    env_state, timestep = environment.step(
        jax.random.fold_in(step_key, episode.steps), episode.env_state, episode.action
    )
    state, action, _ = agent.step(
        episode.agent_state, timestep.observation, timestep.reward, timestep.discount
    )
    total = episode.episode_return + timestep.reward
    return Episode(state, env_state, action, total, episode.steps + 1, timestep.last)


class CompiledEvaluation:
    """Episodes of several agents in progress, side by side; `begin` starts them anew.

    `agents`, and the states and keys given to `begin`, have a leading axis over the agents.
    """

    def __init__(
        self,
        agents: Agent,
        environment: Environment,
        *,
        episodes: int,
        greedy: bool,
        max_episode_steps: int,
    ):
        self._static, self._agents = (environment, episodes, greedy), agents
        self._limit = max_episode_steps
        self._begun = False
        self._states: PyTree = None
        self._keys: Any = None
        self._episodes: Any = None  # an `Episode`, after `begin`

    def begin(self, states: PyTree, keys: Array, like: Episode) -> None:
        """Forget the former episodes; the next call of `advance` begins new ones.

        `like` are the shapes of one episode (`episode_shapes`).
        """
        if self._episodes is None:
            sizes = len(keys), self._static[1]
            batched = lambda leaf: jax.ShapeDtypeStruct((*sizes, *leaf.shape), leaf.dtype)  # noqa: E731
            self._episodes = jax.tree.map(lambda leaf: zeros_like(batched(leaf)), like)
        self._states, self._keys, self._begun = states, keys, False

    def advance(self, count: int) -> None:
        """Run the episodes that have not ended for up to `count` steps."""
        # through NumPy, so that no conversion has to be compiled
        numbers = [jnp.array(np.int32(number)) for number in (self._begun, count, self._limit)]
        kept = self._static, self._agents, self._states, self._keys, *numbers
        self._episodes, self._begun = _advance(kept, self._episodes), True
        jax.block_until_ready(self._episodes.ended)

    @property
    def running(self) -> bool:
        """Whether any episode has neither ended nor reached the limit."""
        ended, steps = np.asarray(self._episodes.ended), np.asarray(self._episodes.steps)
        return not self._begun or bool((~ended & (steps < self._limit)).any())

    @property
    def returns(self) -> Returns:
        """As far as the episodes have come."""
        totals = np.asarray(self._episodes.episode_return, float)
        return Returns(totals, ~np.asarray(self._episodes.ended))


def finish(
    evaluations: Sequence[CompiledEvaluation],
    poll: Poll,
    apply: Callable[[Callable, Iterable], Iterable] = map,
) -> Returns:
    """Run several evaluations to their end, in slices; their agents follow each other.

    `apply` is `map`, or that of a pool of threads.
    """
    count = 0  # compile before the time of a step is measured
    while True:
        start = time.perf_counter()
        advance = functools.partial(CompiledEvaluation.advance, count=count)
        list(apply(advance, [each for each in evaluations if each.running]))
        took = time.perf_counter() - start
        parts = zip(*(each.returns for each in evaluations), strict=True)
        returns = Returns(*map(np.concatenate, parts))
        poll(Progress(int((~returns.cut).sum()), returns.cut.size))
        if not any(each.running for each in evaluations):
            return returns
        count = slicing.next_count(count, took, POLL_SECONDS) if count else FIRST_SLICE


def episode_shapes(environment: Environment, agents: Agent, states: PyTree) -> Episode:
    """The shapes of one episode; `agents` and `states` have a leading axis over agents."""

    def of_one(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) if eqx.is_array(leaf) else leaf

    def begin(agent: Agent, state: PyTree, key: Key) -> Episode:
        return begin_episode(agent.frozen(state), environment, key)

    one = jax.tree.map(of_one, (agents, states))
    return eqx.filter_eval_shape(begin, *one, jax.random.key(0))


def _begin(
    static: tuple[Environment, int, bool], agents: Agent, states: PyTree, keys: Array
) -> Episode:
    environment, episodes, _ = static

    def one_agent(agent: Agent, key: Key) -> Episode:
        keys = jax.random.split(key, episodes)
        return jax.vmap(lambda key: begin_episode(agent, environment, key))(keys)

    return eqx.filter_vmap(one_agent)(_frozen(static, agents, states), keys)


def _frozen(static: tuple[Environment, int, bool], agents: Agent, states: PyTree) -> Agent:
    freeze = lambda agent, state: agent.frozen(state, static[2])  # noqa: E731
    return eqx.filter_vmap(freeze, in_axes=eqx.if_array(0))(agents, states)


def _advance_all(
    kept: tuple[tuple[Environment, int, bool], Agent, PyTree, Array, Array, Array, Array],
    episodes: Episode,
) -> Episode:
    static, agents, states, keys, begun, count, limit = kept
    environment, number, _ = static
    frozen = _frozen(static, agents, states)

    def one_agent(agent: Agent, key: Key, episodes: Episode) -> Episode:
        keys = jax.random.split(key, number)
        step = lambda key, episode: step_episode(agent, environment, key, episode)  # noqa: E731
        return jax.vmap(step)(keys, episodes)

    def step(carry: tuple[Array, Episode]) -> tuple[Array, Episode]:
        time, episodes = carry
        stepped = eqx.filter_vmap(one_agent)(frozen, keys, episodes)
        going_on = jax.vmap(jax.vmap(jnp.where))
        return time + 1, jax.tree.map(
            lambda new, old: going_on(running(episodes), new, old), stepped, episodes
        )

    def running(episodes: Episode) -> Bool[Array, "agents episodes"]:
        return ~episodes.ended & (episodes.steps < limit)

    begin = lambda: _begin(static, agents, states, keys)  # noqa: E731
    episodes = jax.lax.cond(begun == 1, lambda: episodes, begin)
    more = lambda carry: (carry[0] < count) & running(carry[1]).any()  # noqa: E731
    return jax.lax.while_loop(more, step, (jnp.zeros((), jnp.int32), episodes))[1]


_advance = TracedProgram(_advance_all, lambda _, episodes: episodes, donate=True)
