"""The environments of Brax: whole, or with positions or velocities only."""

import functools

from rtrrl.environments.brax.adapter import BACKENDS, LAYOUTS, Brax
from rtrrl.environments.catalogue import Extra, Task, task
from rtrrl.environments.wrappers import Masked, TimeLimit
from rtrrl.errors import UnknownNameError

STEPS = 1000
"""The number of steps after which an episode is truncated."""

EXTRA = Extra("brax", "pip install 'rtrrl[brax]'")

# The part before the slash of a name. The paper's backend, spring, need not be named.
_BACKENDS = {"brax": "spring"} | {f"brax-{backend}": backend for backend in BACKENDS}

_VIEWS = {
    f"{id}{suffix}": (id, keep)
    for id, layout in LAYOUTS.items()
    for suffix, keep in (("", None), ("-pos", layout.positions), ("-vel", layout.velocities))
}


def make_brax(name: str) -> TimeLimit:
    """The environment `FAMILY/ID`, `FAMILY/ID-pos` or `FAMILY/ID-vel`, with a time limit.

    **Raises** `UnknownNameError` where there is no such family or environment.

    >>> make_brax("brax/ant").name, make_brax("brax-mjx/ant-vel").name
    ('TimeLimit(ant-spring)', 'TimeLimit(Masked(ant-mjx))')
    """
    family, _, view = name.partition("/")
    if family not in _BACKENDS:
        raise UnknownNameError("family of tasks", family, _BACKENDS)
    if view not in _VIEWS:
        raise UnknownNameError("task", name, (f"{family}/{known}" for known in _VIEWS))
    id, keep = _VIEWS[view]
    environment = Brax(id, _BACKENDS[family])
    return TimeLimit(environment if keep is None else Masked(environment, tuple(keep)), STEPS)


def _rows(
    id: str,
    description: str,
    end: str = "",
    *,
    also_hidden: str = "",
    optimal: float | None = None,
) -> list[Task]:
    """The whole environment and its two views; `also_hidden` is hidden in both views."""
    ends = ", ".join([*([f"terminated {end}"] if end else []), f"truncated at {STEPS} steps"])
    also = f" and {also_hidden}" if also_hidden else ""
    rows = []
    for suffix, view, hidden, best in (
        ("", "", "nothing", optimal),
        ("-pos", ", observing positions only", f"all velocities{also}", None),
        ("-vel", ", observing velocities only", f"all positions{also}", None),
    ):
        name = f"brax/{id}{suffix}"
        build = functools.partial(make_brax, name)
        rows.append(
            task("brax", name, build, description + view, hidden, ends, None, best, extra=EXTRA)
        )
    return rows


_TORSO = "when the torso is too low or too high"
# fmt: off
TASKS: tuple[Task, ...] = (
    *_rows("halfcheetah", "run on two legs in a plane"),
    *_rows("ant", "run on four legs", _TORSO),
    *_rows("hopper", "hop on one leg in a plane", "by a fall"),
    *_rows("walker2d", "walk on two legs in a plane", "by a fall"),
    *_rows("reacher", "bring the tip of a two-joint arm to a target"),
    *_rows("inverted_pendulum", "balance a pole on a cart", "when the pole leans by more than 0.2",
           optimal=float(STEPS)),
    *_rows("inverted_double_pendulum", "balance a pole on a pole on a cart",
           "when the tip is below half of its height"),
    *_rows("pusher", "push an object to a goal with an arm of seven joints"),
    *_rows("humanoid", "walk like a human", _TORSO, also_hidden="torques"),
)

FAMILIES: tuple[Task, ...] = tuple(
    task("brax", f"brax-{backend}/ID", make_brax,
         f"any environment of brax/ with the {backend} backend for its physics",
         "as in brax/", "as in brax/: terminated or truncated",
         example=f"brax-{backend}/halfcheetah-pos", extra=EXTRA)
    for backend in BACKENDS
)
# fmt: on
