"""An object that works in this process, or in one of its own.

`send` calls one of its methods and `receive` returns the result, so that several workers are called
at once: all `send`, then all `receive`.
"""

import abc
import contextlib
import functools
import math
import multiprocessing
import pickle
import signal
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from rtrrl.errors import RtrrlError

PATIENCE = 5.0
"""The seconds that a process has to close its object."""


class Worker(abc.ABC):
    """The interface."""

    @abc.abstractmethod
    def send(self, method: str, *arguments: Any) -> None:
        """Call a method."""

    @abc.abstractmethod
    def receive(self) -> Any:
        """The result of the method that was called; what it raised is raised."""

    def begin_closing(self) -> None:
        """Let a process begin; `close` waits for it."""
        return

    @abc.abstractmethod
    def close(self) -> None:
        """Close the object, by its own method `close`, and end its process."""


def close_all(workers: Iterable[Worker]) -> None:
    """Close all workers, processes at once, also where closing one of them raises."""
    with contextlib.ExitStack() as closing:
        for worker in workers:
            closing.callback(worker.close)
            worker.begin_closing()


class LocalWorker(Worker):
    """An object in this process."""

    def __init__(self, make: Callable[[], Any]):
        self._object = make()
        self._call: Callable[[], Any]

    def send(self, method: str, *arguments: Any) -> None:
        self._call = functools.partial(getattr(self._object, method), *arguments)

    def receive(self) -> Any:
        return self._call()

    def close(self) -> None:
        self._object.close()


class ProcessWorker(Worker):
    """An object that the pickled function `make` makes in a new process.

    The first `receive` returns when it is made. The process is not forked from this one, in which
    the locks of JAX's threads would never be released, and ignores Ctrl-C, which is for the process
    that saves the run.
    """

    def __init__(self, make: bytes, name: str):
        self._name, self._deadline = name, math.inf
        context = multiprocessing.get_context("forkserver")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        with _empty_main():
            self._process.start()
        theirs.close()

    def send(self, method: str, *arguments: Any) -> None:
        try:
            self._pipe.send((method, arguments))
        except OSError as error:
            raise self._ended() from error

    def receive(self) -> Any:
        try:
            succeeded, result = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if not succeeded:
            raise result
        return result

    def begin_closing(self) -> None:
        if self._deadline == math.inf:
            self._deadline = time.monotonic() + PATIENCE
            with contextlib.suppress(OSError):  # it has ended
                self._pipe.send(("close", ()))

    def close(self) -> None:
        self.begin_closing()
        self._process.join(timeout=max(0.0, self._deadline - time.monotonic()))
        self._process.terminate()
        self._process.join(timeout=1)
        self._pipe.close()

    def _ended(self) -> RtrrlError:
        self._process.join(timeout=1)
        return RtrrlError(
            f"the process of {self._name} has ended by itself, with exit code "
            f"{self._process.exitcode}: see what it has printed, or use 1 worker"
        )


@contextlib.contextmanager
def _empty_main() -> Iterator[None]:
    """Keep multiprocessing from running the user's script again in the new process.

    What the script defines is pickled with its code. So the script needs no
    `if __name__ == "__main__":`.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(pipe: Connection, make: bytes) -> None:
    """Make the object, and call its methods until it is closed or the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        target = pickle.loads(make)()
        pipe.send((True, None))
        method = ""
        while method != "close":
            method, arguments = pipe.recv()
            try:
                answer = True, getattr(target, method)(*arguments)
            except Exception as error:
                answer = False, error
            pipe.send(answer)
    except EOFError:
        pass
    except Exception as error:
        pipe.send((False, error))
