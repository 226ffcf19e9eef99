"""Higher or lower: guess the next card from those that were dealt."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Discrete

HIGHER, LOWER = range(2)


class HigherLower(cards.DealGame):
    """Cards are dealt one a step; every action guesses whether the next is higher than the last.

    The observation is the rank of the card just dealt, one-hot (13 entries, the ace lowest).
    Actions: 0 higher, 1 lower. With N = 52 decks cards, the reward is 1/N for a right guess, −1/N
    for a wrong one and 0 if both ranks are the same. The episode terminates after N − 1 steps, with
    the last card. A random policy's mean return is 0; counting cards helps.

    POPGym's levels: 1, 2 and 3 decks.

    Source: POPGym (Morad et al., ICLR 2023), as in the package popgym 1.0.7.
    """

    kinds = cards.RANKS

    @property
    def action_space(self) -> Discrete:
        return Discrete(2)

    def reward(self, state: cards.DealState, action: Int[Array, ""]) -> Float[Array, ""]:
        card, following = state.deck[state.time], state.deck[state.time + 1]
        right = (following > card) == (action == HIGHER)
        return jnp.where(following == card, 0, jnp.where(right, 1 / self.size, -1 / self.size))
