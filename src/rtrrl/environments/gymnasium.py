"""The worlds of Gymnasium, stepped on the host, in processes of their own where there are many.

gymnasium is imported only when a world is built.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Shaped

from rtrrl.environments.gymnasium_actions import flat_actions
from rtrrl.environments.host import Answers, HostEnvironment, LiveWorlds
from rtrrl.environments.spaces import Box, Space
from rtrrl.errors import RtrrlError, UnknownNameError, UnsupportedSpaceError

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
                f"cannot keep {outside} of '{self.name}': its observation has entries 0 to "
                f"{size - 1}"
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

    def open(self, copies: int, processes: bool = False, pictures: bool = False) -> LiveWorlds:
        """Live copies, side by side or in processes of their own."""
        return GymnasiumWorlds(self, copies, processes, pictures)


class GymnasiumWorlds(LiveWorlds):
    """Live copies of one Gymnasium world, as a vector environment without automatic reset."""

    def __init__(self, world: Gymnasium, copies: int, processes: bool, pictures: bool):
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

        self._name, self._keep = world.name, world.keep
        make = _maker(world.id, world.wrap, deaf=processes, pictures=pictures)
        disabled = AutoresetMode.DISABLED
        with _in_one_line(self._name):
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
        with _in_one_line(self._name):
            seen, _ = self._worlds.reset(seed=list(seeds), options={"reset_mask": which})
        return self._shown(seen)

    def step(self, actions: Shaped[np.ndarray, "copies ..."]) -> Answers:
        """`terminated` becomes discount 0; `truncated` alone keeps discount 1."""
        with _in_one_line(self._name):
            seen, reward, terminated, truncated, _ = self._worlds.step(actions)
        return Answers(
            self._shown(seen),
            reward.astype(np.float32),
            1 - terminated.astype(np.float32),
            terminated | truncated,
        )

    def picture(self) -> Shaped[np.ndarray, "height width 3"]:
        """What gymnasium draws."""
        assert self._pictures, "opened without pictures"
        with _in_one_line(self._name):
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
    world = _built(id, None)
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


def _maker(id: str, wrap: Callable | None, deaf: bool, pictures: bool) -> Callable[[], Any]:
    """What builds one copy; a closure, so that a process need not import this package and JAX."""
    to_space, translate = flat_actions(_built(id, wrap).action_space, id)

    construct = _constructor(id, pictures)

    def make() -> Any:
        import signal

        from gymnasium.wrappers import FlattenObservation, TransformAction

        if deaf:  # Ctrl-C is for the process that saves the run
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        world = construct()
        world = world if wrap is None else wrap(world)
        return TransformAction(FlattenObservation(world), translate, to_space)

    return make


def _constructor(id: str, pictures: bool = False) -> Callable[[], Any]:
    """What calls `gymnasium.make`, without the warnings that a user can do nothing about."""

    def construct() -> Any:
        import importlib
        import importlib.util
        import warnings

        import gymnasium

        # not every world knows the option
        how: Any = {"render_mode": "rgb_array"} if pictures else {}
        make = functools.partial(gymnasium.make, id, disable_env_checker=True, **how)
        spec = gymnasium.registry.get(id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if "mujoco" not in str(spec and spec.entry_point):
                return make()
            if importlib.util.find_spec("mujoco") is None:
                return make()  # which says so
            # MuJoCo would write its warnings into a file in the working directory
            mujoco: Any = importlib.import_module("mujoco")
            handler = mujoco.get_mju_user_warning()
            mujoco.set_mju_user_warning(lambda _: None)
            try:
                return make()
            finally:
                mujoco.set_mju_user_warning(handler)

    return construct


@functools.lru_cache(maxsize=64)
def _built(id: str, wrap: Callable | None) -> Any:
    """A copy to ask for its spaces."""
    try:
        import gymnasium
    except ImportError:
        raise RtrrlError("gymnasium is not installed: pip install 'rtrrl[gymnasium]'") from None
    package, _, name = id.rpartition(":")
    with _in_one_line(id):
        try:
            world = _constructor(id)()
        except gymnasium.error.DeprecatedEnv as error:
            raise RtrrlError(f"'{id}': {error}") from error
        except gymnasium.error.UnregisteredEnv as error:
            known = [
                name
                for name, spec in gymnasium.registry.items()
                if str(spec.entry_point).startswith(package)
            ]
            raise UnknownNameError(f"{package or 'gymnasium'} world", name, known) from error
        except gymnasium.error.DependencyNotInstalled as error:
            raise RtrrlError(
                f"'{id}' needs more than gymnasium: {error}; MuJoCo comes with "
                f"pip install 'rtrrl[gymnasium]'"
            ) from error
        return world if wrap is None else wrap(world)


@functools.lru_cache(maxsize=64)
def _spaces(id: str, wrap: Callable | None) -> tuple[Box, Space]:
    from gymnasium import spaces

    world = _built(id, wrap)
    try:
        flat = spaces.flatten_space(world.observation_space)
    except NotImplementedError:
        flat = None
    if not isinstance(flat, spaces.Box):
        raise UnsupportedSpaceError(
            f"'{id}' shows {world.observation_space}, which has no fixed length: expected Box, "
            f"Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them"
        )
    to_space, _ = flat_actions(world.action_space, id)
    return Box.of(flat.low, flat.high, flat.shape), _ours(to_space)


def _ours(space: Any) -> Space:
    from gymnasium import spaces

    from rtrrl.environments.spaces import Discrete, MultiDiscrete

    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiDiscrete(tuple(int(n) for n in space.nvec))
    return Box.of(space.low, space.high, space.shape)


@contextlib.contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    """An environment's own error, named as such."""
    try:
        yield
    except (RtrrlError, KeyboardInterrupt):
        raise
    except Exception as error:
        said = f"{error}".strip().partition("\n")[0]
        raise RtrrlError(
            f"'{name}' raised {type(error).__name__}: {said or 'without a word'}; mend the "
            f"environment, then go on with --resume"
        ) from error
