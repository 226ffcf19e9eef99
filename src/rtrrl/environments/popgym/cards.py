"""What the card games share: packs of cards, and how a game answers."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int8, Shaped

from rtrrl.environments.popgym.shuffling import shuffled
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep

DECK = 52
COLORS, SUITS, RANKS = 2, 4, 13


def require_decks(decks: int) -> None:
    """**Raises** `RtrrlError` where there is no deck to play with."""
    if decks < 1:
        raise RtrrlError(f"a card game needs at least 1 deck of {DECK} cards, not {decks}")


def require_kinds(kinds: int, allowed: tuple[int, ...]) -> None:
    """**Raises** `RtrrlError` where `kinds` is not among the numbers of kinds a game allows."""
    if kinds not in allowed:
        raise RtrrlError(
            f"the cards of this game are of {' or '.join(map(str, allowed))} kinds, not {kinds} "
            f"({COLORS} colours, {SUITS} suits, {RANKS} ranks)"
        )


def pack(key: Key, kinds: int, decks: int) -> Int8[Array, "cards"]:
    """The kinds 0 … kinds − 1 of all the cards of `decks` decks, in random order.

    No game tells cards of a kind apart, so its kind is all that is kept of a card.
    """
    return shuffled(key, np.arange(DECK * decks) % kinds)


def one_hot(kind: Int[Array, "*shape"], kinds: int) -> Float[Array, "*shape kinds"]:
    """1 at the card's kind, else 0."""
    return jax.nn.one_hot(kind, kinds, dtype=jnp.float32)


def answer(
    observation: Shaped[Array, " observed"], reward: Shaped[Array, ""], over: Bool[Array, ""]
) -> TimeStep:
    """What a game tells whose every end is a termination."""
    return TimeStep(
        observation=observation,
        reward=reward.astype(jnp.float32),
        discount=1 - over.astype(jnp.float32),
        last=over,
    )
