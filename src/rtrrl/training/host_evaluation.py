"""Evaluation in environments that Python steps."""

import functools
import time
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from rtrrl.agents import Agent
from rtrrl.environments import VectorEnvironment
from rtrrl.environments.host import episode_seed
from rtrrl.training.evaluation_protocol import POLL_SECONDS, Poll, Progress, Returns
from rtrrl.types import PyTree
from rtrrl.utils.structure import Structure


class HostEvaluator:
    """Frozen agents side by side, compiled once for all evaluations of agents like these.

    `agents` and the states given to `run` have a leading axis over agents.
    """

    def __init__(self, agents: Agent, greedy: bool):
        self._agents, self._greedy = agents, greedy

    def run(
        self,
        states: PyTree,
        envs: VectorEnvironment,
        keys: Array,
        episodes: int,
        max_episode_steps: int,
        poll: Poll,
    ) -> Returns:
        """The returns of exactly `episodes` whole episodes of each agent.

        An agent that has finished its own continues, uncounted, until the others have.
        """
        agents = self._frozen(states)
        structure = Structure(agents)
        begin, step = _programs(structure)
        frozen = structure.arrays(agents)
        words = np.asarray(jax.vmap(jax.random.key_data)(keys)).reshape(len(keys), -1)
        returns: list[list[float]] = [[] for _ in words]
        cut: list[list[bool]] = [[] for _ in words]
        steps, polled = np.zeros(len(words), int), time.perf_counter()
        total, last = np.zeros(len(words)), np.ones(len(words), bool)
        counts = np.zeros(len(words), int)
        states, action = None, None
        while any(len(done) < episodes for done in returns):
            if last.any():
                numbered = np.column_stack([words, counts]).tolist()
                first = envs.reset([episode_seed(*row) for row in numbered], last)
                states, action = begin(frozen, states, keys, first, last, counts, action)
                total[last], steps[last], counts = 0.0, 0, counts + last
            timestep = envs.step(np.asarray(action))
            states, action = step(frozen, states, *timestep[:3])
            total, steps = total + timestep.reward, steps + 1
            last = timestep.last | (steps == max_episode_steps)
            for agent in np.flatnonzero(last):
                if len(returns[agent]) < episodes:
                    returns[agent].append(float(total[agent]))
                    cut[agent].append(not timestep.last[agent])
            if time.perf_counter() - polled > POLL_SECONDS:
                poll(Progress(sum(map(len, returns)), episodes * len(words)))
                polled = time.perf_counter()
        return Returns(np.array(returns), np.array(cut))

    def _frozen(self, states: PyTree) -> Agent:
        freeze = lambda agent, state: agent.frozen(state, self._greedy)  # noqa: E731
        return eqx.filter_vmap(freeze, in_axes=eqx.if_array(0))(self._agents, states)


@functools.lru_cache(maxsize=8)
def _programs(structure: Structure) -> tuple[Callable, Callable]:
    """`begin` and `step` of frozen agents, given their arrays."""

    def begin(frozen, states, keys, first, last, counts, action):
        def one(agent, key, observation, count):
            return agent.begin(agent.init(jax.random.fold_in(key, count)), observation)

        initial = eqx.filter_vmap(one)(structure.tree(frozen), keys, first, counts)
        if states is None:
            return initial
        select = jax.vmap(jax.numpy.where)
        return jax.tree.map(lambda new, old: select(last, new, old), initial, (states, action))

    def step(frozen, states, observation, reward, discount):
        def one(agent, state, *timestep):
            state, action, _ = agent.step(state, *timestep)
            return state, action

        return eqx.filter_vmap(one)(structure.tree(frozen), states, observation, reward, discount)

    return jax.jit(begin), jax.jit(step)
