"""Gymnasium's environments, stepped in this process or in processes of their own.

gymnasium is imported only when an environment is made.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Shaped

from rtrrl.environments.gymnasium.actions import flat_actions
from rtrrl.environments.gymnasium.construction import Source, build, constructor, one_line_errors
from rtrrl.environments.host import HostEnvironment, VectorEnvironment, VectorTimeStep
from rtrrl.environments.spaces import Box, Discrete, MultiDiscrete, Space
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
"""Entries of the observation that are positions and velocities, where gymnasium does not say."""

RUNNING = "; fix the environment, then continue with --resume"
GUARD = '; a script that uses processes needs `if __name__ == "__main__":` around its main part'


class Gymnasium(HostEnvironment):
    """A Gymnasium environment.

    Observations of any kind are flattened into one vector, integers one-hot; only the entries
    `keep` are observed, if given. `terminated` becomes discount 0; `truncated` alone keeps 1.

    **Arguments:** `source`, gymnasium's id or a function (or class) that makes a `gymnasium.Env`;
    it is called with `render_mode="rgb_array"` to render, if it takes that. `title` replaces the
    name, which is else that of the environment's spec or class. `wrap` is applied to each copy.

    **Raises** `RtrrlError` where the environment cannot be made, with gymnasium's message,
    `UnknownNameError` for an unknown id, `UnsupportedSpaceError` where observations cannot be made
    a vector, or actions neither a vector nor integers.

    Source: Towers et al., "Gymnasium: A Standard Interface for Reinforcement Learning", 2024.
    """

    source: Source = eqx.field(static=True)
    keep: tuple[int, ...] | None = eqx.field(static=True, default=None)
    title: str = eqx.field(static=True, default="")
    wrap: Callable[[Any], Any] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
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

    def make_vector(
        self, num_envs: int, processes: bool = False, render: bool = False
    ) -> VectorEnvironment:
        return GymnasiumVectorEnvironment(self, num_envs, processes, render)

    @property
    def _described(self) -> "_Description":
        return _describe(self.source, self.wrap)


class GymnasiumVectorEnvironment(VectorEnvironment):
    """Copies of one Gymnasium environment, as a vector environment without automatic reset."""

    def __init__(self, environment: Gymnasium, num_envs: int, processes: bool, render: bool):
        import gymnasium
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

        self._name, self._keep, self._render = environment.name, environment.keep, render
        make = _maker(environment.source, environment.wrap, render)
        disabled = AutoresetMode.DISABLED
        if processes:
            gymnasium.logger.min_level = 50  # nothing: its errors are reported here
        with one_line_errors(self._name, GUARD if processes else ""):
            if processes:
                # not forked: the locks of JAX's threads would never be released
                self._vector = AsyncVectorEnv(
                    [make] * num_envs, context="forkserver", autoreset_mode=disabled
                )
            else:
                self._vector = SyncVectorEnv([make] * num_envs, autoreset_mode=disabled)

    def reset(
        self, seeds: Sequence[int], mask: Bool[np.ndarray, " num_envs"]
    ) -> Float[np.ndarray, "num_envs observed"]:
        with one_line_errors(self._name, RUNNING):
            observation, _ = self._vector.reset(seed=list(seeds), options={"reset_mask": mask})
        return self._kept(observation)

    def step(self, actions: Shaped[np.ndarray, "num_envs ..."]) -> VectorTimeStep:
        with one_line_errors(self._name, RUNNING):
            observation, reward, terminated, truncated, _ = self._vector.step(actions)
        return VectorTimeStep(
            self._kept(observation),
            reward.astype(np.float32),
            1 - terminated.astype(np.float32),
            terminated | truncated,
        )

    def render(self) -> Shaped[np.ndarray, "height width 3"]:
        assert self._render, "made without render=True"
        with one_line_errors(self._name, RUNNING):
            images = self._vector.render()
        if images is None or np.ndim(images[0]) != 3:
            raise RtrrlError(f"'{self._name}' renders no pixels")
        return np.asarray(images[0])

    def close(self) -> None:
        self._vector.close()

    def _kept(self, observation: Any) -> Float[np.ndarray, "num_envs observed"]:
        observation = np.asarray(observation, np.float32)
        return observation if self._keep is None else observation[:, self._keep]


def positions_and_velocities(id: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The entries of an environment's observation that are positions, and those of velocities.

    **Raises** `RtrrlError` where that is not known: entries are then kept by index.
    """
    with contextlib.closing(build(id)) as environment:
        structure = getattr(environment.unwrapped, "observation_structure", None)  # MuJoCo, from v5
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


def _maker(source: Source, wrap: Callable | None, render: bool) -> Callable[[], Any]:
    """The function that makes one copy; a closure, so that a process need not import JAX for it."""
    described, construct = _describe(source, wrap), constructor(source, render)
    flat_space, to_action = described.flat_action_space, described.to_action

    def make() -> Any:
        import multiprocessing
        import signal

        from gymnasium.wrappers import FlattenObservation, TransformAction

        # Ctrl-C is handled by the parent process, which saves the run
        if multiprocessing.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        environment = construct()
        environment = environment if wrap is None else wrap(environment)
        return TransformAction(FlattenObservation(environment), to_action, flat_space)

    return make


class _Description(NamedTuple):
    """What is read once from a copy; `to_action` maps gymnasium's flat actions to its own."""

    name: str
    observation_space: Box
    action_space: Space
    flat_action_space: Any
    to_action: Callable[[Any], Any]


@functools.lru_cache(maxsize=64)
def _describe(source: Source, wrap: Callable | None) -> _Description:
    from gymnasium import spaces

    with contextlib.closing(build(source, wrap)) as environment:
        observed, actions = environment.observation_space, environment.action_space
        spec = environment.spec
        made = spec.id if spec else type(environment.unwrapped).__name__
    name = source if isinstance(source, str) else made
    try:
        flat = spaces.flatten_space(observed)
    except NotImplementedError:
        flat = None
    if not isinstance(flat, spaces.Box):
        raise UnsupportedSpaceError(
            f"the observations of '{name}' are {observed}, which has no fixed length: expected "
            f"Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them"
        )
    flat_action_space, to_action = flat_actions(actions, name)
    flat_box = Box.of(flat.low, flat.high, flat.shape)
    return _Description(name, flat_box, _space(flat_action_space), flat_action_space, to_action)


def _space(space: Any) -> Space:
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiDiscrete(tuple(int(n) for n in space.nvec))
    return Box.of(space.low, space.high, space.shape)
