"""The tasks of the stability study, with the score that should be reached on each."""

import dataclasses
from collections.abc import Sequence

from rtrrl.experiments.suite import Entry
from rtrrl.experiments.variants import Variant

REPORTED_SEEDS = range(10)
TUNING_SEEDS = range(100, 108)
"""Seeds on which settings were chosen: none of them is reported as reaching a target."""


@dataclasses.dataclass(frozen=True)
class Target:
    """The final score that a proportion of seeds should reach on a task."""

    task: str
    steps: int
    score: float
    proportion: float
    chance: float
    """The score of the random agent."""
    continuous: bool = False
    """Whether actions are continuous."""
    seeds: Sequence[int] = REPORTED_SEEDS
    evaluations: int = 50
    episodes: int = 20

    def entry(self, variant: Variant) -> Entry:
        """The run of a variant's agent on this task."""
        return Entry(
            self.task,
            variant.agent,
            self.steps,
            self.seeds,
            evaluations=self.evaluations,
            episodes=self.episodes,
            changes=variant.changes,
            parts=variant.parts,
        )


_MUJOCO = {"continuous": True, "seeds": range(5), "evaluations": 30, "episodes": 3}
TARGETS = (
    Target("MemoryChain-16", 500_000, 0.97, 0.9, 0.0),
    Target("MemoryChain-32", 500_000, 0.97, 0.9, 0.0),
    Target("MemoryChain-64", 1_000_000, 0.97, 0.9, 0.0),
    Target("MemoryChain-128", 2_000_000, 0.95, 0.8, 0.0),
    Target("MemoryChain-256", 3_000_000, 0.9, 0.6, 0.0),
    Target("CartPole-pos", 2_000_000, 475.0, 0.8, 22.0),
    Target("CartPole-vel", 2_000_000, 475.0, 0.8, 22.0),
    Target("Acrobot", 100_000, -100.0, 0.9, -500.0),
    Target("RepeatPreviousEasy", 2_000_000, 0.9, 0.8, -0.5),
    Target("RepeatFirstEasy", 2_000_000, 0.9, 0.8, -0.5),
    Target("DeepSea-16", 1_000_000, 0.9, 0.8, 0.0),
    Target("MountainCarContinuous-pos", 1_000_000, 80.0, 0.6, -100.0, continuous=True),
    Target("gymnasium/HalfCheetah-v5-pos", 3_000_000, 2400.0, 0.5, -350.0, **_MUJOCO),
    Target("gymnasium/Hopper-v5-pos", 3_000_000, 1300.0, 0.5, 15.0, **_MUJOCO),
)

_TRIAL_STEPS = {
    "MemoryChain-128": 1_000_000,
    "CartPole-pos": 1_000_000,
    "Acrobot": 100_000,
    "MountainCarContinuous-pos": 1_000_000,
    "DeepSea-16": 300_000,
}
TRIALS = tuple(
    dataclasses.replace(target, steps=_TRIAL_STEPS[target.task], seeds=TUNING_SEEDS, episodes=10)
    for target in TARGETS
    if target.task in _TRIAL_STEPS
)
"""Where variants are compared: memory, control, a short budget, and two of hard exploration."""

MISSED = tuple(
    dataclasses.replace(
        target, steps=_TRIAL_STEPS.get(target.task, target.steps), seeds=range(100, 116)
    )
    for target in TARGETS
    if target.task in ("RepeatFirstEasy", "DeepSea-16")
)
"""The tasks on which the default misses its target, with more seeds than `TRIALS`."""
