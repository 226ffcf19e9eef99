"""The seeds of a run, spread over threads: each worker holds a shard of them.

The compiled loop leaves Python behind, so threads do run side by side, without any device setup.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rtrrl.agents import Agent
from rtrrl.environments import Environment
from rtrrl.evaluation import evaluate
from rtrrl.plans import Plan
from rtrrl.stream import Life, birth, live
from rtrrl.types import PyTree


def births(plan: Plan) -> list[Life]:
    """Every worker's seeds, newborn."""
    seeds = jnp.array(plan.seeds, jnp.int32)
    return [_born(_shard(plan.agent, part), plan.environment, seeds[part]) for part in plan.shards]


@eqx.filter_jit
def _born(agents: Agent, environment: Environment, seeds: Int[Array, "seeds"]) -> Life:
    def one_seed(agent: Agent, seed: Int[Array, ""]) -> Life:
        return birth(agent, environment, jax.random.key(seed))

    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, seeds)


@eqx.filter_jit(donate="all-except-first")
def _live(world: tuple[Agent, Environment, Any], lives: Life) -> Life:
    return live(*world[:2], lives, world[2])


def advance(plan: Plan, pool: ThreadPoolExecutor, lives: list[Life], count: int) -> list[Life]:
    """Every worker's seeds live `count` steps."""

    def work(part: slice, shard: Life) -> Life:
        world = _shard(plan.agent, part), plan.environment, jnp.array(count, jnp.int32)
        return jax.block_until_ready(_live(world, shard))

    return list(pool.map(work, plan.shards, lives))


def evaluations(
    plan: Plan, pool: ThreadPoolExecutor, lives: list[Life], step: int
) -> Float[np.ndarray, "seeds episodes"]:
    """The returns of every seed's agent, frozen as it is at `step`."""
    seeds = jnp.array(plan.seeds, jnp.int32)

    def work(part: slice, shard: Life) -> np.ndarray:
        agent, age = _shard(plan.agent, part), jnp.array(step, jnp.int32)
        how = plan.environment, plan.episodes, plan.greedy
        return np.asarray(_evaluate(how, agent, shard.agent, seeds[part], age))

    return np.concatenate(list(pool.map(work, plan.shards, lives)), dtype=float)


@eqx.filter_jit
def _evaluate(
    how: tuple[Environment, int, bool],
    agents: Agent,
    states: PyTree,
    seeds: Int[Array, "seeds"],
    age: Int[Array, ""],
) -> Float[Array, "seeds episodes"]:
    environment, episodes, greedy = how

    def one_seed(agent: Agent, state: PyTree, seed: Int[Array, ""]) -> Float[Array, "episodes"]:
        # apart from every key of the training stream, and new at every evaluation
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0x5EED), age)
        return evaluate(agent, state, environment, key, episodes, greedy)

    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0, 0))(agents, states, seeds)


def joined(lives: list[Life]) -> Life:
    """All workers' seeds along one axis."""
    return jax.tree.map(
        lambda *parts: jnp.concatenate(parts) if eqx.is_array(parts[0]) else parts[0], *lives
    )


def cleared(lives: list[Life]) -> list[Life]:
    """With empty tallies."""
    return [
        eqx.tree_at(lambda life: life.tally, shard, jax.tree.map(jnp.zeros_like, shard.tally))
        for shard in lives
    ]


def _shard(agent: Agent, part: slice) -> Agent:
    return jax.tree.map(lambda leaf: leaf[part] if eqx.is_array(leaf) else leaf, agent)
