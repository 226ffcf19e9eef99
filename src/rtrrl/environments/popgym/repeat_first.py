"""Repeat first: say at every step which card came first."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Int8

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.types import Key, TimeStep


class RepeatFirstState(eqx.Module):
    """The suits in the order in which they are dealt, and the steps taken."""

    deck: Int8[Array, "cards"]
    time: Int[Array, ""]


class RepeatFirst(Environment):
    """Cards are dealt one a step; every action names the suit of the first.

    N = 52 decks cards are dealt. The observation is the suit of the card just dealt, one-hot (4
    entries); nothing marks the first one. Action: a suit, 0 … 3. Reward: 1/(N − 1) if it is that of
    the first card, else −1/(N − 1). The episode terminates after N − 1 steps, as the last card is
    shown. The best return is 1, a random policy's mean −0.5.

    POPGym's levels: 1, 8 and 16 decks.

    **Raises** `RtrrlError` where there is no deck.

    Source: Morad et al., "POPGym: Benchmarking Partially Observable Reinforcement Learning", ICLR
    2023; behaviour of the package popgym 1.0.7.
    """

    decks: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        cards.require_decks(self.decks)

    @property
    def observation_space(self) -> Box:
        """The suit on the table, one-hot."""
        return Box.of(0, 1, (cards.SUITS,))

    @property
    def action_space(self) -> Discrete:
        """A suit."""
        return Discrete(cards.SUITS)

    def reset(self, key: Key) -> tuple[RepeatFirstState, Float[Array, "4"]]:
        """Shuffles, and deals the card to be remembered."""
        deck = cards.pack(key, cards.SUITS, self.decks)
        return RepeatFirstState(deck, jnp.zeros((), jnp.int32)), cards.one_hot(deck[0], cards.SUITS)

    def step(
        self, key: Key, state: RepeatFirstState, action: Int[Array, ""]
    ) -> tuple[RepeatFirstState, TimeStep]:
        """Takes the answer and deals the next card; no random number is drawn."""
        del key
        steps = state.deck.size - 1
        time = state.time + 1
        reward = jnp.where(action == state.deck[0], 1 / steps, -1 / steps)
        shown = cards.one_hot(state.deck[time], cards.SUITS)
        return RepeatFirstState(state.deck, time), cards.answer(shown, reward, time == steps)
