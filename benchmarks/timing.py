"""Compiled loops that are timed in turn, and a description of the machine."""

import dataclasses
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import rtrrl


@dataclasses.dataclass
class Row:
    """One thing to time: `run(carry, steps)` takes `steps` steps and returns the next carry."""

    name: str
    carry: Any
    run: Callable[[Any, int], Any]
    agents: int = 1
    """How many agents take each step."""
    steps: int = 1
    microseconds: list[float] = dataclasses.field(default_factory=list)
    """Of one agent's step, one entry a repeat."""

    @property
    def median(self) -> float:
        """Microseconds of one agent's step."""
        return statistics.median(self.microseconds)

    @property
    def bytes(self) -> int:
        """Bytes held while it runs."""
        return self.run.bytes if isinstance(self.run, Program) else self.carry.nbytes

    def calibrate(self, seconds: float) -> None:
        """Choose `steps` so that they take about `seconds`, after a warm-up."""
        self.seconds()
        while (took := self.seconds()) < seconds:
            self.steps = int(self.steps * min(16.0, 1 + 1.2 * seconds / max(took, 1e-9)))

    def measure(self) -> None:
        """Time one repeat."""
        self.microseconds.append(self.seconds() / self.steps / self.agents * 1e6)

    def seconds(self) -> float:
        """The seconds that `steps` steps take."""
        start = time.perf_counter()
        self.carry = jax.block_until_ready(self.run(self.carry, self.steps))
        return time.perf_counter() - start


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long to measure."""

    repeats: int
    seconds: float
    """Of each repeat of each row."""


FULL, QUICK = Effort(15, 0.03), Effort(1, 0.0)


def interleave(rows: Sequence[Row], effort: Effort) -> None:
    """Time every row once in each repeat, so that other load affects all rows alike."""
    for row in rows:
        row.calibrate(effort.seconds)
    for _ in range(effort.repeats):
        for row in rows:
            row.measure()


def ratio(row: Row, floor: Row) -> float:
    """Time relative to the floor: the median of the ratios of each repeat."""
    pairs = zip(row.microseconds, floor.microseconds, strict=True)
    return statistics.median(mine / least for mine, least in pairs)


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled `function(carry, steps, *rest)` whose carry is donated."""

    executable: Any
    rest: tuple = ()

    def __call__(self, carry: Any, steps: int) -> Any:
        """The next carry."""
        return self.executable(carry, np.int32(steps), *self.rest)

    @property
    def text(self) -> str:
        """The optimized HLO."""
        return self.executable.as_text()

    @property
    def bytes(self) -> int:
        """Peak memory: arguments, results that do not alias them, temporaries."""
        plan = self.executable.memory_analysis()
        held = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
        return held + plan.temp_size_in_bytes


def compiled(function: Callable, carry: Any, *rest: Any) -> Program:
    """`function` compiled for the shapes of its arguments."""
    program = jax.jit(function, donate_argnums=0).lower(carry, np.int32(1), *rest)
    return Program(program.compile(), rest)


def about() -> dict[str, Any]:
    """Processor and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "rtrrl": rtrrl.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
