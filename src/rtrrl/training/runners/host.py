"""The seeds of a run in worlds that Python steps: the agents side by side in one compiled step.

A world on the host cannot be written to a file. What can is the seed and the actions of its present
episode, from which it is played again where a run goes on.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rtrrl.environments.host import HostEnvironment, VectorEnvironment, episode_seed
from rtrrl.environments.spaces import Box
from rtrrl.errors import RtrrlError, RunFolderError
from rtrrl.runs.config import RunConfig
from rtrrl.training.evaluation import evaluation_key
from rtrrl.training.host_evaluation import HostEvaluator
from rtrrl.training.loop import RunnerState, answered, begun, met
from rtrrl.training.runners.base import Runner
from rtrrl.types import PyTree, TimeStep
from rtrrl.utils.packing import Packing


class HostRunner(Runner):
    """Lives in step with worlds on the host."""

    first_slice: ClassVar[int] = 1  # a robot's may take a tenth of a second each

    def __init__(self, plan: RunConfig):
        super().__init__(plan)
        assert isinstance(plan.environment, HostEnvironment)
        if plan.num_envs > 1:
            raise RtrrlError(
                f"{plan.environment.name} is stepped on the host, one stream a seed: leave "
                f"--num-envs out"
            )
        self._environment = plan.environment
        self._open: VectorEnvironment | None = None
        self._arena: VectorEnvironment | None = None
        self._players = HostEvaluator(plan.agent, plan.greedy)
        self._episodes = np.zeros(len(plan.seeds), np.int32)
        self._actions: list[list[np.ndarray]] = [[] for _ in plan.seeds]
        self._packing = Packing(self._shapes())
        self._pack = jax.jit(lambda lives: (self._packing.pack(lives), lives.action))
        self._unpack = jax.jit(self._packing.unpack)
        self._step = jax.jit(self._answered, donate_argnums=0)
        self._restart = jax.jit(self._begun, donate_argnums=0)

    @property
    def shards(self) -> list[slice]:
        """All seeds in one."""
        return [slice(0, len(self._plan.seeds))]

    def births(self) -> list[RunnerState]:
        """Every seed at the start of its first episode."""
        seeds = jnp.array(self._plan.seeds, jnp.int32)
        everyone = np.ones(len(self._plan.seeds), bool)
        return [self._compiled(jax.jit(self._born)(seeds, self._reset(everyone)))]

    def advance(self, lives: list[RunnerState], count: int) -> list[RunnerState]:
        """World by world, agents all at once."""
        vectors, action = self._pack(lives[0])
        action = np.asarray(action)
        for _ in range(count):
            for record, each in zip(self._actions, action, strict=True):
                record.append(each)
            seen = self._worlds.step(action)
            vectors, action = self._step(vectors, *seen)
            if seen.last.any():
                first = self._reset(seen.last)
                vectors, action = self._restart(vectors, first, seen.last)
            action = np.asarray(action)
        return [self._unpack(vectors)]

    def evaluations(
        self, lives: list[RunnerState], step: int
    ) -> Float[np.ndarray, "seeds episodes"]:
        """In worlds of their own."""
        if self._arena is None:
            self._arena = self._environment.open(len(self._plan.seeds), self._in_processes)
        seeds = jnp.array(self._plan.seeds, jnp.int32)
        keys = jax.vmap(lambda seed: evaluation_key(seed, step))(seeds)
        return self._players.play(lives[0].agent, self._arena, keys, self._plan.episodes)

    def template(self, meta: dict[str, Any]) -> PyTree:
        """The shapes of lives and of the recorded actions."""
        lives = self._shapes()
        count, length = len(self._plan.seeds), meta.get("recorded")
        if not isinstance(length, int):
            raise RunFolderError("the checkpoint does not tell how far its episodes had got")
        record = jax.ShapeDtypeStruct((count, length, *lives.action.shape[1:]), lives.action.dtype)
        whole = jax.ShapeDtypeStruct((count,), np.int32)
        return [lives], {"actions": record, "steps": whole, "episodes": whole}

    def packed(self, lives: list[RunnerState]) -> tuple[PyTree, dict[str, Any]]:
        """With the actions of the present episodes, the shorter ones filled up."""
        steps = np.array([len(record) for record in self._actions], np.int32)
        length, action = int(steps.max()), np.asarray(lives[0].action)
        actions = np.zeros((len(steps), length, *action.shape[1:]), action.dtype)
        for row, record in zip(actions, self._actions, strict=True):
            row[: len(record)] = np.reshape(record, (len(record), *row.shape[1:]))
        episodes = jnp.array(self._episodes)
        kept = {"actions": jnp.array(actions), "steps": jnp.array(steps), "episodes": episodes}
        return (lives, kept), {"recorded": length}

    def agents(self, kept: PyTree) -> PyTree:
        """Those of the lives."""
        lives, _ = kept
        return lives[0].agent

    def unpacked(self, kept: PyTree) -> list[RunnerState]:
        """Plays the present episodes again, up to where they were."""
        lives, record = kept
        self._episodes = np.array(record["episodes"])
        steps, actions = np.array(record["steps"]), np.array(record["actions"])
        self._actions = [list(row[:n]) for row, n in zip(actions, steps, strict=True)]
        longest = int(steps.max())
        over = np.ones(len(steps), bool)
        # all arrive together: a world with fewer steps to go begins later, and plays on until then
        for time in range(longest + 1):
            ready = steps - longest + time
            if (begin := over | (ready == 0)).any():
                self._worlds.reset(self._seeds(), begin)
            if time < longest:
                row = [each[max(0, at)] for each, at in zip(actions, ready, strict=True)]
                over = self._worlds.step(np.stack(row)).last
        return [self._compiled(lives[0])]

    def close(self) -> None:
        """Ends worlds and their processes."""
        for worlds in (self._open, self._arena):
            if worlds is not None:
                worlds.close()

    def _compiled(self, lives: RunnerState) -> RunnerState:
        """The same lives, once what they are lived by is compiled, so that no clock counts that."""
        space = self._environment.observation_space
        assert isinstance(space, Box)
        count = len(self._plan.seeds)
        seen, number = np.zeros((count, space.size), np.float32), np.zeros(count, np.float32)
        never = np.zeros(count, bool)
        self._step(self._pack(lives)[0], seen, number, number, never)
        self._restart(self._pack(lives)[0], seen, never)
        return lives

    @property
    def _in_processes(self) -> bool:
        return self._plan.workers > 1

    @property
    def _worlds(self) -> VectorEnvironment:
        if self._open is None:
            self._open = self._environment.open(len(self._plan.seeds), self._in_processes)
        return self._open

    def _seeds(self) -> list[int]:
        pairs = zip(self._plan.seeds, self._episodes, strict=True)
        return [episode_seed(seed, int(number)) for seed, number in pairs]

    def _reset(self, which: np.ndarray) -> Float[np.ndarray, "seeds observed"]:
        """The next episode of the worlds `which`."""
        self._episodes = self._episodes + which.astype(np.int32)
        for i in np.flatnonzero(which):
            self._actions[i] = []
        return self._worlds.reset(self._seeds(), which)

    def _shapes(self) -> RunnerState:
        count = len(self._plan.seeds)
        space = self._environment.observation_space
        assert isinstance(space, Box)
        seen = jax.ShapeDtypeStruct((count, space.size), np.float32)
        return jax.eval_shape(self._born, jax.ShapeDtypeStruct((count,), np.int32), seen)

    def _born(
        self, seeds: Int[Array, "seeds"], observations: Float[Array, "seeds n"]
    ) -> RunnerState:
        def one(agent, seed, observation):
            return met(agent, None, observation, jax.random.key(seed))

        return eqx.filter_vmap(one, in_axes=(eqx.if_array(0), 0, 0))(
            self._plan.agent, seeds, observations
        )

    def _answered(self, vectors, *seen):
        def one(agent, life, *seen):
            return answered(agent, life, None, TimeStep(*seen))

        return self._all(one, vectors, *seen)

    def _begun(self, vectors, observations, last):
        def one(agent, life, observation, last):
            return begun(agent, life, None, observation, last)

        return self._all(one, vectors, observations, last)

    def _all(self, one, vectors, *arguments):
        """Over all seeds, from packed lives to packed lives and their actions."""
        axes = (eqx.if_array(0), 0, *(0 for _ in arguments))
        lives = self._packing.unpack(vectors)
        lives = eqx.filter_vmap(one, in_axes=axes)(self._plan.agent, lives, *arguments)
        return self._packing.pack(lives), lives.action
