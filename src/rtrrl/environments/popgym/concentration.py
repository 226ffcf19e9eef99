"""Concentration: find pairs among cards that lie face down."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int8

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.types import Key, TimeStep


class ConcentrationState(eqx.Module):
    """The cards on the table, which of them stay face up, and the turn that is under way."""

    table: Int8[Array, "cards"]
    found: Bool[Array, "cards"]
    flipped: Int[Array, ""]
    """The first card of this turn, −1 before it is flipped."""
    time: Int[Array, ""]


class Concentration(Environment):
    """Two cards are flipped a turn, one a step; two of a kind stay face up.

    N = 52 decks cards of K `kinds` (2 colours or 13 ranks) lie on the table, and T, the number of
    steps, is ⌈2N − N/(2N − 1)⌉. Action: the place of a card, 0 … N − 1. The observation has one
    one-hot of K + 1 entries per place, in the order of the places: the card's kind where it is face
    up, entry K where it is face down. It still shows both cards of a turn that has just ended.
    Rewards:

        the first card of a turn                                   0
        the second, of the same kind                              +2/N
        the second, of another kind or at the first one's place   −2/T
        a card found before, as the first or second of a turn     −1/T or −2/T, and the turn ends

    The episode terminates once all cards are found, and is truncated after T steps.

    POPGym's levels: (decks, kinds) = (1, 2), (2, 2) and (1, 13).

    **Raises** `RtrrlError` where there is no deck, or the kinds are not 2 or 13.

    Source: Morad et al., "POPGym: Benchmarking Partially Observable Reinforcement Learning", ICLR
    2023; behaviour of the package popgym 1.0.7.
    """

    decks: int = eqx.field(static=True, default=1)
    kinds: int = eqx.field(static=True, default=cards.COLORS)

    def __check_init__(self):
        cards.require_decks(self.decks)
        cards.require_kinds(self.kinds, (cards.COLORS, cards.RANKS))

    @property
    def steps(self) -> int:
        """T, after which an episode is truncated."""
        n = cards.DECK * self.decks
        return math.ceil(2 * n - n / (2 * n - 1))

    @property
    def observation_space(self) -> Box:
        """One one-hot of K + 1 entries per place."""
        return Box.of(0, 1, (cards.DECK * self.decks * (self.kinds + 1),))

    @property
    def action_space(self) -> Discrete:
        """The place of a card."""
        return Discrete(cards.DECK * self.decks)

    def reset(self, key: Key) -> tuple[ConcentrationState, Float[Array, " observed"]]:
        """Shuffles, and lays all cards face down."""
        table = cards.pack(key, self.kinds, self.decks)
        found = jnp.zeros(table.shape, bool)
        state = ConcentrationState(table, found, jnp.int32(-1), jnp.int32(0))
        return state, self._shown(table, found)

    def step(
        self, key: Key, state: ConcentrationState, action: Int[Array, ""]
    ) -> tuple[ConcentrationState, TimeStep]:
        """Flips one card; no random number is drawn."""
        del key
        table, found, flipped, time = state.table, state.found, state.flipped, state.time + 1
        second = flipped >= 0
        lost = found[action]
        matched = (table[flipped] == table[action]) & (flipped != action)
        matched &= second & ~lost

        places = jnp.arange(table.size)
        shown = found | (places == action) | (places == flipped)
        found = jnp.where(matched, shown, found)
        all_found = found.all()

        failure = -jnp.where(second, 2, 1) / self.steps
        reward = jnp.where(matched, 2 / table.size, jnp.where(second | lost, failure, 0))
        flipped = jnp.where(second | lost, -1, action)
        return ConcentrationState(table, found, flipped, time), TimeStep(
            observation=self._shown(table, shown),
            reward=reward.astype(jnp.float32),
            discount=1 - all_found.astype(jnp.float32),
            last=all_found | (time == self.steps),
        )

    def _shown(
        self, table: Int8[Array, "cards"], face_up: Bool[Array, "cards"]
    ) -> Float[Array, " observed"]:
        return cards.one_hot(jnp.where(face_up, table, self.kinds), self.kinds + 1).ravel()
