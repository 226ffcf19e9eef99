"""Ctrl-C as a wish to stop soon, with everything kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def catch_sigint() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; a second one interrupts at once.

    So does the second where Ctrl-C was ignored, as it is in what a script starts in the background.
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
