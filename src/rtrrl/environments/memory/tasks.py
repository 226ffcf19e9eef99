"""Worlds of our own."""

import functools

from rtrrl.environments.base import Environment
from rtrrl.environments.catalogue import LONGEST, Task, task
from rtrrl.environments.memory.delayed_recall import DelayedRecall
from rtrrl.environments.memory.tmaze import TMaze
from rtrrl.environments.wrappers import TimeLimit

_ours = functools.partial(task, "rtrrl")


def _t_maze(length: int) -> Environment:
    return TimeLimit(TMaze(length), 10 * (length + 1))


def _recall_among(cues: int, delay: int) -> Environment:
    return DelayedRecall(delay, cues)


TASKS: tuple[Task, ...] = (
    _ours(
        "TMaze-N",
        _t_maze,
        "turn at the end of a corridor of N the way a sign at its start said",
        hidden="the sign, and where in the corridor",
        ends="terminated by the turn, truncated at 10 (N + 1) steps",
        example="TMaze-10",
        ranges=((1, LONGEST),),
        optimal=4.0,
    ),
    _ours(
        "DelayedRecall-N",
        DelayedRecall,
        "say after N empty steps which of two cues was shown",
        hidden="the cue",
        ends="terminated after N + 2 steps",
        example="DelayedRecall-5",
        ranges=((1, LONGEST),),
        random=0.0,
        optimal=1.0,
    ),
    _ours(
        "DelayedRecall-K-N",
        _recall_among,
        "say after N empty steps which of K cues was shown",
        hidden="the cue",
        ends="terminated after N + 2 steps",
        example="DelayedRecall-4-16",
        ranges=((2, 1000), (1, LONGEST)),
        random=-0.5,
        optimal=1.0,
    ),
)
