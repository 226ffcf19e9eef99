"""Objects in this process and in others."""

import cloudpickle
import pytest

from rtrrl.errors import RtrrlError
from rtrrl.utils.workers import LocalWorker, ProcessWorker

SOURCE = """
class Counter:
    def __init__(self):
        self.count = 0

    def add(self, number):
        self.count += number
        return self.count

    def fail(self):
        raise KeyError("lost")

    def die(self):
        import os
        os._exit(3)

    def close(self):
        pass
"""


def counter():
    """A class whose code is sent, as that of a user's script is."""
    scope = {"__name__": "__main__"}
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
