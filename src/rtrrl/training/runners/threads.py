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
from rtrrl.runs.config import RunConfig
from rtrrl.training.evaluation import evaluate, evaluation_key
from rtrrl.training.loop import RunnerState, births, live, representative
from rtrrl.training.runners.base import Runner
from rtrrl.types import PyTree


class ThreadRunner(Runner):
    """Lives in worlds that are compiled together with the agents."""

    def __init__(self, plan: RunConfig):
        super().__init__(plan)
        assert isinstance(plan.environment, Environment)
        self._environment = plan.environment
        self._pool = ThreadPoolExecutor(plan.workers)
        self._agent = plan.agent.sharing() if plan.num_envs > 1 else plan.agent
        self._agents = [_shard(self._agent, part) for part in self.shards]
        self._seeds = [_numbers(plan.seeds[part]) for part in self.shards]

    @property
    def shards(self) -> list[slice]:
        """As even as can be."""
        parts = np.array_split(np.arange(len(self._plan.seeds)), self._plan.workers)
        return [slice(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]

    def births(self) -> list[RunnerState]:
        """Every shard's seeds, newborn."""
        bounds = tuple((part.start, part.stop) for part in self.shards)
        how = self._environment, self._plan.num_envs, bounds
        return _born(how, self._agent, _numbers(self._plan.seeds))

    def advance(self, lives: list[RunnerState], count: int) -> list[RunnerState]:
        """The shards side by side."""

        def work(agents: Agent, shard: RunnerState) -> RunnerState:
            how = agents, self._environment, self._plan.num_envs, jnp.array(count, jnp.int32)
            return jax.block_until_ready(_live(how, shard))

        return list(self._pool.map(work, self._agents, lives))

    def evaluations(
        self, lives: list[RunnerState], step: int
    ) -> Float[np.ndarray, "seeds episodes"]:
        """The shards side by side, every episode of every seed at once."""
        plan = self._plan
        how = self._environment, plan.num_envs, plan.episodes, plan.greedy

        def work(agents: Agent, seeds: Array, shard: RunnerState) -> np.ndarray:
            return np.asarray(_evaluate(how, agents, shard, seeds, jnp.array(step, jnp.int32)))

        returns = self._pool.map(work, self._agents, self._seeds, lives)
        return np.concatenate(list(returns), dtype=float)

    def template(self, meta: dict[str, Any]) -> PyTree:
        """The shapes of newborn lives."""
        return eqx.filter_eval_shape(self.births)

    def packed(self, lives: list[RunnerState]) -> tuple[PyTree, dict[str, Any]]:
        """The lives are all there is."""
        return lives, {}

    def unpacked(self, kept: PyTree) -> list[RunnerState]:
        """The lives."""
        return kept

    def agents(self, kept: PyTree) -> PyTree:
        """Of each seed's first stream."""
        return _representatives(self._plan.num_envs, self._plan.agent, kept)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()


@eqx.filter_jit
def _born(
    how: tuple[Environment, int, tuple[tuple[int, int], ...]],
    agents: Agent,
    seeds: Int[Array, "seeds"],
) -> list[RunnerState]:
    """All seeds in one program, which is traced and compiled once whatever the shards' sizes."""
    environment, num_envs, bounds = how

    def one_seed(agent: Agent, seed: Int[Array, ""]) -> RunnerState:
        return births(agent, environment, jax.random.key(seed), num_envs)

    lives = eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, seeds)
    return [_shard(lives, slice(*part)) for part in bounds]


@eqx.filter_jit
def _representatives(num_envs: int, agents: Agent, shards: list[RunnerState]) -> PyTree:
    lives = jax.tree.map(
        lambda *parts: jnp.concatenate(parts) if eqx.is_array(parts[0]) else parts[0], *shards
    )
    one_seed = lambda agent, life: representative(agent, life, num_envs)  # noqa: E731
    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, lives)


@eqx.filter_jit(donate="all-except-first")
def _live(how: tuple[Agent, Environment, int, Any], lives: RunnerState) -> RunnerState:
    agents, environment, num_envs, count = how
    return live(agents, environment, lives, count, num_envs)


@eqx.filter_jit
def _evaluate(
    how: tuple[Environment, int, int, bool],
    agents: Agent,
    lives: RunnerState,
    seeds: Int[Array, "seeds"],
    age: Int[Array, ""],
) -> Float[Array, "seeds episodes"]:
    environment, num_envs, episodes, greedy = how

    def one_seed(agent: Agent, life: RunnerState, seed: Int[Array, ""]) -> Float[Array, "episodes"]:
        state = representative(agent, life, num_envs)
        return evaluate(agent, state, environment, evaluation_key(seed, age), episodes, greedy)

    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0, 0))(agents, lives, seeds)


def _shard(tree: PyTree, part: slice) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[part] if eqx.is_array(leaf) else leaf, tree)


def _numbers(seeds: tuple[int, ...]) -> Int[Array, "seeds"]:
    # by way of numpy, which need not compile a conversion
    return jnp.array(np.array(seeds, np.int32))
