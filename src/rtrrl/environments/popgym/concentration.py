"""Concentration: find pairs among cards that lie face down."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int8

from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.types import Key, TimeStep


class ConcentrationState(eqx.Module):
    """The kinds of the cards on the table, which of them stay face up, the turn, and the steps."""

    table: Int8[Array, "cards"]
    found: Bool[Array, "cards"]
    flipped: Int[Array, ""]
    """The first card of this turn, −1 before it is flipped."""
    time: Int[Array, ""]


class Concentration(cards.CardGame):
    """Two cards are flipped a turn, one a step; two of a kind stay face up.

    N = 52 decks cards of K `kinds` (2 colors or 13 ranks) lie on the table, and T, the number of
    steps, is ⌈2N − N/(2N − 1)⌉. Action: the place of a card, 0 … N − 1. The observation has one
    one-hot of K + 1 entries per place, in the order of the places: the card's kind where it is face
    up, entry K where it is face down. It still shows both cards of a turn that has just ended.
    Rewards:

        the first card of a turn                                   0
        the second, of the same kind                              +2/N
        the second, of another kind or at the first one's place   −2/T
        a card found before, as the first or second of a turn     −1/T or −2/T, and the turn ends

    The episode terminates once all cards are found, and is truncated after T steps. Steps are
    deterministic.

    POPGym's levels: (decks, kinds) = (1, 2), (2, 2) and (1, 13).

    **Raises** `RtrrlError` where there is no deck, or the kinds are not 2 or 13.

    Source: POPGym (Morad et al., ICLR 2023), as in the package popgym 1.0.7.
    """

    kinds: int = eqx.field(static=True, default=cards.COLORS)

    def __check_init__(self):
        cards.require_kinds(self.kinds, (cards.COLORS, cards.RANKS))

    @property
    def steps(self) -> int:
        """T, after which an episode is truncated."""
        return math.ceil(2 * self.size - self.size / (2 * self.size - 1))

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (self.size * (self.kinds + 1),))

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.size)

    def reset(self, key: Key) -> tuple[ConcentrationState, Float[Array, " observed"]]:
        table = self.shuffled_kinds(key, self.kinds)
        found = jnp.zeros(table.shape, bool)
        state = ConcentrationState(table, found, jnp.int32(-1), jnp.int32(0))
        return state, self._observe(table, found)

    def step(
        self, key: Key, state: ConcentrationState, action: Int[Array, ""]
    ) -> tuple[ConcentrationState, TimeStep]:
        table, found, flipped, time = state.table, state.found, state.flipped, state.time + 1
        second = flipped >= 0
        lost = found[action]
        matched = (table[flipped] == table[action]) & (flipped != action)
        matched &= second & ~lost

        places = jnp.arange(table.size)
        face_up = found | (places == action) | (places == flipped)
        found = jnp.where(matched, face_up, found)
        all_found = found.all()

        failure = -jnp.where(second, 2, 1) / self.steps
        reward = jnp.where(matched, 2 / table.size, jnp.where(second | lost, failure, 0))
        flipped = jnp.where(second | lost, -1, action)
        return ConcentrationState(table, found, flipped, time), TimeStep(
            observation=self._observe(table, face_up),
            reward=reward.astype(jnp.float32),
            discount=1 - all_found.astype(jnp.float32),
            last=all_found | (time == self.steps),
        )

    def _observe(
        self, table: Int8[Array, "cards"], face_up: Bool[Array, "cards"]
    ) -> Float[Array, " observed"]:
        return cards.one_hot(jnp.where(face_up, table, self.kinds), self.kinds + 1).ravel()
