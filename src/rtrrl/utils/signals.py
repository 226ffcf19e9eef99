"""Ctrl-C as a request to stop at the next opportunity."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def catch_sigint() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second interrupts at once.

    The second interrupts even where SIGINT was ignored before, as in a script's background
    processes. Outside the main thread, which alone receives signals, the event is never set.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def on_interrupt(*_: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, before if callable(before) else signal.default_int_handler)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
