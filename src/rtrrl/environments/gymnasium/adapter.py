"""Gymnasium's environments, stepped in this process or in processes of their own.

gymnasium is imported only when an environment is made.
"""

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cloudpickle
import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Shaped

from rtrrl.environments.arguments import split_arguments
from rtrrl.environments.gymnasium.actions import flat_actions
from rtrrl.environments.gymnasium.construction import (
    Source,
    build,
    constructor,
    label,
    one_line_errors,
)
from rtrrl.environments.gymnasium.copies import Copy, check_environment
from rtrrl.environments.gymnasium.observations import flat_observations
from rtrrl.environments.host import HostEnvironment, VectorEnvironment, VectorTimeStep
from rtrrl.environments.spaces import Box, Space
from rtrrl.errors import RtrrlError
from rtrrl.utils.workers import LocalWorker, ProcessWorker, Worker, close_all

_PARTS = {
    "CartPole": ((0, 2), (1, 3)),
    "MountainCar": ((0,), (1,)),
    "MountainCarContinuous": ((0,), (1,)),
    "Acrobot": ((0, 1, 2, 3), (4, 5)),
    "Pendulum": ((0, 1), (2,)),
    "Reacher": ((0, 1, 2, 3, 4, 5, 8, 9), (6, 7)),
    "Pusher": ((*range(7), *range(14, 23)), tuple(range(7, 14))),
    "InvertedDoublePendulum": ((0, 1, 2, 3, 4), (5, 6, 7)),
}
"""Entries of the observation that are positions and velocities, where gymnasium does not say."""

LARGEST = 1e15
"""Observations and rewards are at most that large: sums of their squares still fit into float32."""

LARGE = {"f": 2.0**16, "i": 2.0**24, "u": 2.0**24}
"""From here on float32 resolves less than 1/128 of a float, or not every integer."""


class Gymnasium(HostEnvironment):
    """A Gymnasium environment.

    Observations of any kind are flattened into one vector, integers one-hot; only the entries
    `keep` are observed, if given. `terminated` becomes discount 0; `truncated` alone keeps 1.

    Observations and rewards are rounded to float32, and finite ones are clipped to ±`LARGEST`.
    From an entry of higher precision that is `LARGE` in the first observation after
    `reset(seed=0)`, such as a time in seconds since 1970, that value is subtracted before.

    **Arguments:** `source`, gymnasium's id, also with constructor arguments as in
    `"GridWorld-v0(size=8)"`, or a function (or class) that makes a `gymnasium.Env`; it is called
    with `render_mode="rgb_array"` to render, if it takes that. `title` replaces the name, which is
    else that of the environment's spec or class. `wrap` is applied to each copy. With `seed_once`
    every copy is seeded with that number at its first reset, and not anew for each episode: for an
    environment that draws its task when it is seeded.

    **Raises** `RtrrlError` where the environment cannot be made, with gymnasium's message, or
    breaks a rule of Gymnasium's API, `UnknownNameError` for an unknown id or argument,
    `UnsupportedSpaceError` where observations cannot be made a vector, or actions neither a vector
    nor integers.

    Source: Towers et al., "Gymnasium: A Standard Interface for Reinforcement Learning", 2024.
    """

    source: Source = eqx.field(static=True)
    keep: tuple[int, ...] | None = eqx.field(static=True, default=None)
    title: str = eqx.field(static=True, default="")
    wrap: Callable[[Any], Any] | None = eqx.field(static=True, default=None)
    seed_once: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        once = self.seed_once
        whole = isinstance(once, int | np.integer) and not isinstance(once, bool)
        if once is not None and not (whole and 0 <= once < 2**31):
            raise RtrrlError(
                f"seed_once is {once!r}: expected the seed, a whole number from 0 to 2³¹ − 1"
            )
        for function in (self.source, self.wrap):
            try:
                hash(function)
            except TypeError as error:
                raise RtrrlError(
                    f"an instance of {type(function).__name__} cannot make environments, as it has "
                    "no hash: make it a dataclass with frozen=True, or pass a function"
                ) from error
        size = self._described.observation_space.size
        if self.keep is not None and (outside := [i for i in self.keep if not 0 <= i < size]):
            raise RtrrlError(
                f"cannot keep {outside[0]} of '{self.name}': its observation has "
                f"entries 0 to {size - 1}"
            )

    @property
    def name(self) -> str:
        return self.title or self._described.name

    @property
    def observation_space(self) -> Box:
        box = self._described.observation_space
        kept = range(box.size) if self.keep is None else self.keep
        return Box((len(kept),), *(tuple(b[i] for i in kept) for b in (box.low, box.high)))

    @property
    def action_space(self) -> Space:
        return self._described.action_space

    @property
    def replayable(self) -> bool:
        return self.seed_once is None

    def make_vector(
        self, num_envs: int, processes: bool = False, render: bool = False
    ) -> VectorEnvironment:
        return GymnasiumVectorEnvironment(self, num_envs, processes, render)

    @property
    def _described(self) -> "_Description":
        return _describe(self.source, self.wrap)


class GymnasiumVectorEnvironment(VectorEnvironment):
    """Copies of one Gymnasium environment."""

    def __init__(self, environment: Gymnasium, num_envs: int, processes: bool, render: bool):
        described = environment._described
        self._name, self._keep, self._render = environment.name, environment.keep, render
        self._size, self._offset = described.observation_space.size, described.offset
        make = functools.partial(
            Copy,
            environment.name,
            constructor(environment.source, render, environment.wrap),
            described.to_vector,
            described.to_action,
            environment.seed_once,
        )
        self._copies: list[Worker] = []
        try:
            with one_line_errors(self._name):
                self._start(make, num_envs, processes)
        except BaseException:
            self.close()
            raise

    def _start(self, make: Callable[[], Copy], num_envs: int, processes: bool) -> None:
        sent = _pickled(make, self._name) if processes else b""
        for _ in range(num_envs):
            self._copies.append(
                ProcessWorker(sent, f"'{self._name}'") if processes else LocalWorker(make)
            )
        for copy in self._copies if processes else ():
            copy.receive()  # when it is ready

    def reset(
        self, seeds: Sequence[int], mask: Bool[np.ndarray, " num_envs"]
    ) -> Float[np.ndarray, "num_envs observed"]:
        chosen = np.flatnonzero(mask)
        for i in chosen:
            self._copies[i].send("reset", seeds[int(i)])
        observations = np.zeros((len(self._copies), self._size))
        for i in chosen:
            observations[i] = self._copies[i].receive()
        return self._observed(observations)

    def step(self, actions: Shaped[np.ndarray, "num_envs ..."]) -> VectorTimeStep:
        for copy, action in zip(self._copies, actions, strict=True):
            copy.send("step", action)
        results = [copy.receive() for copy in self._copies]
        observations, rewards, terminated, truncated = map(np.array, zip(*results, strict=True))
        return VectorTimeStep(
            self._observed(observations),
            _as_float32(rewards),
            1 - terminated.astype(np.float32),
            terminated | truncated,
        )

    def render(self) -> Shaped[np.ndarray, "height width 3"]:
        assert self._render, "made without render=True"
        self._copies[0].send("render")
        image = self._copies[0].receive()
        if image is None or np.ndim(image) != 3:
            raise RtrrlError(f"'{self._name}' renders no pixels")
        return np.asarray(image)

    def close(self) -> None:
        close_all(self._copies)

    def _observed(
        self, observations: Shaped[np.ndarray, "num_envs size"]
    ) -> Float[np.ndarray, "num_envs observed"]:
        if self._offset is not None:
            observations = observations - self._offset
        observations = _as_float32(observations)
        return observations if self._keep is None else observations[:, self._keep]


def positions_and_velocities(source: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The entries of an environment's observation that are positions, and those of velocities.

    `source` is the id, also with constructor arguments.

    **Raises** `RtrrlError` where that is not known: entries are then kept by index.
    """
    with contextlib.closing(build(source)) as environment:
        structure = getattr(environment.unwrapped, "observation_structure", None)  # MuJoCo, from v5
    id = split_arguments(source)[0]
    base = id.rpartition("/")[2].rpartition("-v")[0]
    if structure:
        q, v = structure["qpos"], structure["qvel"]
        return tuple(range(q)), tuple(range(q, q + v))
    if base in _PARTS:
        return _PARTS[base]
    raise RtrrlError(
        f"which entries of '{id}' are positions is not known: keep them by index, as in "
        f"gymnasium/{id}@0,2 or gymnasium/{id}@0:3"
    )


class _Description(NamedTuple):
    """What is read once from a copy."""

    name: str
    observation_space: Box
    action_space: Space
    offset: np.ndarray | None
    """What is subtracted from observations before they are rounded to float32, if anything."""
    to_vector: Callable[[Any], np.ndarray]
    to_action: Callable[[Any], Any]


@functools.lru_cache(maxsize=64)
def _describe(source: Source, wrap: Callable | None) -> _Description:
    with contextlib.closing(build(source, wrap)) as environment:
        made = environment.spec.id if environment.spec else type(environment.unwrapped).__name__
        name = source if isinstance(source, str) else made
        with one_line_errors(name):
            check_environment(environment)
        flat, to_vector = flat_observations(environment.observation_space, name)
        action_space, to_action = flat_actions(environment.action_space, name)
        if not isinstance(source, str):
            with contextlib.closing(build(source)) as another:
                if another.unwrapped is environment.unwrapped:
                    raise RtrrlError(
                        f"'{label(source)}' returns the same environment in each call: expected a "
                        "function that makes a new one, as the runs need copies"
                    )
        first = Copy(name, lambda: environment, to_vector, to_action, advice="").reset(0)
    offset = _offset(first)
    low, high = (bound if offset is None else bound - offset for bound in (flat.low, flat.high))
    box = Box.of(low, high, flat.shape)
    return _Description(name, box, action_space, offset, to_vector, to_action)


def _offset(first: Shaped[np.ndarray, " size"]) -> Shaped[np.ndarray, " size"] | None:
    """The entries of the first observation that are so large that float32 loses what varies."""
    if np.can_cast(first.dtype, np.float32):
        return None  # nothing is rounded
    large = np.isfinite(first) & (np.abs(first) >= LARGE[first.dtype.kind])
    return np.where(large, first, 0).astype(float) if large.any() else None


def _as_float32(numbers: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Rounded to float32, finite numbers within ±`LARGEST`; NaN and ±∞ stay."""
    if not (np.abs(numbers) <= np.float64(LARGEST)).all():
        finite = np.isfinite(numbers)
        numbers = np.where(finite, np.clip(numbers, -LARGEST, LARGEST), numbers)
    return numbers.astype(np.float32)


def _pickled(make: Callable[[], Any], name: str) -> bytes:
    """The function with the code that it calls, so that a process need not import JAX for it."""
    for module in ("arguments", "gymnasium", "neurogym"):
        cloudpickle.register_pickle_by_value(sys.modules[f"rtrrl.environments.{module}"])
    try:
        return cloudpickle.dumps(make)
    except Exception as error:
        message = str(error).partition("\n")[0]
        raise RtrrlError(
            f"'{name}' cannot be sent to a process ({message}): register it in a module of its "
            "own, as in gymnasium/MODULE:ID, or leave workers at 1"
        ) from error
