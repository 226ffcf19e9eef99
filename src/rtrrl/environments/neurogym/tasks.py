"""The tasks of NeuroGym."""

from rtrrl.environments.catalogue import Extra, Family, Task, TaskInfo, task
from rtrrl.environments.gymnasium.adapter import Gymnasium
from rtrrl.environments.neurogym.adapter import INSTALL, make_trials

EXTRA = Extra("neurogym", INSTALL)


def make_neurogym(name: str) -> Gymnasium:
    """The task called `neurogym/ID`."""
    return make_trials(name.removeprefix("neurogym/"), name)


_TRIALS = (
    (
        "PerceptualDecisionMaking-v0",
        "say which of two noisy stimuli is the stronger, once the fixation ends",
        "nothing, but the stimuli are noise",
    ),
    (
        "DelayMatchSample-v0",
        "say whether the second stimulus is the same as the first",
        "the first stimulus",
    ),
    (
        "ContextDecisionMaking-v0",
        "decide by one of two noisy modalities, as the context says",
        "nothing, but the stimuli are noise",
    ),
)

TASKS: tuple[Task, ...] = tuple(
    task(
        "neurogym",
        f"neurogym/{id}",
        lambda id=id: make_neurogym(f"neurogym/{id}"),
        what,
        hidden=hidden,
        ends="terminated when the trial ends",
        optimal=1.0,
        extra=EXTRA,
    )
    for id, what, hidden in _TRIALS
)

FAMILIES: tuple[Family, ...] = (
    Family(
        TaskInfo(
            "neurogym/ID",
            "neurogym/PerceptualDecisionMaking-v0",
            "neurogym",
            "any task of NeuroGym, one trial an episode",
            hidden="as the task says",
            ends="terminated when the trial ends",
            extra=EXTRA,
        ),
        "neurogym",
        make_neurogym,
    ),
)
