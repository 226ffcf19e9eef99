"""Autoencode: observe a pack of cards, then name them in reverse order."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box


class Autoencode(cards.DealGame):
    """All N = 52 decks cards are dealt one a step, then named from the last to the first.

    The observation has six entries, [play, watch, suit one-hot]: `watch` is 1 while cards are left
    to be dealt; with the last card `play` becomes 1 instead, and from then on the suit is 0
    whatever the actions. Action: a suit, 0 … 3. Reward: 0 for the N − 1 steps in which cards are
    dealt; then 1/N for the right suit and −1/N for a wrong one, N times. The episode terminates
    after 2N − 1 steps. The best return is 1, a random policy's mean −0.5.

    POPGym's levels: 1, 2 and 3 decks.

    Source: POPGym (Morad et al., ICLR 2023), as in the package popgym 1.0.7.
    """

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (2 + self.kinds,))

    @property
    def steps(self) -> int:
        return 2 * self.size - 1

    def observe(self, state: cards.DealState) -> Float[Array, "6"]:
        play = state.time >= self.size - 1
        suit = jnp.where(state.time < self.size, state.deck[state.time], 0)
        mode = jnp.stack([play, ~play]).astype(jnp.float32)
        return jnp.concatenate([mode, cards.one_hot(suit, self.kinds)])

    def reward(self, state: cards.DealState, action: Int[Array, ""]) -> Float[Array, ""]:
        # after N − 1 steps the action names card N − 1, and so on down to card 0
        time = state.time + 1
        target = state.deck[self.steps - time]
        named = jnp.where(action == target, 1 / self.size, -1 / self.size)
        return jnp.where(time < self.size, 0, named)
