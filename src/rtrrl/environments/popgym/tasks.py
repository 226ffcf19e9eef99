"""Worlds of POPGym: each at three levels, and by the paper's plain name, which is the easy one."""

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

_popgym = functools.partial(task, "popgym")
_LEVELS = ("Easy", "Medium", "Hard")
_CART_ENDS = "terminated when the pole or the cart is out of bounds, truncated at {} steps"


def _levels(
    world: Callable[..., Environment],
    arguments: Sequence[tuple],
    steps: Sequence[int],
    description: str,
    *,
    hidden: str,
    ends: str,
    random: Sequence[float | None] = (None, None, None),
    optimal: float | None = None,
) -> tuple[Task, ...]:
    """One row a level: `world(*arguments)`, with `steps` put into `ends`."""
    each = zip(_LEVELS, arguments, steps, random, strict=True)
    return tuple(
        _popgym(
            world.__name__ + level,
            functools.partial(world, *given),
            description,
            hidden=hidden,
            ends=ends.format(length),
            random=mean,
            optimal=optimal,
        )
        for level, given, length, mean in each
    )


def _plain(easy: Task) -> Task:
    """The same task by the name without a level."""
    info = easy.info
    return _popgym(
        info.name.removesuffix("Easy"),
        easy.build,
        info.description,
        hidden=info.hidden,
        ends=info.ends,
        example=info.name,
        random=info.random,
        optimal=info.optimal,
    )


_STATELESS_CART_POLE = _levels(
    StatelessCartPole,
    [(200,), (400,), (600,)],
    [200, 400, 600],
    "balance a pole on a cart, seeing positions alone",
    hidden="both velocities",
    ends=_CART_ENDS,
    optimal=1.0,
)
_NOISY_STATELESS_CART_POLE = _levels(
    NoisyStatelessCartPole,
    [(0.1,), (0.2,), (0.3,)],
    [200, 200, 200],
    "balance a pole on a cart, seeing positions alone and through noise",
    hidden="both velocities, and the noise",
    ends=_CART_ENDS,
)
_MINESWEEPER = _levels(
    Minesweeper,
    [((4, 4), 2), ((6, 6), 6), ((8, 8), 10)],
    [14, 30, 54],
    "view all squares without a mine, seeing one number at a time",
    hidden="the board, and which squares were viewed",
    ends="terminated at a mine or when all is viewed, truncated at {} steps",
)
_MULTI_ARMED_BANDIT = _levels(
    MultiArmedBandit,
    [(10, 200), (20, 400), (30, 600)],
    [200, 400, 600],
    "find the arm that pays best and stay with it",
    hidden="with which probability each arm pays",
    ends="truncated at {} steps",
    random=(0.0, 0.0, 0.0),
)
_REPEAT_FIRST = _levels(
    RepeatFirst,
    [(1,), (8,), (16,)],
    [51, 415, 831],
    "say at every step which suit came first",
    hidden="the first card",
    ends="terminated after {} steps",
    random=(-0.5, -0.5, -0.5),
    optimal=1.0,
)
_REPEAT_PREVIOUS = _levels(
    RepeatPrevious,
    [(1, 4), (2, 32), (3, 64)],
    [51, 103, 155],
    "say at every step which suit was the 4th (medium 32nd, hard 64th) last",
    hidden="the cards before the last",
    ends="terminated after {} steps",
    random=(-0.5, -0.5, -0.5),
    optimal=1.0,
)
_AUTOENCODE = _levels(
    Autoencode,
    [(1,), (2,), (3,)],
    [103, 207, 311],
    "see a pack of cards, then recite their suits backwards",
    hidden="the cards before the last",
    ends="terminated after {} steps",
    random=(-0.5, -0.5, -0.5),
    optimal=1.0,
)
_CONCENTRATION = _levels(
    Concentration,
    [(1, 2), (2, 2), (1, 13)],
    [104, 208, 104],
    "find the pairs among cards that lie face down",
    hidden="the cards that lie face down",
    ends="terminated when all are found, truncated at {} steps",
)
_COUNT_RECALL = _levels(
    CountRecall,
    [(1, 2), (2, 4), (4, 13)],
    [51, 103, 207],
    "say how often the card that is asked for was dealt",
    hidden="the cards before the last",
    ends="terminated after {} steps",
    random=(2 / 27 - 1, 2 / 27 - 1, 2 / 17 - 1),
    optimal=1.0,
)
_HIGHER_LOWER = _levels(
    HigherLower,
    [(1,), (2,), (3,)],
    [51, 103, 155],
    "guess whether the next card is higher than the last",
    hidden="the cards before the last",
    ends="terminated after {} steps",
    random=(0.0, 0.0, 0.0),
)

_OF_THE_PAPER = (
    _STATELESS_CART_POLE,
    _NOISY_STATELESS_CART_POLE,
    _MINESWEEPER,
    _MULTI_ARMED_BANDIT,
    _REPEAT_FIRST,
    _REPEAT_PREVIOUS,
)

TASKS: tuple[Task, ...] = (
    *(row for levels in _OF_THE_PAPER for row in (_plain(levels[0]), *levels)),
    *_AUTOENCODE,
    *_CONCENTRATION,
    *_COUNT_RECALL,
    *_HIGHER_LOWER,
)
