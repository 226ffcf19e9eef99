"""The seeds of a run in environments that Python steps, their agents in one compiled step.

Such an environment cannot be written to a file. Saved are the seed and the actions of its current
episode, which is replayed when a run is resumed.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from rtrrl.environments.host import HostEnvironment, VectorEnvironment, episode_seed
from rtrrl.environments.spaces import Box
from rtrrl.errors import RtrrlError, RunFolderError
from rtrrl.runs.config import RunConfig
from rtrrl.training.evaluation import evaluation_key
from rtrrl.training.evaluation_protocol import Poll, Returns
from rtrrl.training.host_evaluation import HostEvaluator
from rtrrl.training.loop import RunnerState, after_first_observation, after_reset, after_step
from rtrrl.training.runners.base import Runner
from rtrrl.types import PyTree, TimeStep
from rtrrl.utils.packing import Packing


class HostRunner(Runner):
    """Steps the environments one by one, and all agents at once."""

    first_slice: ClassVar[int] = 1  # a robot's step may take a tenth of a second

    def __init__(self, config: RunConfig):
        super().__init__(config)
        assert isinstance(config.environment, HostEnvironment)
        if config.num_envs > 1:
            raise RtrrlError(
                f"{config.environment.name} is stepped on the host, in one environment per seed: "
                f"num_envs must be 1, not {config.num_envs}"
            )
        self._environment = config.environment
        self._train_envs: VectorEnvironment | None = None
        self._eval_envs: VectorEnvironment | None = None
        self._evaluator = HostEvaluator(config.agent, config.greedy)
        self._episodes = np.zeros(len(config.seeds), np.int32)
        self._actions: list[list[np.ndarray]] = [[] for _ in config.seeds]
        self._packing = Packing(self._shapes())
        self._pack = jax.jit(lambda states: (self._packing.pack(states), states.action))
        self._unpack = jax.jit(self._packing.unpack)
        self._step = jax.jit(self._after_step, donate_argnums=0)
        self._begin = jax.jit(self._after_reset, donate_argnums=0)

    @property
    def shards(self) -> list[slice]:
        return [slice(0, len(self._config.seeds))]

    def init(self, start: PyTree | None = None) -> list[RunnerState]:
        seeds = jnp.array(self._config.seeds, jnp.uint32)
        observations = self._reset(np.ones(len(self._config.seeds), bool))
        return [self._compiled(jax.jit(self._first)(seeds, observations, start))]

    def advance(self, states: list[RunnerState], count: int) -> list[RunnerState]:
        vectors, action = self._pack(states[0])
        action = np.asarray(action)
        for _ in range(count):
            for record, each in zip(self._actions, action, strict=True):
                record.append(each)
            timestep = self._envs.step(action)
            vectors, action = self._step(vectors, *timestep)
            if timestep.last.any():
                observations = self._reset(timestep.last)
                vectors, action = self._begin(vectors, observations, timestep.last)
            action = np.asarray(action)
        return [self._unpack(vectors)]

    def evaluate(self, states: list[RunnerState], step: int, poll: Poll) -> Returns:
        """In environments of their own."""
        if self._eval_envs is None:
            self._eval_envs = self._make_envs()
        config, seeds = self._config, jnp.array(self._config.seeds, jnp.uint32)
        keys = jax.vmap(lambda seed: evaluation_key(seed, step))(seeds)
        return self._evaluator.run(
            states[0].agent_state,
            self._eval_envs,
            keys,
            config.episodes,
            config.max_episode_steps,
            poll,
        )

    def template(self, meta: dict[str, Any]) -> PyTree:
        states = self._shapes()
        count, length = len(self._config.seeds), meta.get("recorded")
        if not isinstance(length, int):
            raise RunFolderError("the checkpoint lacks the length of its current episodes")
        action = states.action
        record = jax.ShapeDtypeStruct((count, length, *action.shape[1:]), action.dtype)
        numbers = jax.ShapeDtypeStruct((count,), np.int32)
        return [states], {"actions": record, "steps": numbers, "episodes": numbers}

    def to_saved(self, states: list[RunnerState]) -> tuple[PyTree, dict[str, Any]]:
        """With the actions of the current episodes, the shorter ones padded."""
        steps = np.array([len(record) for record in self._actions], np.int32)
        length, action = int(steps.max()), np.asarray(states[0].action)
        actions = np.zeros((len(steps), length, *action.shape[1:]), action.dtype)
        for row, record in zip(actions, self._actions, strict=True):
            row[: len(record)] = np.reshape(record, (len(record), *row.shape[1:]))
        episodes = jnp.array(self._episodes)
        record = {"actions": jnp.array(actions), "steps": jnp.array(steps), "episodes": episodes}
        return (states, record), {"recorded": length}

    def states_in(self, saved: PyTree) -> list[RunnerState]:
        states, _ = saved
        return states

    def from_saved(self, saved: PyTree) -> list[RunnerState]:
        """Replays the current episodes up to where they were."""
        states, record = saved
        self._episodes = np.array(record["episodes"])
        steps, actions = np.array(record["steps"]), np.array(record["actions"])
        self._actions = [list(row[:n]) for row, n in zip(actions, steps, strict=True)]
        longest = int(steps.max())
        last = np.ones(len(steps), bool)
        # all finish together: an environment with fewer steps to replay is reset later
        for time in range(longest + 1):
            index = steps - longest + time
            if (mask := last | (index == 0)).any():
                self._envs.reset(self._episode_seeds(), mask)
            if time < longest:
                row = [each[max(0, at)] for each, at in zip(actions, index, strict=True)]
                last = self._envs.step(np.stack(row)).last
        return [self._compiled(states[0])]

    def close(self) -> None:
        for envs in (self._train_envs, self._eval_envs):
            if envs is not None:
                envs.close()

    def _compiled(self, states: RunnerState) -> RunnerState:
        """The same states, after compiling the step, so that no speed includes compilation."""
        space = self._environment.observation_space
        assert isinstance(space, Box)
        count = len(self._config.seeds)
        observation, number = np.zeros((count, space.size), np.float32), np.zeros(count, np.float32)
        last = np.zeros(count, bool)
        self._step(self._pack(states)[0], observation, number, number, last)
        self._begin(self._pack(states)[0], observation, last)
        return states

    def _make_envs(self) -> VectorEnvironment:
        processes = self._config.workers > 1
        return self._environment.make_vector(len(self._config.seeds), processes)

    @property
    def _envs(self) -> VectorEnvironment:
        if self._train_envs is None:
            self._train_envs = self._make_envs()
        return self._train_envs

    def _episode_seeds(self) -> list[int]:
        pairs = zip(self._config.seeds, self._episodes, strict=True)
        return [episode_seed(seed, int(number)) for seed, number in pairs]

    def _reset(self, mask: np.ndarray) -> Float[np.ndarray, "seeds observation"]:
        """The next episode of the environments in `mask`."""
        self._episodes = self._episodes + mask.astype(np.int32)
        for i in np.flatnonzero(mask):
            self._actions[i] = []
        return self._envs.reset(self._episode_seeds(), mask)

    def _shapes(self) -> RunnerState:
        count = len(self._config.seeds)
        space = self._environment.observation_space
        assert isinstance(space, Box)
        observation = jax.ShapeDtypeStruct((count, space.size), np.float32)
        seeds = jax.ShapeDtypeStruct((count,), np.uint32)
        return jax.eval_shape(self._first, seeds, observation, None)

    def _first(
        self,
        seeds: UInt32[Array, "seeds"],
        observations: Float[Array, "seeds n"],
        start: PyTree | None,
    ) -> RunnerState:
        def one(agent, seed, observation, start):
            return after_first_observation(agent, None, observation, jax.random.key(seed), start)

        return eqx.filter_vmap(one, in_axes=(eqx.if_array(0), 0, 0, eqx.if_array(0)))(
            self._config.agent, seeds, observations, start
        )

    def _after_step(self, vectors, *timestep):
        def one(agent, state, *timestep):
            return after_step(agent, state, None, TimeStep(*timestep))

        return self._over_seeds(one, vectors, *timestep)

    def _after_reset(self, vectors, observations, last):
        def one(agent, state, observation, last):
            return after_reset(agent, state, None, observation, last)

        return self._over_seeds(one, vectors, observations, last)

    def _over_seeds(self, one, vectors, *arguments):
        """From packed states to packed states and their actions."""
        axes = (eqx.if_array(0), 0, *(0 for _ in arguments))
        states = self._packing.unpack(vectors)
        states = eqx.filter_vmap(one, in_axes=axes)(self._config.agent, states, *arguments)
        return self._packing.pack(states), states.action
