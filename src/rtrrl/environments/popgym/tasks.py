"""The environments of POPGym at three levels, and by the paper's plain name (the easy level)."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from rtrrl.environments.base import Environment
from rtrrl.environments.catalogue import Task, task
from rtrrl.environments.popgym import (
    Autoencode,
    Concentration,
    CountRecall,
    HigherLower,
    Minesweeper,
    MultiArmedBandit,
    NoisyStatelessCartPole,
    RepeatFirst,
    RepeatPrevious,
    StatelessCartPole,
)

_CART_POLE = "terminated when the pole or the cart is out of bounds, truncated at {} steps"
_CARDS = "the cards before the last"


def _levels(
    environment: Callable[..., Environment],
    arguments: Sequence[tuple],
    steps: Sequence[int],
    description: str,
    hidden: str,
    ends: str,
    random: Sequence[float | None] = (None, None, None),
    optimal: float | None = None,
    plain: bool = False,
) -> list[Task]:
    """One row a level: `environment(*arguments)`, with `steps` put into `ends`.

    With `plain`, a row before them gives the easy level the name without a level.
    """
    levels = zip(("Easy", "Medium", "Hard"), arguments, steps, random, strict=True)
    rows = [
        task(
            "popgym",
            environment.__name__ + level,
            functools.partial(environment, *given),
            description,
            hidden,
            ends.format(length),
            mean,
            optimal,
        )
        for level, given, length, mean in levels
    ]
    if plain:
        info = dataclasses.replace(rows[0].info, name=environment.__name__)
        rows.insert(0, dataclasses.replace(rows[0], info=info))
    return rows


# Columns: class, its arguments at the three levels, steps of an episode / description, what is
# hidden, how it ends, the return of a random and of the best policy.
# fmt: off
TASKS: tuple[Task, ...] = (
    *_levels(StatelessCartPole, [(200,), (400,), (600,)], [200, 400, 600],
             "balance a pole on a cart, observing positions only", "both velocities",
             _CART_POLE, optimal=1.0, plain=True),
    *_levels(NoisyStatelessCartPole, [(0.1,), (0.2,), (0.3,)], [200, 200, 200],
             "balance a pole on a cart, observing positions only and with noise",
             "both velocities, and the noise", _CART_POLE, plain=True),
    *_levels(Minesweeper, [((4, 4), 2), ((6, 6), 6), ((8, 8), 10)], [14, 30, 54],
             "view all squares without a mine, observing one number at a time",
             "the board, and which squares were viewed",
             "terminated at a mine or when all is viewed, truncated at {} steps", plain=True),
    *_levels(MultiArmedBandit, [(10, 200), (20, 400), (30, 600)], [200, 400, 600],
             "find the arm that pays best and keep to it",
             "the probability with which each arm pays",
             "truncated at {} steps", (0.0, 0.0, 0.0), plain=True),
    *_levels(RepeatFirst, [(1,), (8,), (16,)], [51, 415, 831],
             "name at every step the suit of the first card", "the first card",
             "terminated after {} steps", (-0.5, -0.5, -0.5), 1.0, plain=True),
    *_levels(RepeatPrevious, [(1, 4), (2, 32), (3, 64)], [51, 103, 155],
             "name at every step the suit of the 4th (medium 32nd, hard 64th) last card",
             _CARDS, "terminated after {} steps", (-0.5, -0.5, -0.5), 1.0, plain=True),
    *_levels(Autoencode, [(1,), (2,), (3,)], [103, 207, 311],
             "observe a pack of cards, then name their suits in reverse order",
             _CARDS, "terminated after {} steps", (-0.5, -0.5, -0.5), 1.0),
    *_levels(Concentration, [(1, 2), (2, 2), (1, 13)], [104, 208, 104],
             "find the pairs among cards that lie face down", "the cards that lie face down",
             "terminated when all are found, truncated at {} steps"),
    *_levels(CountRecall, [(1, 2), (2, 4), (4, 13)], [51, 103, 207],
             "name how often the card that is asked for was dealt",
             _CARDS, "terminated after {} steps", (2 / 27 - 1, 2 / 27 - 1, 2 / 17 - 1), 1.0),
    *_levels(HigherLower, [(1,), (2,), (3,)], [51, 103, 155],
             "guess whether the next card is higher than the last",
             _CARDS, "terminated after {} steps", (0.0, 0.0, 0.0)),
)
# fmt: on
