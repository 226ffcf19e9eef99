"""The environments of Gymnasium and MuJoCo, any of them by its id."""

import functools
import re

from rtrrl.environments.arguments import split_arguments, with_arguments
from rtrrl.environments.catalogue import Extra, Task, task
from rtrrl.environments.gymnasium.adapter import Gymnasium, positions_and_velocities
from rtrrl.errors import RtrrlError

EXTRA = Extra("mujoco", "pip install 'rtrrl[gymnasium]'")


def make_gymnasium(name: str) -> Gymnasium:
    """The environment `gymnasium/ID`, `ID-pos`, `ID-vel`, `ID@0,2` or `ID@0:3`.

    The part after the id says which entries of the observation are kept; constructor arguments may
    follow in parentheses. The argument `seed_once` is that of `Gymnasium`.

    >>> make_gymnasium("gymnasium/CartPole-v1-pos").keep
    (0, 2)
    >>> make_gymnasium("gymnasium/Pendulum-v1@0:2(g=9.81)").source
    'Pendulum-v1(g=9.81)'

    **Raises** `UnknownNameError` where gymnasium has no such environment, `RtrrlError` where the
    entries cannot be read or do not exist.
    """
    view, arguments = split_arguments(name.removeprefix("gymnasium/"))
    once = arguments.pop("seed_once", None)
    id, at, indices = view.partition("@")
    keep = _indices(name, indices) if at else None
    for part, suffix in enumerate(("-pos", "-vel")):
        if id.endswith(suffix) and not at:
            id = id.removesuffix(suffix)
            keep = positions_and_velocities(with_arguments(id, arguments))[part]
    return Gymnasium(with_arguments(id, arguments), keep, name, seed_once=once)


def _indices(name: str, text: str) -> tuple[int, ...]:
    kept: list[int] = []
    for part in text.split(","):
        if match := re.fullmatch(r"(\d{1,6}):(\d{1,6})", part):
            kept += range(int(match[1]), int(match[2]))
        elif re.fullmatch(r"\d{1,6}", part):
            kept.append(int(part))
        else:
            kept = []
            break
    if not kept:
        raise RtrrlError(
            f"'{name}': expected entries after the @, as in gymnasium/CartPole-v1@0,2 or "
            f"gymnasium/Pendulum-v1@0:2"
        )
    return tuple(kept)


# fmt: off
TASKS: tuple[Task, ...] = tuple(
    task("gymnasium", name, functools.partial(make_gymnasium, name), description, "all velocities",
         ends, extra=EXTRA)
    for name, description, ends in (
        ("gymnasium/HalfCheetah-v5-pos", "run on two legs in a plane, observing positions only",
         "truncated at 1000 steps"),
        ("gymnasium/Hopper-v5-pos", "hop on one leg in a plane, observing positions only",
         "terminated by a fall, truncated at 1000 steps"),
    )
)

FAMILIES: tuple[Task, ...] = (
    task("gymnasium", "gymnasium/ID", make_gymnasium,
         "any Gymnasium environment; ID-pos, ID-vel, ID@0,2 or ID@0:3 observe a part of it",
         "what is not kept", "terminated or truncated, as the environment defines",
         example="gymnasium/CartPole-v1-pos"),
)
# fmt: on
