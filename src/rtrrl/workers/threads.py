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
from rtrrl.workers.base import Workers, joined


class ThreadWorkers(Workers):
    """Lives in worlds that are compiled together with the agents."""

    def __init__(self, plan: Plan):
        super().__init__(plan)
        assert isinstance(plan.environment, Environment)
        self._environment = plan.environment
        self._pool = ThreadPoolExecutor(plan.workers)
        agent = plan.agent.sharing() if plan.streams > 1 else plan.agent
        self._agents = [_shard(agent, part) for part in self.shards]
        seeds = jnp.array(plan.seeds, jnp.int32)
        self._seeds = [seeds[part] for part in self.shards]

    @property
    def shards(self) -> list[slice]:
        """As even as can be."""
        parts = np.array_split(np.arange(len(self._plan.seeds)), self._plan.workers)
        return [slice(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]

    def births(self) -> list[Life]:
        """Every shard's seeds, newborn."""
        how = self._environment, self._plan.streams
        return [_born(how, *shard) for shard in zip(self._agents, self._seeds, strict=True)]

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
        plan, lives = self._plan, joined(kept)
        one_seed = lambda agent, life: representative(agent, life, plan.streams)  # noqa: E731
        return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(plan.agent, lives)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()


@eqx.filter_jit
def _born(how: tuple[Environment, int], agents: Agent, seeds: Int[Array, "seeds"]) -> Life:
    environment, streams = how

    def one_seed(agent: Agent, seed: Int[Array, ""]) -> Life:
        return births(agent, environment, jax.random.key(seed), streams)

    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, seeds)


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


def _shard(agent: Agent, part: slice) -> Agent:
    return jax.tree.map(lambda leaf: leaf[part] if eqx.is_array(leaf) else leaf, agent)
