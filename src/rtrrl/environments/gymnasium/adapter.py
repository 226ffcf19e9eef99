"""The worlds of Gymnasium, stepped on the host, in processes of their own where there are many.

gymnasium is imported only when a world is built.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Shaped

from rtrrl.environments.gymnasium.actions import flat_actions
from rtrrl.environments.gymnasium.construction import built, constructor, in_one_line
from rtrrl.environments.host import HostEnvironment, VectorEnvironment, VectorTimeStep
from rtrrl.environments.spaces import Box, Space
from rtrrl.errors import RtrrlError, UnsupportedSpaceError

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
"""Entries of the observation that are positions and velocities, where the world does not say."""


RUNNING = "; mend the environment, then go on with --resume"
GUARD = '; a script that asks for processes needs `if __name__ == "__main__":` around its main part'


class Gymnasium(HostEnvironment):
    """A Gymnasium world behind the protocol of `HostEnvironment`.

    Observations of any kind are flattened into one vector, integers one-hot; only the entries
    `keep` are shown, if given. `wrap` is applied to each copy.

    **Raises** `RtrrlError` where the world cannot be built, with what gymnasium says,
    `UnknownNameError` for an unknown world, `UnsupportedSpaceError` where a space cannot be made a
    vector or an action neither a vector nor integers.

    Source: Towers et al., "Gymnasium: A Standard Interface for Reinforcement Learning", 2024.
    """

    id: str = eqx.field(static=True)
    keep: tuple[int, ...] | None = eqx.field(static=True, default=None)
    title: str = eqx.field(static=True, default="")
    wrap: Callable[[Any], Any] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        size = _spaces(self.id, self.wrap)[0].size
        if self.keep is not None and (outside := [i for i in self.keep if not 0 <= i < size]):
            raise RtrrlError(
                f"cannot keep {outside[0]} of '{self.title or self.id}': its observation has "
                f"entries 0 to {size - 1}"
            )

    @property
    def name(self) -> str:
        """The title if it has one, else gymnasium's own name."""
        return self.title or self.id

    @property
    def observation_space(self) -> Box:
        """The bounds of what is shown, as gymnasium declares them."""
        box = _spaces(self.id, self.wrap)[0]
        kept = range(box.size) if self.keep is None else self.keep
        return Box((len(kept),), *(tuple(b[i] for i in kept) for b in (box.low, box.high)))

    @property
    def action_space(self) -> Space:
        """Discrete, several discrete choices, or a vector."""
        return _spaces(self.id, self.wrap)[1]

    def open(
        self, copies: int, processes: bool = False, pictures: bool = False
    ) -> VectorEnvironment:
        """Live copies, side by side or in processes of their own."""
        return GymnasiumVectorEnvironment(self, copies, processes, pictures)


class GymnasiumVectorEnvironment(VectorEnvironment):
    """Live copies of one Gymnasium world, as a vector environment without automatic reset."""

    def __init__(self, world: Gymnasium, copies: int, processes: bool, pictures: bool):
        import gymnasium
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

        self._name, self._keep = world.name, world.keep
        make = _maker(world.id, world.wrap, pictures)
        disabled = AutoresetMode.DISABLED
        if processes:
            gymnasium.logger.min_level = 50  # nothing: what it says of errors, we do
        with in_one_line(self._name, GUARD if processes else ""):
            if processes:
                # not forked: JAX's threads would not be there to let go of their locks
                self._worlds = AsyncVectorEnv(
                    [make] * copies, context="forkserver", autoreset_mode=disabled
                )
            else:
                self._worlds = SyncVectorEnv([make] * copies, autoreset_mode=disabled)
        self._pictures = pictures

    def reset(
        self, seeds: Sequence[int], which: Bool[np.ndarray, " copies"]
    ) -> Float[np.ndarray, "copies observed"]:
        """New episodes in the worlds `which`."""
        with in_one_line(self._name, RUNNING):
            seen, _ = self._worlds.reset(seed=list(seeds), options={"reset_mask": which})
        return self._shown(seen)

    def step(self, actions: Shaped[np.ndarray, "copies ..."]) -> VectorTimeStep:
        """`terminated` becomes discount 0; `truncated` alone keeps discount 1."""
        with in_one_line(self._name, RUNNING):
            seen, reward, terminated, truncated, _ = self._worlds.step(actions)
        return VectorTimeStep(
            self._shown(seen),
            reward.astype(np.float32),
            1 - terminated.astype(np.float32),
            terminated | truncated,
        )

    def picture(self) -> Shaped[np.ndarray, "height width 3"]:
        """What gymnasium draws."""
        assert self._pictures, "opened without pictures"
        with in_one_line(self._name, RUNNING):
            pictures = self._worlds.render()
        assert pictures is not None
        return np.asarray(pictures[0])

    def close(self) -> None:
        """Ends the processes."""
        self._worlds.close()

    def _shown(self, seen: Any) -> Float[np.ndarray, "copies observed"]:
        seen = np.asarray(seen, np.float32)
        return seen if self._keep is None else seen[:, self._keep]


def positions_and_velocities(id: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The entries of a world's observation that are positions, and those that are velocities.

    **Raises** `RtrrlError` where that is not known: entries are then kept by index.
    """
    with contextlib.closing(built(id)) as world:
        structure = getattr(world.unwrapped, "observation_structure", None)  # MuJoCo, from v5 on
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


def _maker(id: str, wrap: Callable | None, pictures: bool) -> Callable[[], Any]:
    """What builds one copy; a closure, so that a process need not import JAX to call it."""
    with contextlib.closing(built(id, wrap)) as world:
        to_space, translate = flat_actions(world.action_space, id)
    construct = constructor(id, pictures)

    def make() -> Any:
        import multiprocessing
        import signal

        from gymnasium.wrappers import FlattenObservation, TransformAction

        # Ctrl-C is for the process that saves the run, in which one copy is made as well
        if multiprocessing.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        world = construct()
        world = world if wrap is None else wrap(world)
        return TransformAction(FlattenObservation(world), translate, to_space)

    return make


@functools.lru_cache(maxsize=64)
def _spaces(id: str, wrap: Callable | None) -> tuple[Box, Space]:
    from gymnasium import spaces

    with contextlib.closing(built(id, wrap)) as world:
        seen, done = world.observation_space, world.action_space
    try:
        flat = spaces.flatten_space(seen)
    except NotImplementedError:
        flat = None
    if not isinstance(flat, spaces.Box):
        raise UnsupportedSpaceError(
            f"'{id}' shows {seen}, which has no fixed length: expected Box, "
            f"Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them"
        )
    to_space, _ = flat_actions(done, id)
    return Box.of(flat.low, flat.high, flat.shape), _ours(to_space)


def _ours(space: Any) -> Space:
    from gymnasium import spaces

    from rtrrl.environments.spaces import Discrete, MultiDiscrete

    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiDiscrete(tuple(int(n) for n in space.nvec))
    return Box.of(space.low, space.high, space.shape)
