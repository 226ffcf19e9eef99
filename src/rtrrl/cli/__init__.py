"""The command `rtrrl`.

Help and version do not wait for JAX: this module and `rtrrl.errors` import the standard library
alone, and a command's module is imported when it is called.
"""

import gc
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from rtrrl import __version__
from rtrrl.errors import (
    NonFiniteError,
    RtrrlError,
    RtrrlWarning,
    UnknownNameError,
    described,
)

COMMANDS = {
    "train": "rtrrl.cli.train",
    "eval": "rtrrl.cli.evaluate",
    "plot": "rtrrl.cli.plot",
    "render": "rtrrl.cli.render",
    "agents": "rtrrl.cli.agents",
    "tasks": "rtrrl.cli.tasks",
    "certify": "rtrrl.cli.certify",
}
"""Each command's module, whose `run` takes the arguments and returns the exit code."""

HELP = """\
rtrrl – online recurrent reinforcement learning from one stream

usage: rtrrl COMMAND [options]

commands
  train TASK     train an agent; a run is a folder with scores, curve and checkpoint
  eval DIR       evaluate the agents of a run, without learning
  plot DIR...    draw learning curves, of one run or of several
  render DIR     film one episode: the environment, the agent's value and TD error
  agents         list the named agents
  tasks          list the tasks: observations, actions, what is hidden
  certify        measure how exact the gradient of each cell is under each rule

options
  --json         print results as JSON, with any command
  --import M     import a module or .py file of yours first, with any command
  --version      print the version
  -h, --help     print this; rtrrl COMMAND --help describes a command

examples
  rtrrl train MemoryChain-32
  rtrrl train CartPole-vel --agent paper --seeds 8 --out runs/paper
  rtrrl train CartPole-pos --cell gru --rule snap1 --agent.optimizer.learning-rate 3e-4
  rtrrl train gymnasium/HalfCheetah-v5-pos --seeds 1
  rtrrl train --resume runs/paper
  rtrrl plot runs/paper runs/default --out comparison.svg
  rtrrl render runs/paper --greedy --out episode.gif
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is one line on stderr.

    0 is success, 1 NaN or infinity, 2 any other error of the user's, 130 Ctrl-C. Without `argv` the
    arguments are those of the process, and Ctrl-C ends the process.
    """
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # the reader has closed the pipe, and Python would write to it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt as interrupt:
        code = _failed(str(interrupt) or "interrupted", 130)
        if argv is None:
            # XLA may still be compiling in its own threads, and would crash in Python's shutdown
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return code
    except NonFiniteError as error:
        return _failed(str(error), 1)
    except RtrrlError as error:
        return _failed(str(error), 2)
    except OSError as error:
        return _failed(f"{error.filename or 'input or output'}: {error.strerror or error}", 2)


def _run(args: list[str]) -> int:
    args, modules = _split_imports(args)
    match args:
        case [] | ["-h" | "--help" | "help", *_]:
            print(HELP, end="")
            return 0
        case ["--version", *_]:
            print(f"rtrrl {__version__}")
            return 0
        case [name, *rest] if name in COMMANDS:
            _configure()
            for module in modules:
                _import(module)
            try:
                return importlib.import_module(COMMANDS[name]).run(rest)
            except UnknownNameError as error:
                known = modules or error.kind.startswith(("option", "argument", "entry"))
                hint = "" if known else " (for a name of your own, add --import MODULE)"
                raise RtrrlError(f"{error.message}{hint}") from error
        case [name, *_]:
            kind = "option" if name.startswith("-") else "command"
            raise UnknownNameError(kind, name, [*COMMANDS, "--help", "--version"])
    raise AssertionError("every list is empty or has a first item")


def _configure() -> None:
    """Settings that take effect only before JAX is imported."""
    # XLA would print an error for each program it loads from the cache, about tuning preferences
    # that it mistakes for features of the processor
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # imports and tracing make many objects that stay: Python's default of collecting garbage every
    # few hundred of them takes half a second before the first step
    gc.set_threshold(100_000, 50, 50)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that no file of the user's hides a package
    warnings.formatwarning = _one_line(warnings.formatwarning)


def _one_line(others: Callable[..., str]) -> Callable[..., str]:
    """The format of a warning: of our own the message alone, of `others` as before."""

    def format_warning(message: Warning | str, category: type[Warning], *where: Any) -> str:
        if issubclass(category, RtrrlWarning):
            return f"rtrrl: {message}\n"
        return others(message, category, *where)

    return format_warning


def _split_imports(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without `--import MODULE` or `--import=MODULE`, and the modules.

    >>> _split_imports(["train", "Recall-8", "--import", "mine.py", "--json"])
    (['train', 'Recall-8', '--json'], ['mine.py'])
    """
    rest, modules = [], []
    tokens = iter(args)
    for token in tokens:
        name, equals, value = token.partition("=")
        if name == "--import":
            modules.append(value if equals else next(tokens, ""))
        else:
            rest.append(token)
    return rest, modules


def _import(module: str) -> None:
    """Import a module by its name, or from the path of its file."""
    is_file = module.endswith(".py")
    folder, name = os.path.split(module) if is_file else ("", module)
    if not name:
        raise RtrrlError("--import: expected the name of a module or the path of a .py file")
    if is_file and not os.path.isfile(module):
        raise RtrrlError(f"--import {module}: no such file")
    sys.path.append(os.path.abspath(folder))  # last, so that no file of the user's hides a package
    try:
        imported = importlib.import_module(name.removesuffix(".py"))
    except Exception as error:
        raise RtrrlError(f"--import {module}: {described(error)}") from error
    if is_file and os.path.realpath(imported.__file__ or "") != os.path.realpath(module):
        raise RtrrlError(
            f"--import {module}: the module '{imported.__name__}' is {imported.__file__} already: "
            "rename the file"
        )


def _failed(message: str, code: int) -> int:
    print(f"rtrrl: {' '.join(message.split())}", file=sys.stderr)
    return code
