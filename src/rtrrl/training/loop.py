"""The compiled loop: agents and their worlds, many seeds side by side."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rtrrl.agents import Agent
from rtrrl.environments import Environment
from rtrrl.learning.optimizers import ENVS_AXIS
from rtrrl.types import Key, PyTree, Scalar, TimeStep
from rtrrl.utils.prng import inline_threefry


class EpisodeStatistics(eqx.Module):
    """What one seed lived through since the tally was last cleared."""

    returns: Scalar
    """The sum of the returns of the episodes that ended."""
    episodes: Int[Array, ""]
    squared_td_error: Scalar
    entropy: Scalar
    steps: Int[Array, ""]

    @classmethod
    def empty(cls) -> "Tally":
        """Nothing yet."""
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        return cls(zero, none, zero, zero, none)


class RunnerState(eqx.Module):
    """One seed: an agent in its world, in the middle of an episode."""

    agent: PyTree
    world: PyTree
    action: Array
    episode_return: Scalar
    key: Key
    steps: Int[Array, ""]
    broken: Int[Array, ""]
    """The first step, counted from 1, at which the world gave a number that is not finite.

    −1 while there is none; an episode's first observation belongs to the step before it.
    """
    tally: EpisodeStatistics


def birth(agent: Agent, environment: Environment, key: Key) -> RunnerState:
    """A newborn agent at the start of its first episode."""
    world, observation = environment.reset(jax.random.split(key, 3)[1])
    return met(agent, world, observation, key)


def met(agent: Agent, world: PyTree, observation: Float[Array, "..."], key: Key) -> RunnerState:
    """A newborn agent that sees its first observation."""
    agent_key, _, life_key = jax.random.split(key, 3)
    state, action = agent.begin(agent.init(agent_key), observation)
    zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
    broken = _first(none - 1, jnp.isfinite(observation).all(), none)
    return RunnerState(
        state, world, action, zero, life_key, none, broken, EpisodeStatistics.empty()
    )


def births(agent: Agent, environment: Environment, key: Key, num_envs: int) -> RunnerState:
    """One seed: a newborn agent in its world or, with several streams, one in each of its worlds.

    Several streams have a leading axis of their own, less the parts that they share.
    """
    if num_envs == 1:
        return birth(agent, environment, key)
    lives = jax.vmap(lambda key: birth(agent, environment, key))(jax.random.split(key, num_envs))
    return _with_shared(agent, lives, lambda leaf: leaf[0])


def representative(agent: Agent, life: RunnerState, num_envs: int) -> PyTree:
    """The agent's state in the first of its streams."""
    if num_envs == 1:
        return life.agent
    own = _with_shared(agent, jax.tree.map(lambda _: True, life), lambda _: False)
    return jax.tree.map(lambda leaf, own: leaf[0] if own else leaf, life.agent, own.agent)


def live(
    agent: Agent,
    environment: Environment,
    lives: RunnerState,
    steps: Int[Array, ""],
    num_envs: int = 1,
) -> RunnerState:
    """`steps` steps of every seed; arrays among the agent's settings have one entry per seed."""
    # a processor goes through one seed's life while all of it lies in the nearest cache, an
    # accelerator needs all seeds at once to be busy
    go = _in_turn if jax.default_backend() == "cpu" else _side_by_side
    return go(agent, environment, lives, steps, num_envs)


def _in_turn(
    agent: Agent, environment: Environment, lives: RunnerState, steps: Int[Array, ""], num_envs: int
) -> RunnerState:
    """One seed after the other, each through all its steps."""
    settings, recipe = eqx.partition(agent, eqx.is_array)
    arrays, fixed = eqx.partition(lives, eqx.is_array)
    seeds = jax.tree.leaves(arrays)[0].shape[0]

    def one(i: Int[Array, ""], arrays: PyTree) -> PyTree:
        # with an axis of length 1 left: XLA makes faster code of that than of none
        alone = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, i, 1)  # noqa: E731
        own = eqx.combine(jax.tree.map(alone, settings), recipe)
        life = eqx.combine(jax.tree.map(alone, arrays), fixed)
        lived = eqx.filter(_side_by_side(own, environment, life, steps, num_envs), eqx.is_array)
        put = lambda leaf, new: jax.lax.dynamic_update_slice_in_dim(leaf, new, i, 0)  # noqa: E731
        return jax.tree.map(put, arrays, lived)

    return eqx.combine(jax.lax.fori_loop(0, seeds, one, arrays), fixed)


def _side_by_side(
    agent: Agent, environment: Environment, lives: RunnerState, steps: Int[Array, ""], num_envs: int
) -> RunnerState:
    """All seeds in step."""
    one_step, restart = _step, _restart_if
    if num_envs > 1:
        one_step, restart = _stepping_streams, _restarting_streams
    one_step = eqx.filter_vmap(one_step, in_axes=(eqx.if_array(0), None, 0))
    restart = eqx.filter_vmap(restart, in_axes=(eqx.if_array(0), None, 0, 0))

    def turn(_, lives: RunnerState) -> RunnerState:
        lives, last = one_step(agent, environment, lives)
        # one branch for all seeds: while none has ended, nothing of a new episode is computed
        return jax.lax.cond(
            last.any(), lambda lives: restart(agent, environment, lives, last), lambda x: x, lives
        )

    return jax.lax.fori_loop(0, steps, turn, lives)


def _step(
    agent: Agent, environment: Environment, life: RunnerState
) -> tuple[RunnerState, Bool[Array, ""]]:
    """The world answers, the agent learns and acts."""
    key = jax.random.fold_in(inline_threefry(life.key), 2 * life.steps)
    world, seen = environment.step(key, life.world, life.action)
    return answered(agent, life, world, seen), seen.last


def answered(agent: Agent, life: RunnerState, world: PyTree, seen: TimeStep) -> RunnerState:
    """The agent learns from what it has seen, and acts."""
    state, action, info = agent.step(life.agent, seen.observation, seen.reward, seen.discount)
    # a world that was given nonsense is not to blame for its answer
    finite = jnp.isfinite(seen.reward) & jnp.isfinite(seen.observation).all()
    finite |= ~jnp.isfinite(life.action).all()
    earned = life.episode_return + seen.reward
    tally = EpisodeStatistics(
        returns=life.tally.returns + jnp.where(seen.last, earned, 0.0),
        episodes=life.tally.episodes + seen.last,
        squared_td_error=life.tally.squared_td_error + info.td_error**2,
        entropy=life.tally.entropy + info.entropy,
        steps=life.tally.steps + 1,
    )
    return RunnerState(
        agent=state,
        world=world,
        action=action,
        episode_return=jnp.where(seen.last, 0.0, earned),
        key=life.key,
        steps=life.steps + 1,
        broken=_first(life.broken, finite, life.steps + 1),
        tally=tally,
    )


def _restart_if(
    agent: Agent, environment: Environment, life: RunnerState, last: Bool[Array, ""]
) -> RunnerState:
    """The next episode's beginning where the last one is over."""
    world, observation = environment.reset(
        jax.random.fold_in(inline_threefry(life.key), 2 * life.steps + 1)
    )
    return begun(agent, life, world, observation, last)


def begun(
    agent: Agent,
    life: RunnerState,
    world: PyTree,
    observation: Float[Array, "..."],
    last: Bool[Array, ""],
) -> RunnerState:
    """The agent begins an episode where the last one is over; elsewhere nothing changes."""
    state, action = agent.begin(life.agent, observation)
    broken = _first(life.broken, jnp.isfinite(observation).all(), life.steps)
    after = eqx.tree_at(
        lambda life: (life.agent, life.world, life.action, life.broken),
        life,
        (state, world, action, broken),
        is_leaf=_is_none,
    )
    # what an episode's beginning leaves alone, such as the weights, is handed on untouched
    return jax.tree.map(
        lambda new, old: old if new is old else jnp.where(last, new, old), after, life
    )


def _stepping_streams(
    agent: Agent, environment: Environment, lives: RunnerState
) -> tuple[RunnerState, Bool[Array, "streams"]]:
    axes = _with_shared(agent, jax.tree.map(lambda _: 0, lives), lambda _: None)
    step = lambda life: _step(agent, environment, life)  # noqa: E731
    return jax.vmap(step, (axes,), (axes, 0), axis_name=ENVS_AXIS)(lives)


def _restarting_streams(
    agent: Agent, environment: Environment, lives: RunnerState, last: Bool[Array, "streams"]
) -> RunnerState:
    axes = _with_shared(agent, jax.tree.map(lambda _: 0, lives), lambda _: None)
    restart = lambda life, last: _restart_if(agent, environment, life, last)  # noqa: E731
    return jax.vmap(restart, (axes, 0), axes)(lives, last)


def _with_shared(agent: Agent, lives: RunnerState, change: Callable[[Any], Any]) -> RunnerState:
    """`change` applied to every leaf that the streams of one agent share."""
    return eqx.tree_at(
        lambda life: agent.shared(life.agent),
        lives,
        replace_fn=lambda part: jax.tree.map(change, part),
        is_leaf=_is_none,
    )


def _is_none(node: Any) -> bool:
    return node is None


def _first(broken: Int[Array, ""], finite: Bool[Array, ""], step: Int[Array, ""]) -> Array:
    """The step at which numbers ceased to be finite, if `broken` does not name one already."""
    return jnp.where(finite | (broken >= 0), broken, step)
