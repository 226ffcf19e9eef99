"""Frozen agents that play on worlds which Python steps."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from rtrrl.agents import Agent
from rtrrl.environments import VectorEnvironment
from rtrrl.environments.host import episode_seed
from rtrrl.types import PyTree


class HostEvaluator:
    """Frozen agents side by side, compiled once for all evaluations of a run.

    `agents` and the states given to `play` have a leading axis over agents.
    """

    def __init__(self, agents: Agent, greedy: bool):
        self._agents, self._greedy = agents, greedy
        self._begin, self._step = jax.jit(self._begun), jax.jit(self._stepped)
        self._rest: Any = None

    def play(
        self, states: PyTree, worlds: VectorEnvironment, keys: Array, episodes: int
    ) -> Float[np.ndarray, "agents episodes"]:
        """The returns of exactly `episodes` whole episodes of each agent.

        An agent that has played all of its own goes on, uncounted, until the others have.
        """
        players = self._freeze(states)
        words = np.asarray(jax.vmap(jax.random.key_data)(keys)).reshape(len(keys), -1)
        returns: list[list[float]] = [[] for _ in words]
        total, last = np.zeros(len(words)), np.ones(len(words), bool)
        counts = np.zeros(len(words), int)
        seen: Any = None
        plays, action = None, None
        while any(len(done) < episodes for done in returns):
            if last.any():
                numbered = np.column_stack([words, counts]).tolist()
                first = worlds.reset([episode_seed(*row) for row in numbered], last)
                plays, action = self._begin(players, plays, keys, first, last, counts, action)
                total[last], counts = 0.0, counts + last
            seen = worlds.step(np.asarray(action))
            plays, action = self._step(players, plays, *seen[:3])
            total, last = total + seen.reward, seen.last
            for agent in np.flatnonzero(last):
                if len(returns[agent]) < episodes:
                    returns[agent].append(float(total[agent]))
        return np.array(returns)

    def _freeze(self, states: PyTree) -> list[Array]:
        freeze = lambda agent, state: agent.frozen(state, self._greedy)  # noqa: E731
        players = eqx.filter_vmap(freeze, in_axes=eqx.if_array(0))(self._agents, states)
        arrays, rest = eqx.partition(players, eqx.is_array)
        leaves, structure = jax.tree.flatten(arrays)
        self._rest = structure, rest
        return leaves  # a list is what a compiled function takes fastest

    def _player(self, leaves: list[Array]) -> Agent:
        structure, rest = self._rest
        return eqx.combine(jax.tree.unflatten(structure, leaves), rest)

    def _begun(self, leaves, plays, keys, first, last, counts, action):
        def one(player, key, observation, count):
            return player.begin(player.init(jax.random.fold_in(key, count)), observation)

        begun = eqx.filter_vmap(one)(self._player(leaves), keys, first, counts)
        if plays is None:
            return begun
        select = jax.vmap(lambda last, new, old: jax.numpy.where(last, new, old))
        return jax.tree.map(lambda new, old: select(last, new, old), begun, (plays, action))

    def _stepped(self, leaves, plays, observation, reward, discount):
        def one(player, play, *seen):
            play, action, _ = player.step(play, *seen)
            return play, action

        return eqx.filter_vmap(one)(self._player(leaves), plays, observation, reward, discount)
