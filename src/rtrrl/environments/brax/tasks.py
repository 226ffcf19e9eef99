"""The worlds of Brax: whole, or showing positions or velocities alone."""

import functools

from rtrrl.environments.brax.adapter import BACKENDS, LAYOUTS, Brax
from rtrrl.environments.catalogue import Extra, Family, Task, TaskInfo, task
from rtrrl.environments.wrappers import Masked, TimeLimit
from rtrrl.errors import UnknownNameError

STEPS = 1000
"""After how many steps an episode is truncated."""

EXTRA = Extra("brax", "pip install 'rtrrl[brax]'")

# What stands before the slash of a name. The paper's backend, spring, need not be named.
_BACKENDS = {"brax": "spring"} | {f"brax-{backend}": backend for backend in BACKENDS}

_VIEWS = {
    f"{id}{suffix}": (id, keep)
    for id, layout in LAYOUTS.items()
    for suffix, keep in (("", None), ("-pos", layout.positions), ("-vel", layout.velocities))
}


def make_brax(name: str) -> TimeLimit:
    """The world called `FAMILY/WORLD`, `FAMILY/WORLD-pos` or `FAMILY/WORLD-vel`, with time limit.

    **Raises** `UnknownNameError` where there is no such family or world.

    >>> make_brax("brax/ant").name, make_brax("brax-mjx/ant-vel").name
    ('TimeLimit(ant-spring)', 'TimeLimit(Masked(ant-mjx))')
    """
    family, _, view = name.partition("/")
    if family not in _BACKENDS:
        raise UnknownNameError("family of tasks", family, _BACKENDS)
    if view not in _VIEWS:
        raise UnknownNameError("task", name, (f"{family}/{known}" for known in _VIEWS))
    id, keep = _VIEWS[view]
    world = Brax(id, _BACKENDS[family])
    return TimeLimit(world if keep is None else Masked(world, tuple(keep)), STEPS)


def _rows(
    id: str, what: str, end: str = "", *, neither: str = "", optimal: float | None = None
) -> tuple[Task, Task, Task]:
    """The world whole, whose best return is `optimal`, and its views, which both hide `neither`."""
    limit = f"truncated at {STEPS} steps"
    ends = f"terminated {end}, {limit}" if end else limit
    also = f" and {neither}" if neither else ""

    def row(suffix: str, seen: str, hidden: str) -> Task:
        name = f"brax/{id}{suffix}"
        build = functools.partial(make_brax, name)
        best = None if suffix else optimal
        return task(
            "brax",
            name,
            build,
            what + seen,
            hidden=hidden,
            ends=ends,
            optimal=best,
            extra=EXTRA,
        )

    return (
        row("", "", "nothing"),
        row("-pos", ", seeing positions alone", f"all velocities{also}"),
        row("-vel", ", seeing velocities alone", f"all positions{also}"),
    )


TASKS: tuple[Task, ...] = (
    *_rows("halfcheetah", "run on two legs in a plane"),
    *_rows("ant", "run on four legs", "when the torso is too low or too high"),
    *_rows("hopper", "hop on one leg in a plane", "by a fall"),
    *_rows("walker2d", "walk on two legs in a plane", "by a fall"),
    *_rows("reacher", "bring the tip of a two-joint arm to a target"),
    *_rows(
        "inverted_pendulum",
        "balance a pole on a cart",
        "when the pole leans by more than 0.2",
        optimal=float(STEPS),
    ),
    *_rows(
        "inverted_double_pendulum",
        "balance a pole on a pole on a cart",
        "when the tip is below half of its height",
    ),
    *_rows("pusher", "push an object to a goal with an arm of seven joints"),
    *_rows(
        "humanoid", "walk like a human", "when the torso is too low or too high", neither="torques"
    ),
)

FAMILIES: tuple[Family, ...] = tuple(
    Family(
        TaskInfo(
            f"brax-{backend}/WORLD",
            f"brax-{backend}/halfcheetah-pos",
            "brax",
            f"any world of brax/ with the {backend} backend for its physics",
            hidden="as in brax/",
            ends="as in brax/: terminated or truncated",
            extra=EXTRA,
        ),
        f"brax-{backend}",
        make_brax,
    )
    for backend in BACKENDS
)
