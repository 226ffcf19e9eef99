"""The worlds of Gymnasium, MuJoCo's among them: any of them by its id."""

import re

from rtrrl.environments.catalogue import Extra, Family, Task, TaskInfo, task
from rtrrl.environments.gymnasium.adapter import Gymnasium, positions_and_velocities
from rtrrl.errors import RtrrlError

EXTRA = Extra("mujoco", "pip install 'rtrrl[gymnasium]'")


def make_gymnasium(name: str) -> Gymnasium:
    """The world called `gymnasium/ID`, `ID-pos`, `ID-vel`, `ID@0,2` or `ID@0:3`.

    What stands after the id says which entries of the observation are shown.

    >>> make_gymnasium("gymnasium/CartPole-v1-pos").keep
    (0, 2)
    >>> make_gymnasium("gymnasium/Pendulum-v1@0:2").keep
    (0, 1)

    **Raises** `UnknownNameError` where gymnasium has no such world, `RtrrlError` where the entries
    cannot be read or are not there.
    """
    view = name.removeprefix("gymnasium/")
    id, at, indices = view.partition("@")
    if at:
        return Gymnasium(id, _indices(name, indices), name)
    for part, suffix in enumerate(("-pos", "-vel")):
        if id.endswith(suffix):
            id = id.removesuffix(suffix)
            return Gymnasium(id, positions_and_velocities(id)[part], name)
    return Gymnasium(id, None, name)


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


_RUNS = (
    ("HalfCheetah-v5", "run on two legs in a plane", "truncated at 1000 steps"),
    ("Hopper-v5", "hop on one leg in a plane", "terminated by a fall, truncated at 1000 steps"),
)

TASKS: tuple[Task, ...] = tuple(
    task(
        "gymnasium",
        f"gymnasium/{id}-pos",
        lambda id=id: make_gymnasium(f"gymnasium/{id}-pos"),
        f"{what}, seeing positions alone",
        hidden="all velocities",
        ends=ends,
        extra=EXTRA,
    )
    for id, what, ends in _RUNS
)

FAMILIES: tuple[Family, ...] = (
    Family(
        TaskInfo(
            "gymnasium/ID",
            "gymnasium/CartPole-v1-pos",
            "gymnasium",
            "any world of Gymnasium; ID-pos, ID-vel, ID@0,2 or ID@0:3 show a part of it",
            hidden="what is not kept",
            ends="as the world says: terminated or truncated",
        ),
        "gymnasium",
        make_gymnasium,
    ),
)
