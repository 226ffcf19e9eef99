"""An object that works in this process, or in one of its own.

`send` calls one of its methods and `receive` returns the result, so that several workers are called
at once: all `send`, then all `receive`.
"""

import abc
import contextlib
import functools
import multiprocessing
import pickle
import signal
import sys
import types
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from rtrrl.errors import RtrrlError


class Worker(abc.ABC):
    """The interface."""

    @abc.abstractmethod
    def send(self, method: str, *arguments: Any) -> None:
        """Call a method."""

    @abc.abstractmethod
    def receive(self) -> Any:
        """The result of the method that was called; what it raised is raised."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the object, by its own method `close`, and end its process."""


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
        self._name = name
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

    def close(self) -> None:
        if self._process.is_alive():
            try:
                self._pipe.send(("close", ()))
                self._process.join(timeout=5)
            except OSError:  # it has ended
                pass
            self._process.terminate()
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
