"""Count recall: say how often a card has been seen."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Int8

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.types import Key, TimeStep


class CountRecallState(eqx.Module):
    """Two shuffled packs, how many of each kind of the first were dealt, and the steps taken."""

    values: Int8[Array, "cards"]
    queries: Int8[Array, "cards"]
    counts: Int[Array, "kinds"]
    time: Int[Array, ""]


class CountRecall(Environment):
    """Each step deals a value and a query; the action says how many values were of that kind.

    Both come from packs of their own with N = 52 decks cards of K `kinds` (2 colours, 4 suits or 13
    ranks). The observation has 2K entries, [value one-hot, query one-hot]. Action: the number of
    values dealt so far, the one on the table included, that are of the query's kind: 0 … N/K.
    Reward: 1/(N − 1) if it is right, else −1/(N − 1). The episode terminates after N − 1 steps, as
    the last cards are shown. The best return is 1, a random policy's mean 2/(N/K + 1) − 1.

    POPGym's levels: (decks, kinds) = (1, 2), (2, 4) and (4, 13).

    **Raises** `RtrrlError` where there is no deck, or the kinds are not 2, 4 or 13.

    Source: Morad et al., "POPGym: Benchmarking Partially Observable Reinforcement Learning", ICLR
    2023; behaviour of the package popgym 1.0.7.
    """

    decks: int = eqx.field(static=True, default=1)
    kinds: int = eqx.field(static=True, default=cards.COLORS)

    def __check_init__(self):
        cards.require_decks(self.decks)
        cards.require_kinds(self.kinds, (cards.COLORS, cards.SUITS, cards.RANKS))

    @property
    def observation_space(self) -> Box:
        """[value one-hot, query one-hot]."""
        return Box.of(0, 1, (2 * self.kinds,))

    @property
    def action_space(self) -> Discrete:
        """None of the kind up to all there are."""
        return Discrete(cards.DECK * self.decks // self.kinds + 1)

    def reset(self, key: Key) -> tuple[CountRecallState, Float[Array, " 2*{self.kinds}"]]:
        """Shuffles both packs, and deals the first value and query."""
        key_values, key_queries = jax.random.split(key)
        values = cards.pack(key_values, self.kinds, self.decks)
        queries = cards.pack(key_queries, self.kinds, self.decks)
        return self._dealt(values, queries, jnp.zeros(self.kinds, jnp.int32), jnp.int32(0))

    def step(
        self, key: Key, state: CountRecallState, action: Int[Array, ""]
    ) -> tuple[CountRecallState, TimeStep]:
        """Takes the answer and deals the next two cards; no random number is drawn."""
        del key
        steps, time = state.values.size - 1, state.time + 1
        right = action == state.counts[state.queries[state.time]]
        reward = jnp.where(right, 1 / steps, -1 / steps)
        state, observation = self._dealt(state.values, state.queries, state.counts, time)
        return state, cards.answer(observation, reward, time == steps)

    def _dealt(
        self,
        values: Int8[Array, "cards"],
        queries: Int8[Array, "cards"],
        counts: Int[Array, "kinds"],
        time: Int[Array, ""],
    ) -> tuple[CountRecallState, Float[Array, " 2*{self.kinds}"]]:
        value = cards.one_hot(values[time], self.kinds)
        query = cards.one_hot(queries[time], self.kinds)
        state = CountRecallState(values, queries, counts + value.astype(jnp.int32), time)
        return state, jnp.concatenate([value, query])
