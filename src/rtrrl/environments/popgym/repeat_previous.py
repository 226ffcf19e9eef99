"""Repeat previous: name at every step the card of a fixed number of steps ago."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.environments.popgym.cards import DealGame, DealState
from rtrrl.errors import RtrrlError


class RepeatPrevious(DealGame):
    """Cards are dealt one a step; every action names the suit of the k-th last.

    k = 1 means the card observed when the action is chosen, k = 4 the one three steps before.
    N = 52 decks cards are dealt. The observation is the suit of the card just dealt, one-hot (4
    entries). Action: a suit, 0 … 3. Reward: 0 as long as fewer than k cards have been dealt, then
    1/(N − k) for the right suit and −1/(N − k) for a wrong one. The episode terminates after N − 1
    steps, with the last card. The best return is 1, a random policy's mean −0.5.

    POPGym's levels: (decks, k) = (1, 4), (2, 32) and (3, 64).

    **Raises** `RtrrlError` where there is no deck, or k is below 1 or not below N.

    Source: POPGym (Morad et al., ICLR 2023), as in the package popgym 1.0.7.
    """

    k: int = eqx.field(static=True, default=4)

    def __check_init__(self):
        super().__check_init__()
        if not 1 <= self.k < self.size:
            raise RtrrlError(
                f"the card to repeat is the k-th last with k from 1 to {self.size - 1}, not "
                f"{self.k}"
            )

    def reward(self, state: DealState, action: Int[Array, ""]) -> Float[Array, ""]:
        scale = 1 / (self.size - self.k)
        dealt = state.time + 1
        target = state.deck[jnp.maximum(dealt - self.k, 0)]
        return jnp.where(dealt >= self.k, jnp.where(action == target, scale, -scale), 0)
