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
from rtrrl.evaluation import evaluate, evaluation_key
from rtrrl.plans import Plan
from rtrrl.stream import Life, births, live, representative
from rtrrl.types import PyTree
from rtrrl.workers.base import Workers


class ThreadWorkers(Workers):
    """Lives in worlds that are compiled together with the agents."""

    def __init__(self, plan: Plan):
        super().__init__(plan)
        assert isinstance(plan.environment, Environment)
        self._environment = plan.environment
        self._pool = ThreadPoolExecutor(plan.workers)
        self._agent = plan.agent.sharing() if plan.streams > 1 else plan.agent
        self._agents = [_shard(self._agent, part) for part in self.shards]
        self._seeds = [_numbers(plan.seeds[part]) for part in self.shards]

    @property
    def shards(self) -> list[slice]:
        """As even as can be."""
        parts = np.array_split(np.arange(len(self._plan.seeds)), self._plan.workers)
        return [slice(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]

    def births(self) -> list[Life]:
        """Every shard's seeds, newborn."""
        bounds = tuple((part.start, part.stop) for part in self.shards)
        how = self._environment, self._plan.streams, bounds
        return _born(how, self._agent, _numbers(self._plan.seeds))

    def advance(self, lives: list[Life], count: int) -> list[Life]:
        """The shards side by side."""

        def work(agents: Agent, shard: Life) -> Life:
            how = agents, self._environment, self._plan.streams, jnp.array(count, jnp.int32)
            return jax.block_until_ready(_live(how, shard))

        return list(self._pool.map(work, self._agents, lives))

    def evaluations(self, lives: list[Life], step: int) -> Float[np.ndarray, "seeds episodes"]:
        """The shards side by side, every episode of every seed at once."""
        plan = self._plan
        how = self._environment, plan.streams, plan.episodes, plan.greedy

        def work(agents: Agent, seeds: Array, shard: Life) -> np.ndarray:
            return np.asarray(_evaluate(how, agents, shard, seeds, jnp.array(step, jnp.int32)))

        returns = self._pool.map(work, self._agents, self._seeds, lives)
        return np.concatenate(list(returns), dtype=float)

    def template(self, meta: dict[str, Any]) -> PyTree:
        """The shapes of newborn lives."""
        return eqx.filter_eval_shape(self.births)

    def packed(self, lives: list[Life]) -> tuple[PyTree, dict[str, Any]]:
        """The lives are all there is."""
        return lives, {}

    def unpacked(self, kept: PyTree) -> list[Life]:
        """The lives."""
        return kept

    def agents(self, kept: PyTree) -> PyTree:
        """Of each seed's first stream."""
        return _representatives(self._plan.streams, self._plan.agent, kept)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()


@eqx.filter_jit
def _born(
    how: tuple[Environment, int, tuple[tuple[int, int], ...]],
    agents: Agent,
    seeds: Int[Array, "seeds"],
) -> list[Life]:
    """All seeds in one program, which is traced and compiled once whatever the shards' sizes."""
    environment, streams, bounds = how

    def one_seed(agent: Agent, seed: Int[Array, ""]) -> Life:
        return births(agent, environment, jax.random.key(seed), streams)

    lives = eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, seeds)
    return [_shard(lives, slice(*part)) for part in bounds]


@eqx.filter_jit
def _representatives(streams: int, agents: Agent, shards: list[Life]) -> PyTree:
    lives = jax.tree.map(
        lambda *parts: jnp.concatenate(parts) if eqx.is_array(parts[0]) else parts[0], *shards
    )
    one_seed = lambda agent, life: representative(agent, life, streams)  # noqa: E731
    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, lives)


@eqx.filter_jit(donate="all-except-first")
def _live(how: tuple[Agent, Environment, int, Any], lives: Life) -> Life:
    agents, environment, streams, count = how
    return live(agents, environment, lives, count, streams)


@eqx.filter_jit
def _evaluate(
    how: tuple[Environment, int, int, bool],
    agents: Agent,
    lives: Life,
    seeds: Int[Array, "seeds"],
    age: Int[Array, ""],
) -> Float[Array, "seeds episodes"]:
    environment, streams, episodes, greedy = how

    def one_seed(agent: Agent, life: Life, seed: Int[Array, ""]) -> Float[Array, "episodes"]:
        state = representative(agent, life, streams)
        return evaluate(agent, state, environment, evaluation_key(seed, age), episodes, greedy)

    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0, 0))(agents, lives, seeds)


def _shard(tree: PyTree, part: slice) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[part] if eqx.is_array(leaf) else leaf, tree)


def _numbers(seeds: tuple[int, ...]) -> Int[Array, "seeds"]:
    # by way of numpy, which need not compile a conversion
    return jnp.array(np.array(seeds, np.int32))
