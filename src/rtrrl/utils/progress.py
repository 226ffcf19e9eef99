"""The progress bar of a run."""

import sys
import time
from typing import Any, Self

import numpy as np


class ProgressBar:
    """Shows return, speed and remaining time on a terminal; elsewhere nothing."""

    def __init__(self, title: str, steps: int, start: int, shown: bool):
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[score]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
        )
        self._task = self._bar.add_task(
            title, total=steps, completed=start, score="compiling", speed=""
        )
        self._start_time, self._start_step = time.perf_counter(), start

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def begin(self) -> None:
        """Start measuring the speed; compilation is over."""
        self._start_time = time.perf_counter()
        self._bar.update(self._task, score="")

    def at(self, step: int) -> None:
        """Show that all seeds have reached `step`."""
        speed = (step - self._start_step) / max(time.perf_counter() - self._start_time, 1e-9)
        self._bar.update(self._task, completed=step, speed=f"{speed:,.0f} steps/s")

    def evaluated(self, scores: np.ndarray) -> None:
        """Show the median of the seeds' latest evaluations."""
        self._bar.update(self._task, score=f"return {np.median(scores):.4g} (median)")
