"""The command `rtrrl`.

Only what is asked for is imported: help and version must not wait for JAX, so this module and
`rtrrl.errors` stand on the standard library alone.
"""

import gc
import importlib
import os
import sys
from collections.abc import Sequence

from rtrrl import __version__
from rtrrl.errors import NonFiniteError, RtrrlError, UnknownNameError

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
rtrrl – agents that learn in real time from one stream

usage: rtrrl COMMAND [options]

commands
  train TASK     train an agent; a run is a folder with scores, curve and checkpoint
  eval DIR       let the agents of a run play, without learning
  plot DIR...    draw learning curves, of one run or of several
  render DIR     film one episode: the world, and what the agent expects of it
  agents         list the named agents, a line each
  tasks          list the tasks: what is seen, what is done, what is hidden
  certify        measure how exact each cell's gradient is under each rule

options
  --json         print results as JSON, with any command
  --version      print the version
  -h, --help     print this; rtrrl COMMAND --help says everything about a command

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
    """Run one command and return its exit code; a mistake is said in one line on stderr.

    0 is success, 2 a mistake of the user's, 1 NaN or infinity, 130 Ctrl-C.
    """
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Who read us has gone, and would be written to again when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt as interrupt:
        return _failed(str(interrupt) or "interrupted", 130)
    except NonFiniteError as error:
        return _failed(str(error), 1)
    except RtrrlError as error:
        return _failed(str(error), 2)
    except OSError as error:
        return _failed(f"{error.filename or 'input or output'}: {error.strerror or error}", 2)


def _run(args: list[str]) -> int:
    match args:
        case [] | ["-h" | "--help" | "help", *_]:
            print(HELP, end="")
            return 0
        case ["--version", *_]:
            print(f"rtrrl {__version__}")
            return 0
        case [name, *rest] if name in COMMANDS:
            _settle()
            return importlib.import_module(COMMANDS[name]).run(rest)
        case [name, *_]:
            kind = "option" if name.startswith("-") else "command"
            raise UnknownNameError(kind, name, [*COMMANDS, "--help", "--version"])
    raise AssertionError("every list is empty or has a first item")


def _settle() -> None:
    """What must be said before JAX is imported."""
    # XLA takes preferences of its own tuning for traits of the processor, and misses them aloud
    # in every program that it reads from disk.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Imports and tracing make many objects that stay: to look among them for garbage as often as
    # Python does by itself took half a second before the first step.
    gc.set_threshold(100_000, 50, 50)


def _failed(message: str, code: int) -> int:
    print(f"rtrrl: {' '.join(message.split())}", file=sys.stderr)
    return code
