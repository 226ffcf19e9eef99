"""Higher or lower: guess the next card from those that are gone."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Int8

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.types import Key, TimeStep

HIGHER, LOWER = range(2)


class HigherLowerState(eqx.Module):
    """The ranks in the order in which they are dealt, and the steps taken."""

    deck: Int8[Array, "cards"]
    time: Int[Array, ""]


class HigherLower(Environment):
    """Cards are dealt one a step; every action says whether the next is higher than the last.

    The observation is the rank of the card just dealt, one-hot (13 entries, the ace lowest).
    Actions: 0 higher, 1 lower. With N = 52 decks cards, the reward is 1/N for a right guess, −1/N
    for a wrong one and 0 if both ranks are the same. The episode terminates after N − 1 steps, as
    the last card is shown. A random policy's mean return is 0; counting cards helps.

    POPGym's levels: 1, 2 and 3 decks.

    **Raises** `RtrrlError` where there is no deck.

    Source: Morad et al., "POPGym: Benchmarking Partially Observable Reinforcement Learning", ICLR
    2023; behaviour of the package popgym 1.0.7.
    """

    decks: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        cards.require_decks(self.decks)

    @property
    def observation_space(self) -> Box:
        """The rank on the table, one-hot."""
        return Box.of(0, 1, (cards.RANKS,))

    @property
    def action_space(self) -> Discrete:
        """Higher, lower."""
        return Discrete(2)

    def reset(self, key: Key) -> tuple[HigherLowerState, Float[Array, "13"]]:
        """Shuffles, and deals the first card."""
        deck = cards.pack(key, cards.RANKS, self.decks)
        return HigherLowerState(deck, jnp.zeros((), jnp.int32)), cards.one_hot(deck[0], cards.RANKS)

    def step(
        self, key: Key, state: HigherLowerState, action: Int[Array, ""]
    ) -> tuple[HigherLowerState, TimeStep]:
        """Takes the guess and deals the next card; no random number is drawn."""
        del key
        n, time = state.deck.size, state.time + 1
        card, following = state.deck[state.time], state.deck[time]
        right = (following > card) == (action == HIGHER)
        reward = jnp.where(right, 1 / n, -1 / n)
        return HigherLowerState(state.deck, time), cards.answer(
            cards.one_hot(following, cards.RANKS),
            jnp.where(following == card, 0, reward),
            time == n - 1,
        )
