"""The seeds of a run in environments that Python steps, their agents in one compiled step.

Such an environment cannot be written to a file. Saved are the seed and the actions of its current
episode, which is replayed when a run is resumed.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

from rtrrl.agents.tracing import with_traced_settings
from rtrrl.environments.host import HostEnvironment, VectorEnvironment, episode_seed
from rtrrl.environments.spaces import Box
from rtrrl.errors import RtrrlError, RtrrlWarning, RunFolderError
from rtrrl.runs.config import RunConfig
from rtrrl.training.action_record import FORGOTTEN, LONGEST, ActionRecord
from rtrrl.training.evaluation import evaluation_key
from rtrrl.training.evaluation_protocol import Poll, Returns
from rtrrl.training.host_evaluation import HostEvaluator
from rtrrl.training.loop import RunnerState, after_first_observation, after_reset, after_step
from rtrrl.training.runners.base import Runner
from rtrrl.types import PyTree, TimeStep
from rtrrl.utils.packing import Packing
from rtrrl.utils.structure import Structure


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
        count, space = len(config.seeds), config.environment.observation_space
        assert isinstance(space, Box)
        self._size = space.size
        agent = with_traced_settings(config.agent, (count,))
        self._evaluator = HostEvaluator(agent, config.greedy)
        structure = Structure(agent)
        self._programs = _programs(structure, count, space.size)
        self._settings = structure.arrays(agent)
        self._episodes = np.zeros(count, np.int32)
        self._record = ActionRecord(
            count, self._programs.shapes.action, self._environment.replayable
        )

    @property
    def shards(self) -> list[slice]:
        return [slice(0, len(self._config.seeds))]

    def init(self, start: PyTree | None = None) -> list[RunnerState]:
        seeds = jnp.array(self._config.seeds, jnp.uint32)
        observations = self._reset(np.ones(len(self._config.seeds), bool))
        return [self._compiled(self._programs.first(self._settings, seeds, observations, start))]

    def advance(self, states: list[RunnerState], count: int) -> list[RunnerState]:
        programs, settings = self._programs, self._settings
        vectors, action = programs.pack(states[0])
        action = np.asarray(action)
        for _ in range(count):
            self._record.append(action)
            timestep = self._envs.step(action)
            vectors, action = programs.step(vectors, settings, *timestep)
            if timestep.last.any():
                observations = self._reset(timestep.last)
                vectors, action = programs.begin(vectors, settings, observations, timestep.last)
            action = np.asarray(action)
        return [programs.unpack(vectors)]

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
        states = self._programs.shapes
        count, length = len(self._config.seeds), meta.get("recorded")
        if not isinstance(length, int):
            raise RunFolderError("the checkpoint lacks the length of its current episodes")
        action = states.action
        record = jax.ShapeDtypeStruct((count, length, *action.shape[1:]), action.dtype)
        numbers = jax.ShapeDtypeStruct((count,), np.int32)
        return [states], {"actions": record, "steps": numbers, "episodes": numbers}

    def to_saved(self, states: list[RunnerState]) -> tuple[PyTree, dict[str, Any]]:
        """With the actions of the current episodes that can be replayed."""
        actions, lengths = self._record.saved()
        record = {"actions": actions, "steps": lengths, "episodes": self._episodes.copy()}
        return (states, record), {"recorded": actions.shape[1]}

    def states_in(self, saved: PyTree) -> list[RunnerState]:
        states, _ = saved
        return states

    def from_saved(self, saved: PyTree) -> list[RunnerState]:
        """Replays the current episodes up to where they were; forgotten ones end there."""
        states, record = saved
        actions, lengths = np.array(record["actions"]), np.array(record["steps"])
        forgotten = lengths == FORGOTTEN
        self._episodes = np.array(record["episodes"]) + forgotten
        self._record.load(actions, lengths)
        self._record.restart(forgotten)
        steps, last = np.maximum(lengths, 0), np.ones(len(lengths), bool)
        longest, observations = int(steps.max()), np.zeros((len(steps), self._size), np.float32)
        # all finish together: an environment with fewer steps to replay is reset later
        for time in range(longest + 1):
            index = steps - longest + time
            if (mask := last | (index == 0)).any():
                observations = self._envs.reset(self._episode_seeds(), mask)
            if time < longest:
                row = [each[max(0, at)] for each, at in zip(actions, index, strict=True)]
                last = self._envs.step(np.stack(row)).last
        continued = self._compiled(states[0])
        if not forgotten.any():
            return [continued]
        self._warn(forgotten)
        return [self._after_cut(continued, observations, forgotten)]

    def close(self) -> None:
        for envs in (self._train_envs, self._eval_envs):
            if envs is not None:
                envs.close()

    def _after_cut(
        self, states: RunnerState, observations: np.ndarray, cut: Bool[np.ndarray, " seeds"]
    ) -> RunnerState:
        """The agents begin another episode where `cut` is true, without having seen its end."""
        returns = jnp.where(cut, 0.0, states.episode_return)
        states = eqx.tree_at(lambda states: states.episode_return, states, returns)
        vectors, _ = self._programs.pack(states)
        vectors, _ = self._programs.begin(vectors, self._settings, observations, cut)
        return self._programs.unpack(vectors)

    def _warn(self, forgotten: Bool[np.ndarray, " seeds"]) -> None:
        seeds = [seed for seed, cut in zip(self._config.seeds, forgotten, strict=True) if cut]
        why = (
            f"has taken more than {LONGEST:,} steps"
            if self._environment.replayable
            else "cannot be replayed, since the environment is seeded once"
        )
        warnings.warn(
            f"the current episode of {self._environment.name} {why}: the next one begins (seeds "
            f"{', '.join(map(str, seeds))})",
            RtrrlWarning,
            stacklevel=2,
        )

    def _compiled(self, states: RunnerState) -> RunnerState:
        """The same states, after compiling the step, so that no speed includes compilation."""
        count, programs = len(self._config.seeds), self._programs
        observation = np.zeros((count, self._size), np.float32)
        number, last = np.zeros(count, np.float32), np.zeros(count, bool)
        programs.step(programs.pack(states)[0], self._settings, observation, number, number, last)
        programs.begin(programs.pack(states)[0], self._settings, observation, last)
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

    def _reset(self, mask: Bool[np.ndarray, " seeds"]) -> Float[np.ndarray, "seeds observation"]:
        """The next episode of the environments in `mask`."""
        self._episodes = self._episodes + mask.astype(np.int32)
        self._record.restart(mask)
        return self._envs.reset(self._episode_seeds(), mask)


class _Programs(NamedTuple):
    """Compiled for all seeds together; arrays of the agent's settings are arguments."""

    shapes: RunnerState
    first: Callable
    """Settings, seeds, observations, initial agents or None -> states."""
    pack: Callable
    """States -> vectors, actions."""
    unpack: Callable
    step: Callable
    """Vectors, settings, time step -> vectors, actions."""
    begin: Callable
    """Vectors, settings, observations, which seeds -> vectors, actions."""


@functools.lru_cache(maxsize=8)
def _programs(structure: Structure, count: int, size: int) -> _Programs:
    """The programs of `count` agents, given the structure of their settings."""

    def first(
        settings: list[Array],
        seeds: UInt32[Array, "seeds"],
        observations: Float[Array, "seeds n"],
        start: PyTree | None,
    ) -> RunnerState:
        def one(agent, seed, observation, start):
            return after_first_observation(agent, None, observation, jax.random.key(seed), start)

        return _over_seeds(one, structure.tree(settings), seeds, observations, start)

    def shapes() -> RunnerState:
        zeros = jnp.zeros((count, size)), None
        return first(structure.zeros(), jnp.zeros(count, jnp.uint32), *zeros)

    like = jax.eval_shape(shapes)
    packing = Packing(like)

    def after(one, vectors, settings, *arguments):
        states = packing.unpack(vectors)
        states = _over_seeds(one, structure.tree(settings), states, *arguments)
        return packing.pack(states), states.action

    def step(vectors, settings, *timestep):
        def one(agent, state, *timestep):
            return after_step(agent, state, None, TimeStep(*timestep))

        return after(one, vectors, settings, *timestep)

    def begin(vectors, settings, observations, last):
        def one(agent, state, observation, last):
            return after_reset(agent, state, None, observation, last)

        return after(one, vectors, settings, observations, last)

    return _Programs(
        shapes=like,
        first=jax.jit(first),
        pack=jax.jit(lambda states: (packing.pack(states), states.action)),
        unpack=jax.jit(packing.unpack),
        step=jax.jit(step, donate_argnums=0),
        begin=jax.jit(begin, donate_argnums=0),
    )


def _over_seeds(function: Callable, *arguments: Any) -> Any:
    return eqx.filter_vmap(function, in_axes=eqx.if_array(0))(*arguments)
