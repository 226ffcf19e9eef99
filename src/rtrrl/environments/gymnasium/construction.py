"""Making Gymnasium's environments; what they raise becomes an error of one line."""

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

from rtrrl.errors import RtrrlError, UnknownNameError

Source = str | Callable[..., Any]
"""The id of a Gymnasium environment, or a function that makes one."""


def is_gymnasium_env(candidate: Any) -> bool:
    """Whether this is a `gymnasium.Env`; gymnasium is not imported."""
    module = sys.modules.get("gymnasium")
    return module is not None and isinstance(candidate, module.Env)


def label(source: Source) -> str:
    """The id, or the name of the function."""
    return source if isinstance(source, str) else getattr(source, "__name__", repr(source))


def constructor(source: Source, render: bool = False) -> Callable[[], Any]:
    """A function of no arguments that makes one copy, for rendering if asked.

    `gymnasium.make` is called without its warnings about the environment's own files. The function
    is sent to processes that need not import JAX: it refers to nothing in this package.
    """
    if not isinstance(source, str):
        kinds = _parameters(source)
        takes_mode = "render_mode" in kinds or inspect.Parameter.VAR_KEYWORD in kinds.values()
        mode: Any = {"render_mode": "rgb_array"} if render and takes_mode else {}
        return functools.partial(source, **mode)

    def construct() -> Any:
        import importlib.util
        import warnings

        import gymnasium

        # not every environment takes the option
        mode: Any = {"render_mode": "rgb_array"} if render else {}
        make = functools.partial(gymnasium.make, source, disable_env_checker=True, **mode)
        spec = gymnasium.registry.get(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            of_mujoco = "mujoco" in str(spec and spec.entry_point)
            if not of_mujoco or importlib.util.find_spec("mujoco") is None:
                return make()
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


def build(source: Source, wrap: Callable | None = None) -> Any:
    """One copy, to read its spaces.

    **Raises** `UnknownNameError` for an unknown id, `RtrrlError` where it cannot be made or is not
    a Gymnasium environment.
    """
    try:
        import gymnasium
    except ImportError:
        raise RtrrlError("gymnasium is not installed: pip install 'rtrrl[gymnasium]'") from None
    with one_line_errors(label(source)):
        try:
            environment = constructor(source)()
        except gymnasium.error.DeprecatedEnv as error:
            raise RtrrlError(f"'{label(source)}': {error}") from error
        except gymnasium.error.UnregisteredEnv as error:
            if not isinstance(source, str):
                raise
            package, _, name = source.rpartition(":")
            known = [
                name
                for name, spec in gymnasium.registry.items()
                if str(spec.entry_point).startswith(package)
            ]
            kind = f"{package or 'gymnasium'} environment"
            raise UnknownNameError(kind, name, known) from error
        except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
            raise RtrrlError(
                f"'{label(source)}' needs more than gymnasium: {error}; MuJoCo comes with "
                f"pip install 'rtrrl[gymnasium]'"
            ) from error
        if not isinstance(environment, gymnasium.Env):
            raise RtrrlError(
                f"'{label(source)}' returns {environment!r:.80}: expected a function that makes a "
                "gymnasium.Env"
            )
        return environment if wrap is None else wrap(environment)


@contextlib.contextmanager
def one_line_errors(name: str, advice: str = "") -> Iterator[None]:
    """Turn an environment's exception into an `RtrrlError` with its name, and what to do."""
    try:
        yield
    except RtrrlError:
        raise
    except Exception as error:
        message = str(error).strip().partition("\n")[0] or "no message"
        raise RtrrlError(f"'{name}' raised {type(error).__name__}: {message}{advice}") from error


def _parameters(function: Callable) -> dict[str, Any]:
    """The kinds of a function's parameters by name; none where Python cannot inspect it."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return {name: parameter.kind for name, parameter in parameters.items()}
