"""The memory tasks of this package."""

import functools

from rtrrl.environments.catalogue import LONGEST, Task, task
from rtrrl.environments.memory.delayed_recall import DelayedRecall
from rtrrl.environments.memory.tmaze import TMaze
from rtrrl.environments.wrappers import TimeLimit

_rtrrl = functools.partial(task, "rtrrl")


# fmt: off
TASKS: tuple[Task, ...] = (
    _rtrrl("TMaze-N", lambda length: TimeLimit(TMaze(length), 10 * (length + 1)),
           "turn at the end of a corridor of length N to the side that a sign at its start showed",
           "the sign, and the position in the corridor",
           "terminated by the turn, truncated at 10 (N + 1) steps", None, 4.0,
           example="TMaze-10", ranges=((1, LONGEST),)),
    _rtrrl("DelayedRecall-N", DelayedRecall, "name after N empty steps which of two cues was shown",
           "the cue", "terminated after N + 2 steps", 0.0, 1.0,
           example="DelayedRecall-5", ranges=((1, LONGEST),)),
    _rtrrl("DelayedRecall-K-N", lambda cues, delay: DelayedRecall(delay, cues),
           "name after N empty steps which of K cues was shown", "the cue",
           "terminated after N + 2 steps", -0.5, 1.0,
           example="DelayedRecall-4-16", ranges=((2, 1000), (1, LONGEST))),
)
# fmt: on
