"""The tasks of NeuroGym."""

import functools

from rtrrl.environments.catalogue import Extra, Task, task
from rtrrl.environments.neurogym.adapter import INSTALL, make_neurogym

EXTRA = Extra("neurogym", INSTALL)
_ENDS = "terminated when the trial ends"

# fmt: off
TASKS: tuple[Task, ...] = tuple(
    task("neurogym", f"neurogym/{id}", functools.partial(make_neurogym, f"neurogym/{id}"),
         description, hidden, _ENDS, None, 1.0, extra=EXTRA)
    for id, description, hidden in (
        ("PerceptualDecisionMaking-v0",
         "choose the stronger of two noisy stimuli, once the fixation ends",
         "nothing, but the stimuli are noisy"),
        ("DelayMatchSample-v0",
         "decide whether the second stimulus is the same as the first",
         "the first stimulus"),
        ("ContextDecisionMaking-v0",
         "decide by the one of two noisy modalities that the context selects",
         "nothing, but the stimuli are noisy"),
    )
)

FAMILIES: tuple[Task, ...] = (
    task("neurogym", "neurogym/ID", make_neurogym, "any task of NeuroGym, one trial an episode",
         "as the task defines", _ENDS, example="neurogym/PerceptualDecisionMaking-v0",
         extra=EXTRA),
)
# fmt: on
