"""Autoencode: see a pack of cards, then recite it backwards."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int8

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym import cards
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.types import Key, TimeStep


class AutoencodeState(eqx.Module):
    """The suits in the order in which they are dealt, and the steps taken."""

    deck: Int8[Array, "cards"]
    time: Int[Array, ""]


class Autoencode(Environment):
    """All N = 52 decks cards are dealt one a step, then named from the last to the first.

    The observation has six entries, [play, watch, suit one-hot]: `watch` is 1 while cards are left
    to be dealt; with the last card `play` becomes 1 instead, and from then on the suit is 0
    whatever is done. Action: a suit, 0 … 3. Reward: 0 for the N − 1 steps in which cards are dealt;
    then 1/N for the right suit and −1/N for a wrong one, N times. The episode terminates after
    2N − 1 steps. The best return is 1, a random policy's mean −0.5.

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
        """[play, watch, suit one-hot]."""
        return Box.of(0, 1, (2 + cards.SUITS,))

    @property
    def action_space(self) -> Discrete:
        """A suit."""
        return Discrete(cards.SUITS)

    def reset(self, key: Key) -> tuple[AutoencodeState, Float[Array, "6"]]:
        """Shuffles, and deals the first card."""
        deck = cards.pack(key, cards.SUITS, self.decks)
        state = AutoencodeState(deck, jnp.zeros((), jnp.int32))
        return state, _observation(jnp.zeros((), bool), deck[0])

    def step(
        self, key: Key, state: AutoencodeState, action: Int[Array, ""]
    ) -> tuple[AutoencodeState, TimeStep]:
        """Deals a card, or takes one back if it is named; no random number is drawn."""
        del key
        n = state.deck.size
        time = state.time + 1
        dealt = time < n
        # Dealt are cards 0 … time; recited, with time = n … 2n − 1, are n − 1 … 0.
        card = state.deck[jnp.where(dealt, time, 2 * n - 1 - time)]
        reward = jnp.where(action == card, 1 / n, -1 / n)
        observation = _observation(time >= n - 1, jnp.where(dealt, card, 0))
        return AutoencodeState(state.deck, time), cards.answer(
            observation, jnp.where(dealt, 0, reward), time == 2 * n - 1
        )


def _observation(play: Bool[Array, ""], suit: Int[Array, ""]) -> Float[Array, "6"]:
    mode = jnp.stack([play, ~play]).astype(jnp.float32)
    return jnp.concatenate([mode, cards.one_hot(suit, cards.SUITS)])
