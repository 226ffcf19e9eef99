"""Count recall: name how often a kind of card was dealt."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Int8

from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.types import Key, TimeStep


class CountRecallState(eqx.Module):
    """Two shuffled packs, how many of each kind of the first were dealt, and the steps."""

    values: Int8[Array, "cards"]
    queries: Int8[Array, "cards"]
    counts: Int[Array, "kinds"]
    time: Int[Array, ""]


class CountRecall(cards.CardGame):
    """Each step deals a value and a query; the action is the number of values of that kind.

    Both come from packs of their own with N = 52 decks cards of K `kinds` (2 colors, 4 suits or 13
    ranks). The observation has 2K entries, [value one-hot, query one-hot]. Action: the number of
    values dealt so far, the one on the table included, that are of the query's kind: 0 … N/K.
    Reward: 1/(N − 1) if it is right, else −1/(N − 1). The episode terminates after N − 1 steps,
    with the last cards. The best return is 1, a random policy's mean 2/(N/K + 1) − 1. Steps are
    deterministic.

    POPGym's levels: (decks, kinds) = (1, 2), (2, 4) and (4, 13).

    **Raises** `RtrrlError` where there is no deck, or the kinds are not 2, 4 or 13.

    Source: POPGym (Morad et al., ICLR 2023), as in the package popgym 1.0.7.
    """

    kinds: int = eqx.field(static=True, default=cards.COLORS)

    def __check_init__(self):
        cards.require_kinds(self.kinds, (cards.COLORS, cards.SUITS, cards.RANKS))

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (2 * self.kinds,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.size // self.kinds + 1)

    def reset(self, key: Key) -> tuple[CountRecallState, Float[Array, " 2*{self.kinds}"]]:
        values, queries = (self.shuffled_kinds(k, self.kinds) for k in jax.random.split(key))
        return self._deal(values, queries, jnp.zeros(self.kinds, jnp.int32), jnp.int32(0))

    def step(
        self, key: Key, state: CountRecallState, action: Int[Array, ""]
    ) -> tuple[CountRecallState, TimeStep]:
        steps, time = self.size - 1, state.time + 1
        right = action == state.counts[state.queries[state.time]]
        reward = jnp.where(right, 1 / steps, -1 / steps)
        state, observation = self._deal(state.values, state.queries, state.counts, time)
        return state, cards.terminating(observation, reward, time == steps)

    def _deal(
        self,
        values: Int8[Array, "cards"],
        queries: Int8[Array, "cards"],
        counts: Int[Array, "kinds"],
        time: Int[Array, ""],
    ) -> tuple[CountRecallState, Float[Array, " 2*{self.kinds}"]]:
        value, query = (cards.one_hot(pack[time], self.kinds) for pack in (values, queries))
        state = CountRecallState(values, queries, counts + value.astype(jnp.int32), time)
        return state, jnp.concatenate([value, query])
