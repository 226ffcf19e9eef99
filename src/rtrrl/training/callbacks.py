"""Callbacks: the progress bar, loggers, and the base class for callbacks of your own."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtrrl.errors import RtrrlError
from rtrrl.runs import storage
from rtrrl.runs.config import RunConfig
from rtrrl.runs.run import Run
from rtrrl.training.evaluation_protocol import Poll, Progress
from rtrrl.utils.registry import Registry

Metrics = dict[str, Any]
"""`step`, `steps_per_second` of all seeds together, and arrays with one entry per seed."""


class Callback:
    """Called during training; every method does nothing unless it is overridden.

    `on_metrics` and `on_evaluation` return True to stop the run, which can be resumed.
    """

    def on_start(self, config: RunConfig, step: int) -> None:
        """Training starts, or is resumed, at `step`."""

    def on_metrics(self, metrics: Metrics) -> bool | None:
        """About twice a second: the statistics of training since the last evaluation.

        Arrays with one entry per seed are `training_return` (NaN before the first episode ends),
        `episodes`, `td_error_rms` and `entropy`.
        """

    def on_evaluation_progress(self, progress: Progress) -> None:
        """During an evaluation, again and again where it takes more than half a second."""

    def on_evaluation(self, rows: Sequence[dict[str, Any]]) -> bool | None:
        """After every evaluation: one row of metrics per seed, as in metrics.jsonl."""

    def on_end(self, run: Run) -> None:
        """Training has ended, for whatever reason (`run.stopped_by`)."""


class ShowProgress(Callback):
    """A progress bar with score, speed and remaining time on a terminal; elsewhere nothing."""

    def on_start(self, config: RunConfig, step: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

        self._speed = "compiling"
        self._bar = Progress(
            "{task.description}",
            BarColumn(),
            TaskProgressColumn(),
            "{task.fields[score]}",
            "{task.fields[speed]}",
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(
            f"{config.environment.name} · {config.label}",
            total=config.steps,
            completed=step,
            score="",
            speed=self._speed,
        )
        self._bar.start()

    def on_metrics(self, metrics: Metrics) -> None:
        self._speed = f"{metrics['steps_per_second']:,.0f} steps/s"
        self._bar.update(self._task, completed=metrics["step"], speed=self._speed)

    def on_evaluation_progress(self, progress: Progress) -> None:
        self._bar.update(self._task, speed=f"evaluating {progress.done}/{progress.episodes}")

    def on_evaluation(self, rows: Sequence[dict[str, Any]]) -> None:
        score = np.median([row["evaluation"] for row in rows])
        score = f"return {score:.4g} (median)"
        self._bar.update(self._task, score=score, speed=self._speed)

    def on_end(self, run: Run) -> None:
        self._bar.stop()


@contextlib.contextmanager
def episodes_bar(task: str) -> Iterator[Poll]:
    """A progress bar over the episodes of an evaluation, on a terminal; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        row = bar.add_task(task, total=None)
        yield lambda progress: bar.update(row, total=progress.episodes, completed=progress.done)


class JSONLines(Callback):
    """Writes each row of an evaluation to a file, as one JSON object per line.

    A new run replaces the file, a run that is resumed appends to it.
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)

    def on_start(self, config: RunConfig, step: int) -> None:
        if step == 0:
            self._path.write_text("")

    def on_evaluation(self, rows: Sequence[dict[str, Any]]) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.writelines(storage.encode(row) + "\n" for row in rows)


class TensorBoard(Callback):
    """Writes every metric of an evaluation as a scalar, one TensorBoard run per seed.

    A new run replaces the events of those seeds in the folder, a resumed one adds to them.

    **Raises** `RtrrlError` where tensorboard is not installed.
    """

    def __init__(self, folder: str | Path):
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ModuleNotFoundError as error:
            raise RtrrlError(
                f"{error.name} is not installed: pip install 'rtrrl[tensorboard]'"
            ) from None
        self._folder, self._writers = Path(folder), {}
        messages: Any = (event_pb2, summary_pb2)  # whose classes are made at run time
        self._new_writer, self._event = EventFileWriter, messages[0].Event
        self._summary = messages[1].Summary

    def on_start(self, config: RunConfig, step: int) -> None:
        self._names = [f"seed-{name}" for name in config.seed_names]
        if step == 0:
            for name in self._names:
                for file in (self._folder / name).glob("events.out.tfevents.*"):
                    file.unlink()

    def on_evaluation(self, rows: Sequence[dict[str, Any]]) -> None:
        for name, row in zip(self._names, rows, strict=True):
            if name not in self._writers:
                self._writers[name] = self._new_writer(str(self._folder / name))
            values = [
                self._summary.Value(tag=tag, simple_value=value)
                for tag, value in _scalars(row).items()
            ]
            event = self._event(step=row["step"], summary=self._summary(value=values))
            self._writers[name].add_event(event)

    def on_end(self, run: Run) -> None:
        for writer in self._writers.values():
            writer.close()


class WeightsAndBiases(Callback):
    """Logs every metric of an evaluation as `seed-S/NAME`, and the config of the run.

    `settings` are those of `wandb.init`, such as `project` and `mode="offline"`.

    **Raises** `RtrrlError` where wandb is not installed.
    """

    def __init__(self, folder: str | Path | None = None, **settings: Any):
        try:
            import wandb
        except ModuleNotFoundError:
            raise RtrrlError("wandb is not installed: pip install 'rtrrl[wandb]'") from None
        where = {} if folder is None else {"dir": str(folder)}
        self._wandb: Any = wandb
        self._settings = {"project": "rtrrl"} | where | settings

    def on_start(self, config: RunConfig, step: int) -> None:
        self._names = config.seed_names
        try:
            self._run = self._wandb.init(config=config.to_dict(describe=True), **self._settings)
        except self._wandb.Error as error:  # no account, no network
            raise RtrrlError(f"wandb: {error}") from error

    def on_evaluation(self, rows: Sequence[dict[str, Any]]) -> None:
        values = {
            f"seed-{seed}/{name}": value
            for seed, row in zip(self._names, rows, strict=True)
            for name, value in _scalars(row).items()
        }
        self._run.log(values, step=rows[0]["step"])

    def on_end(self, run: Run) -> None:
        self._run.finish()


LOGGERS: Registry[Callback] = Registry(
    "logger",
    {
        "tensorboard": TensorBoard,
        "wandb": WeightsAndBiases,
        "jsonl": lambda folder: JSONLines(Path(folder) / "log.jsonl"),
    },
)
"""By name, for `rtrrl train --log NAME`; a factory takes the folder of the run."""


def _scalars(row: dict[str, Any]) -> dict[str, float]:
    """The finite metrics of a row."""
    return {
        name: value
        for name, value in row.items()
        if name not in ("step", "seed") and value is not None and np.isfinite(value)
    }
