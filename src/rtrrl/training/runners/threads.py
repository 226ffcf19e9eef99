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
from jaxtyping import Array, Int, UInt32

from rtrrl.agents import Agent
from rtrrl.agents.tracing import with_traced_settings
from rtrrl.environments import Environment
from rtrrl.environments.checks import checked
from rtrrl.runs.config import RunConfig
from rtrrl.training.compiled_evaluation import CompiledEvaluation, Episode, episode_shapes, finish
from rtrrl.training.evaluation import evaluation_key
from rtrrl.training.evaluation_protocol import Poll, Returns
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
        self._environment = checked(config.environment)
        self._pool = ThreadPoolExecutor(config.workers)
        several = config.num_envs > 1
        agent = config.agent.share_over_envs() if several else config.agent
        self._agent = with_traced_settings(agent, (len(config.seeds),))
        self._agents = [
            with_traced_settings(_part(agent, shard), (shard.stop - shard.start,))
            for shard in self.shards
        ]
        self._seeds = [_uint32(config.seeds[shard]) for shard in self.shards]
        self._evaluations = [
            CompiledEvaluation(
                agents,
                self._environment,
                episodes=config.episodes,
                greedy=config.greedy,
                max_episode_steps=config.max_episode_steps,
            )
            for agents in self._agents
        ]
        self._episode: Episode | None = None

    @property
    def shards(self) -> list[slice]:
        parts = np.array_split(np.arange(len(self._config.seeds)), self._config.workers)
        return [slice(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]

    def init(self, start: PyTree | None = None) -> list[RunnerState]:
        return _init(self._static(), self._agent, _uint32(self._config.seeds), start)

    def _static(self) -> tuple[Environment, int, tuple[tuple[int, int], ...]]:
        bounds = tuple((shard.start, shard.stop) for shard in self.shards)
        return self._environment, self._config.num_envs, bounds

    def advance(self, states: list[RunnerState], count: int) -> list[RunnerState]:
        def work(agents: Agent, shard: RunnerState) -> RunnerState:
            kept = agents, self._environment, self._config.num_envs, jnp.array(count, jnp.int32)
            return jax.block_until_ready(_advance(kept, shard))

        return list(self._pool.map(work, self._agents, states))

    def evaluate(self, states: list[RunnerState], step: int, poll: Poll) -> Returns:
        for i, evaluation in enumerate(self._evaluations):
            keys = _evaluation_keys(self._seeds[i], jnp.array(step, jnp.int32))
            agents = self.shard_agents(i, states[i])
            if self._episode is None:  # tracing them takes a tenth of a second
                self._episode = episode_shapes(self._environment, self._agents[i], agents)
            evaluation.begin(agents, keys, self._episode)
        return finish(self._evaluations, poll, self._pool.map)

    def template(self, meta: dict[str, Any]) -> PyTree:
        static, seeds = self._static(), _uint32(self._config.seeds)
        return eqx.filter_eval_shape(_init_all, static, self._agent, seeds, None)

    def to_saved(self, states: list[RunnerState]) -> tuple[PyTree, dict[str, Any]]:
        return states, {}

    def from_saved(self, saved: PyTree) -> list[RunnerState]:
        return saved

    def states_in(self, saved: PyTree) -> list[RunnerState]:
        return saved

    def shard_agents(self, shard: int, state: RunnerState) -> PyTree:
        """Those of each seed's first environment."""
        num_envs = self._config.num_envs
        if num_envs == 1:
            return state.agent_state
        return _first_agent_states(num_envs, self._agents[shard], state)

    def close(self) -> None:
        # a worker ends with its slice; after a second Ctrl-C nobody waits for it
        self._pool.shutdown(wait=False, cancel_futures=True)


def _init_all(
    static: tuple[Environment, int, tuple[tuple[int, int], ...]],
    agents: Agent,
    seeds: UInt32[Array, "seeds"],
    start: PyTree | None,
) -> list[RunnerState]:
    """All seeds in one program, which is compiled once whatever the sizes of the shards."""
    environment, num_envs, bounds = static

    def one_seed(agent: Agent, seed: UInt32[Array, ""], start: PyTree | None) -> RunnerState:
        return init_seed(agent, environment, jax.random.key(seed), num_envs, start)

    axes = (eqx.if_array(0), 0, eqx.if_array(0))
    states = eqx.filter_vmap(one_seed, in_axes=axes)(agents, seeds, start)
    return [_part(states, slice(*shard)) for shard in bounds]


def _init_like(
    static: tuple[Environment, int, tuple[tuple[int, int], ...]], agents: Agent, *_: Any
) -> list[RunnerState]:
    """The structure of the result of `_init_all`, which is that of states before any step."""
    environment, _num_envs, bounds = static

    def state(agents: Agent, key: Array) -> RunnerState:
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        env_state, _ = environment.reset(key)
        agent = jax.tree.map(lambda leaf: leaf[0] if eqx.is_array(leaf) else leaf, agents)
        return RunnerState(
            agent.init(key), env_state, zero, zero, key, none, none, EpisodeStatistics.zeros()
        )

    like = eqx.filter_eval_shape(state, agents, jax.random.key(0))
    return [like for _ in bounds]


@eqx.filter_jit
def _first_agent_states(num_envs: int, agents: Agent, states: RunnerState) -> PyTree:
    one_seed = lambda agent, state: first_agent_state(agent, state, num_envs)  # noqa: E731
    return eqx.filter_vmap(one_seed, in_axes=(eqx.if_array(0), 0))(agents, states)


@jax.jit
def _evaluation_keys(seeds: UInt32[Array, "seeds"], step: Int[Array, ""]) -> Array:
    return jax.vmap(lambda seed: evaluation_key(seed, step))(seeds)


def _advance_shard(kept: tuple[Agent, Environment, int, Any], states: RunnerState) -> RunnerState:
    agents, environment, num_envs, count = kept
    return train_steps(agents, environment, states, count, num_envs)


_init = TracedProgram(_init_all, _init_like)
_advance = TracedProgram(_advance_shard, lambda _, states: states, donate=True)


def _part(tree: PyTree, shard: slice) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[shard] if eqx.is_array(leaf) else leaf, tree)


def _uint32(seeds: tuple[int, ...]) -> UInt32[Array, "seeds"]:
    # through NumPy, so that no conversion has to be compiled
    return jnp.array(np.array(seeds, np.uint32))
