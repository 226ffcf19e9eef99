"""Repeat first: name the first card at every step."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.environments.popgym.cards import DealGame, DealState


class RepeatFirst(DealGame):
    """Cards are dealt one a step; every action names the suit of the first.

    N = 52 decks cards are dealt. The observation is the suit of the card just dealt, one-hot (4
    entries); nothing marks the first one. Action: a suit, 0 … 3. Reward: 1/(N − 1) if it is that of
    the first card, else −1/(N − 1). The episode terminates after N − 1 steps, with the last card.
    The best return is 1, a random policy's mean −0.5.

    POPGym's levels: 1, 8 and 16 decks.

    Source: POPGym (Morad et al., ICLR 2023), as in the package popgym 1.0.7.
    """

    def reward(self, state: DealState, action: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.where(action == state.deck[0], 1 / self.steps, -1 / self.steps)
