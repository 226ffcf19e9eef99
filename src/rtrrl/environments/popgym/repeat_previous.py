"""Repeat previous: say at every step which card came a fixed number of steps ago."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Int8

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep


class RepeatPreviousState(eqx.Module):
    """The suits in the order in which they are dealt, and the steps taken."""

    deck: Int8[Array, "cards"]
    time: Int[Array, ""]


class RepeatPrevious(Environment):
    """Cards are dealt one a step; every action names the suit of the k-th last.

    k = 1 means the card that is seen when the action is chosen, k = 4 the one three steps before.
    N = 52 decks cards are dealt. The observation is the suit of the card just dealt, one-hot (4
    entries). Action: a suit, 0 … 3. Reward: 0 as long as fewer than k cards have been dealt, then
    1/(N − k) for the right suit and −1/(N − k) for a wrong one. The episode terminates after N − 1
    steps, as the last card is shown. The best return is 1, a random policy's mean −0.5.

    POPGym's levels: (decks, k) = (1, 4), (2, 32) and (3, 64).

    **Raises** `RtrrlError` where there is no deck, or k is below 1 or not below N.

    Source: Morad et al., "POPGym: Benchmarking Partially Observable Reinforcement Learning", ICLR
    2023; behaviour of the package popgym 1.0.7.
    """

    decks: int = eqx.field(static=True, default=1)
    k: int = eqx.field(static=True, default=4)

    def __check_init__(self):
        cards.require_decks(self.decks)
        if not 1 <= self.k < cards.DECK * self.decks:
            raise RtrrlError(
                f"the card to repeat is the k-th last with k from 1 to "
                f"{cards.DECK * self.decks - 1}, not {self.k}"
            )

    @property
    def observation_space(self) -> Box:
        """The suit on the table, one-hot."""
        return Box.of(0, 1, (cards.SUITS,))

    @property
    def action_space(self) -> Discrete:
        """A suit."""
        return Discrete(cards.SUITS)

    def reset(self, key: Key) -> tuple[RepeatPreviousState, Float[Array, "4"]]:
        """Shuffles, and deals the first card."""
        deck = cards.pack(key, cards.SUITS, self.decks)
        state = RepeatPreviousState(deck, jnp.zeros((), jnp.int32))
        return state, cards.one_hot(deck[0], cards.SUITS)

    def step(
        self, key: Key, state: RepeatPreviousState, action: Int[Array, ""]
    ) -> tuple[RepeatPreviousState, TimeStep]:
        """Takes the answer and deals the next card; no random number is drawn."""
        del key
        steps, scale = state.deck.size - 1, 1 / (state.deck.size - self.k)
        time = state.time + 1  # as many cards as have been seen when the action was chosen
        asked = state.deck[jnp.maximum(time - self.k, 0)]
        reward = jnp.where(action == asked, scale, -scale)
        shown = cards.one_hot(state.deck[time], cards.SUITS)
        return RepeatPreviousState(state.deck, time), cards.answer(
            shown, jnp.where(time >= self.k, reward, 0), time == steps
        )
