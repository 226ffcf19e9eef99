"""The seeds of a run on threads, each with a shard of them and a compiled loop.

The compiled loop does not hold Python's lock, so that threads run in parallel without any device
setup (docs/decisions/0003).
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
from rtrrl.training.loop import (
    EpisodeStatistics,
    RunnerState,
    first_agent_state,
    init_seed,
    train_steps,
)
from rtrrl.training.runners.base import Runner
from rtrrl.types import PyTree
from rtrrl.utils.traced_programs import TracedProgram


class ThreadRunner(Runner):
    """Steps environments that are compiled together with the agents."""

    def __init__(self, config: RunConfig):
        super().__init__(config)
        assert isinstance(config.environment, Environment)
        self._environment = config.environment
        self._pool = ThreadPoolExecutor(config.workers)
        several = config.num_envs > 1
        self._agent = config.agent.share_over_envs() if several else config.agent
        self._agents = [_part(self._agent, shard) for shard in self.shards]
        self._seeds = [_int32(config.seeds[shard]) for shard in self.shards]

    @property
    def shards(self) -> list[slice]:
        parts = np.array_split(np.arange(len(self._config.seeds)), self._config.workers)
        return [slice(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]

    def init(self) -> list[RunnerState]:
        return _init(self._static(), self._agent, _int32(self._config.seeds))

    def _static(self) -> tuple[Environment, int, tuple[tuple[int, int], ...]]:
        bounds = tuple((shard.start, shard.stop) for shard in self.shards)
        return self._environment, self._config.num_envs, bounds

    def advance(self, states: list[RunnerState], count: int) -> list[RunnerState]:
        def work(agents: Agent, shard: RunnerState) -> RunnerState:
            kept = agents, self._environment, self._config.num_envs, jnp.array(count, jnp.int32)
            return jax.block_until_ready(_advance(kept, shard))

        return list(self._pool.map(work, self._agents, states))

    def evaluate(self, states: list[RunnerState], step: int) -> Float[np.ndarray, "seeds episodes"]:
        config = self._config
        static = self._environment, config.num_envs, config.episodes, config.greedy

        def work(agents: Agent, seeds: Array, shard: RunnerState) -> np.ndarray:
            return np.asarray(_evaluate(static, agents, shard, seeds, jnp.array(step, jnp.int32)))

        returns = self._pool.map(work, self._agents, self._seeds, states)
        return np.concatenate(list(returns), dtype=float)

    def template(self, meta: dict[str, Any]) -> PyTree:
        static, seeds = self._static(), _int32(self._config.seeds)
        return eqx.filter_eval_shape(_init_all, static, self._agent, seeds)

    def to_saved(self, states: list[RunnerState]) -> tuple[PyTree, dict[str, Any]]:
        return states, {}

    def from_saved(self, saved: PyTree) -> list[RunnerState]:
        return saved

    def agent_states(self, saved: PyTree) -> PyTree:
        """Of each seed's first environment."""
        return _first_agent_states(self._config.num_envs, self._config.agent, saved)

    def close(self) -> None:
        self._pool.shutdown()


def _init_all(
    static: tuple[Environment, int, tuple[tuple[int, int], ...]],
    agents: Agent,
    seeds: Int[Array, "seeds"],
) -> list[RunnerState]:
    """All seeds in one program, which is compiled once whatever the sizes of the shards."""
    environment, num_envs, bounds = static

    def one_seed(agent: Agent, seed: Int[Array, ""]) -> RunnerState:
        return init_seed(agent, environment, jax.random.key(seed), num_envs)

    states = eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, seeds)
    return [_part(states, slice(*shard)) for shard in bounds]


def _init_like(
    static: tuple[Environment, int, tuple[tuple[int, int], ...]], agents: Agent, _: Any
) -> list[RunnerState]:
    """The structure of the result of `_init_all`, which is that of states before any step."""
    environment, _num_envs, bounds = static

    def state(key: Array) -> RunnerState:
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        env_state, _ = environment.reset(key)
        return RunnerState(
            agents.init(key), env_state, zero, zero, key, none, none, EpisodeStatistics.zeros()
        )

    like = eqx.filter_eval_shape(state, jax.random.key(0))
    return [like for _ in bounds]


@eqx.filter_jit
def _first_agent_states(num_envs: int, agents: Agent, shards: list[RunnerState]) -> PyTree:
    states = jax.tree.map(
        lambda *parts: jnp.concatenate(parts) if eqx.is_array(parts[0]) else parts[0], *shards
    )
    one_seed = lambda agent, state: first_agent_state(agent, state, num_envs)  # noqa: E731
    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, states)


def _advance_shard(kept: tuple[Agent, Environment, int, Any], states: RunnerState) -> RunnerState:
    agents, environment, num_envs, count = kept
    return train_steps(agents, environment, states, count, num_envs)


def _evaluate_shard(
    static: tuple[Environment, int, int, bool],
    agents: Agent,
    states: RunnerState,
    seeds: Int[Array, "seeds"],
    step: Int[Array, ""],
) -> Float[Array, "seeds episodes"]:
    environment, num_envs, episodes, greedy = static

    def one_seed(agent: Agent, state: RunnerState, seed: Int[Array, ""]) -> Array:
        agent_state = first_agent_state(agent, state, num_envs)
        key = evaluation_key(seed, step)
        return evaluate(agent, agent_state, environment, key, episodes, greedy)

    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0, 0))(agents, states, seeds)


_init = TracedProgram(_init_all, _init_like)
_advance = TracedProgram(_advance_shard, lambda _, states: states, donate=True)
_evaluate = TracedProgram(_evaluate_shard, lambda *arguments: arguments[-1])


def _part(tree: PyTree, shard: slice) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[shard] if eqx.is_array(leaf) else leaf, tree)


def _int32(seeds: tuple[int, ...]) -> Int[Array, "seeds"]:
    # through NumPy, so that no conversion has to be compiled
    return jnp.array(np.array(seeds, np.int32))
