"""Objects in this process and in others."""

import cloudpickle
import pytest

from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.utils import workers
from rtrrl.utils.workers import LocalWorker, ProcessWorker, close_all

SOURCE = """
class Counter:
    def __init__(self):
        self.count = 0

    def add(self, number):
        self.count += number
        return self.count

    def fail(self):
        raise KeyError("lost")

    def fail_with_a_name(self):
        from rtrrl.errors import UnknownNameError
        raise UnknownNameError("task", "Cartpole", ["CartPole"], own="or make one")

    def hang(self):
        import time
        time.sleep(1000)

    def die(self):
        import os
        os._exit(3)

    def close(self):
        pass
"""


def counter():
    """A class whose code is sent, as that of a user's script is."""
    scope: dict = {"__name__": "__main__"}
    exec(SOURCE, scope)
    return scope["Counter"]


def in_a_process():
    worker = ProcessWorker(cloudpickle.dumps(counter()), "the counter")
    worker.receive()
    return worker


@pytest.mark.parametrize("make", [lambda: LocalWorker(counter()), in_a_process])
def test_methods_are_called_in_order_and_raise_what_they_raise(make):
    worker = make()
    for number, total in ((1, 1), (2, 3)):
        worker.send("add", number)
        assert worker.receive() == total
    worker.send("fail")
    with pytest.raises(KeyError, match="lost"):
        worker.receive()
    worker.send("add", 4)
    assert worker.receive() == 7
    worker.close()


def test_a_process_that_ends_is_named():
    worker = in_a_process()
    worker.send("die")
    with pytest.raises(RtrrlError, match=r"process of the counter has ended .* exit code 3"):
        worker.receive()
    worker.close()


def test_what_is_raised_in_making_the_object_is_raised_here():
    def fail():
        raise ValueError("no object")

    with pytest.raises(ValueError, match="no object"):
        ProcessWorker(cloudpickle.dumps(fail), "nothing").receive()


def test_an_error_with_arguments_of_its_own_is_raised_as_it_is():
    worker = in_a_process()
    worker.send("fail_with_a_name")
    with pytest.raises(UnknownNameError) as error:
        worker.receive()
    worker.close()
    assert str(error.value) == "unknown task 'Cartpole': did you mean CartPole? (or make one)"
    assert error.value.kind == "task"
    assert error.value.message in str(error.value)


def test_processes_that_do_not_answer_are_ended(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.2)
    busy = [in_a_process() for _ in range(2)]
    for worker in busy:
        worker.send("hang")
    close_all(busy)
    assert not any(worker._process.is_alive() for worker in busy)
    close_all(busy)  # again


def test_all_workers_begin_to_close_before_one_is_waited_for():
    called = []

    class Recorder(LocalWorker):
        def begin_closing(self):
            called.append("begin")

        def close(self):
            called.append("close")

    close_all([Recorder(counter()) for _ in range(2)])
    assert called == ["begin", "begin", "close", "close"]


def test_all_objects_are_closed_where_one_fails_to():
    class Closed:
        closed = 0

        def close(self):
            Closed.closed += 1
            raise KeyError(f"number {Closed.closed}")

    with pytest.raises(KeyError, match="number"):
        close_all([LocalWorker(Closed) for _ in range(3)])
    assert Closed.closed == 3
