"""Building Gymnasium's worlds, and what they may say when that fails, in one line."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from rtrrl.errors import RtrrlError, UnknownNameError


def constructor(id: str, pictures: bool = False) -> Callable[[], Any]:
    """What calls `gymnasium.make`, without the warnings that a user can do nothing about."""

    def construct() -> Any:
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
            from mujoco import (
                get_mju_user_warning,  # pyright: ignore[reportAttributeAccessIssue]
                set_mju_user_warning,  # pyright: ignore[reportAttributeAccessIssue]
            )

            handler = get_mju_user_warning()
            set_mju_user_warning(lambda _: None)
            try:
                return make()
            finally:
                set_mju_user_warning(handler)

    return construct


def built(id: str, wrap: Callable | None = None) -> Any:
    """A copy to be asked for its spaces.

    **Raises** `UnknownNameError` for an unknown world, `RtrrlError` where it cannot be built.
    """
    try:
        import gymnasium
    except ImportError:
        raise RtrrlError("gymnasium is not installed: pip install 'rtrrl[gymnasium]'") from None
    package, _, name = id.rpartition(":")
    with in_one_line(id):
        try:
            world = constructor(id)()
        except gymnasium.error.DeprecatedEnv as error:
            raise RtrrlError(f"'{id}': {error}") from error
        except gymnasium.error.UnregisteredEnv as error:
            known = [
                name
                for name, spec in gymnasium.registry.items()
                if str(spec.entry_point).startswith(package)
            ]
            raise UnknownNameError(f"{package or 'gymnasium'} world", name, known) from error
        except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
            raise RtrrlError(
                f"'{id}' needs more than gymnasium: {error}; MuJoCo comes with "
                f"pip install 'rtrrl[gymnasium]'"
            ) from error
        return world if wrap is None else wrap(world)


@contextlib.contextmanager
def in_one_line(name: str, advice: str = "") -> Iterator[None]:
    """An environment's own error, named as such, with what to do about it."""
    try:
        yield
    except (RtrrlError, KeyboardInterrupt):
        raise
    except Exception as error:
        said = f"{error}".strip().partition("\n")[0]
        raise RtrrlError(
            f"'{name}' raised {type(error).__name__}: {said or 'without a word'}{advice}"
        ) from error
