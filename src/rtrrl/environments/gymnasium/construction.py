"""Making Gymnasium's environments; what they raise becomes an error of one line."""

import contextlib
import copy
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

from rtrrl.environments.arguments import check_arguments, parameters, split_arguments
from rtrrl.errors import RtrrlError, UnknownNameError

Source = str | Callable[..., Any]
"""The id of a Gymnasium environment, or a function that makes one."""


class BrokenRuleError(Exception):
    """What an environment does, and what Gymnasium's API expects."""

    def __init__(self, found: str, expected: str):
        super().__init__(f"{found}; expected {expected}")


def is_gymnasium_env(candidate: Any) -> bool:
    """Whether this is a `gymnasium.Env`; gymnasium is not imported."""
    module = sys.modules.get("gymnasium")
    return module is not None and isinstance(candidate, module.Env)


def label(source: Source) -> str:
    """The id, or the name of the function."""
    return source if isinstance(source, str) else getattr(source, "__name__", repr(source))


def spec(source: Source) -> Any:
    """The specification that is registered under an id; None where there is none."""
    import gymnasium

    if not isinstance(source, str):
        return None
    return gymnasium.registry.get(split_arguments(source)[0].rpartition(":")[2])


def constructor(
    source: Source, render: bool = False, wrap: Callable | None = None
) -> Callable[[], Any]:
    """A function of no arguments that makes one copy, for rendering if asked, and wraps it.

    `gymnasium.make` is called without its warnings about the environment's own files. The function
    is sent to processes that need not import JAX, nor what has registered the environment.
    """
    if wrap is not None:
        construct_bare = constructor(source, render)
        return lambda: wrap(construct_bare())
    mode: Any = {"render_mode": "rgb_array"} if render else {}
    if not isinstance(source, str):
        kinds = parameters(source)
        takes_mode = "render_mode" in kinds or inspect.Parameter.VAR_KEYWORD in kinds.values()
        return functools.partial(source, **mode if takes_mode else {})
    id, arguments = split_arguments(source)
    registered = copy.copy(spec(source))
    if f"{registered and registered.entry_point}".startswith("__main__:"):
        registered.entry_point = _creator(registered)  # a process has another main module
    of_mujoco = "mujoco" in str(registered and registered.entry_point)

    def construct() -> Any:
        import importlib.util
        import warnings

        import gymnasium

        make = functools.partial(
            gymnasium.make, registered or id, disable_env_checker=True, **arguments | mode
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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

    **Raises** `UnknownNameError` for an unknown id or constructor argument, `RtrrlError` where it
    cannot be made or is not a Gymnasium environment.
    """
    try:
        import gymnasium
    except ImportError:
        raise RtrrlError("gymnasium is not installed: pip install 'rtrrl[gymnasium]'") from None
    with one_line_errors(label(source)):
        if isinstance(source, str):
            _register(source)
        try:
            environment = constructor(source)()
        except gymnasium.error.DeprecatedEnv as error:
            raise RtrrlError(f"'{label(source)}': {error}") from error
        except gymnasium.error.UnregisteredEnv as error:
            if not isinstance(source, str):
                raise
            raise _unknown(source) from error
        except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
            raise RtrrlError(f"'{label(source)}' {_missing(error)}") from error
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
    except BrokenRuleError as error:
        raise RtrrlError(f"'{name}' breaks a rule of Gymnasium's API: {error}") from error
    except Exception as error:
        message = str(error).strip().partition("\n")[0] or "no message"
        raise RtrrlError(f"'{name}' raised {type(error).__name__}: {message}{advice}") from error


def _register(source: str) -> None:
    """Import the module of `MODULE:ID`, and check the arguments.

    **Raises** `RtrrlError` where there is no such module, `UnknownNameError` for an argument that
    the environment does not have.
    """
    id, arguments = split_arguments(source)
    module = id.rpartition(":")[0]
    try:
        if module:
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        if f"{module}.".startswith(f"{error.name}."):
            raise RtrrlError(
                f"'{source}': there is no module '{error.name}' in the current folder or among the "
                "installed packages"
            ) from error
        raise RtrrlError(f"'{source}' {_missing(error)}") from error
    registered = spec(source)
    if registered is not None and arguments:
        check_arguments(_creator(registered), arguments, id, also=("max_episode_steps",))


def _creator(registered: Any) -> Callable[..., Any]:
    from gymnasium.envs.registration import load_env_creator

    entry_point = registered.entry_point
    return entry_point if callable(entry_point) else load_env_creator(entry_point)


def _missing(error: Exception) -> str:
    """What is not installed."""
    if "mujoco" in str(error).lower():
        return f"needs MuJoCo ({error}): pip install 'rtrrl[gymnasium]'"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"needs the module '{error.name}', which is not installed"
    return f"needs more than gymnasium: {error}"


def _unknown(source: str) -> RtrrlError:
    import gymnasium

    package, _, id = split_arguments(source)[0].rpartition(":")
    points = {name: each.entry_point for name, each in gymnasium.registry.items()}
    known = [
        name
        for name, point in points.items()
        if (point if isinstance(point, str) else f"{getattr(point, '__module__', '')}:").startswith(
            package
        )
    ]
    if not known:
        return RtrrlError(f"the module '{package}' registers no environment '{id}'")
    return UnknownNameError(f"{package or 'gymnasium'} environment", id, known)
