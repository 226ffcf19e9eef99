"""What the card games share."""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int8, Shaped

from rtrrl.environments.base import Environment
from rtrrl.environments.popgym.shuffling import shuffled
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep

DECK = 52
COLORS, SUITS, RANKS = 2, 4, 13


class CardGame(Environment):
    """A game with N = 52 · `decks` cards, of which only the kind (color, suit or rank) matters.

    **Raises** `RtrrlError` where there is no deck.
    """

    decks: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if self.decks < 1:
            raise RtrrlError(f"a card game needs at least 1 deck of {DECK} cards, not {self.decks}")

    @property
    def size(self) -> int:
        """N, the number of cards."""
        return DECK * self.decks

    def shuffled_kinds(self, key: Key, kinds: int) -> Int8[Array, "cards"]:
        """The kinds 0 … kinds − 1 of all N cards, in random order."""
        return shuffled(key, np.arange(self.size) % kinds)


class DealState(eqx.Module):
    """The kinds of the cards in the order in which they are dealt, and the number of steps."""

    deck: Int8[Array, "cards"]
    time: Int[Array, ""]


class DealGame(CardGame):
    """A game in which one card a step is dealt and observed; an action is a kind of card.

    The observation is the kind of the card just dealt, one-hot. The episode terminates after
    N − 1 steps, with the last card. Steps are deterministic.
    """

    kinds: ClassVar[int] = SUITS

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (self.kinds,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.kinds)

    @property
    def steps(self) -> int:
        """The number of steps of an episode."""
        return self.size - 1

    @abc.abstractmethod
    def reward(self, state: DealState, action: Int[Array, ""]) -> Shaped[Array, ""]:
        """The reward of an action in a state."""

    def observe(self, state: DealState) -> Float[Array, " observed"]:
        """The observation in a state."""
        return one_hot(state.deck[state.time], self.kinds)

    def reset(self, key: Key) -> tuple[DealState, Float[Array, " observed"]]:
        state = DealState(self.shuffled_kinds(key, self.kinds), jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def step(
        self, key: Key, state: DealState, action: Int[Array, ""]
    ) -> tuple[DealState, TimeStep]:
        after = DealState(state.deck, state.time + 1)
        reward = self.reward(state, action)
        return after, terminating(self.observe(after), reward, after.time == self.steps)


def require_kinds(kinds: int, allowed: tuple[int, ...]) -> None:
    """**Raises** `RtrrlError` where `kinds` is not among the numbers of kinds that are allowed."""
    if kinds not in allowed:
        raise RtrrlError(
            f"the cards of this game are of {' or '.join(map(str, allowed))} kinds, not {kinds} "
            f"({COLORS} colors, {SUITS} suits, {RANKS} ranks)"
        )


def one_hot(kind: Int[Array, "*shape"], kinds: int) -> Float[Array, "*shape kinds"]:
    """1 at the card's kind, else 0."""
    return jax.nn.one_hot(kind, kinds, dtype=jnp.float32)


def terminating(
    observation: Shaped[Array, " observed"], reward: Shaped[Array, ""], last: Bool[Array, ""]
) -> TimeStep:
    """A time step of a game whose every end is a termination."""
    return TimeStep(
        observation=observation,
        reward=reward.astype(jnp.float32),
        discount=1 - last.astype(jnp.float32),
        last=last,
    )
