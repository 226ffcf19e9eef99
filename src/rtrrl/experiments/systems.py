"""Sections of the results: the other systems, and RTRRL in worlds on the host."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtrrl.experiments.suite import COLUMNS, Entry, markdown, row
from rtrrl.runs.run import Run

SEEDS = range(5)
PPO = [
    Entry("CartPole", "ppo", 250_000, SEEDS, target=475.0, needed=4),
    Entry("Acrobot", "ppo", 250_000, SEEDS, target=-100.0, needed=4),
    Entry("MemoryChain-8", "ppo", 120_000, SEEDS, target=0.95, needed=4),
    Entry("CartPole", "ppo-ctrnn", 250_000, SEEDS, target=475.0, needed=4),
    Entry("Acrobot", "ppo-ctrnn", 250_000, SEEDS, target=-100.0, needed=4),
    Entry("MemoryChain-8", "ppo-ctrnn", 120_000, SEEDS, target=0.95, needed=4),
    Entry("MemoryChain-8", "ppo-lstm", 120_000, SEEDS, target=0.95, needed=4),
    Entry("MemoryChain-8", "ppo-lru", 250_000, SEEDS, target=0.95, needed=4),
    Entry("MemoryChain-8", "ppo-rtu", 250_000, SEEDS, target=0.95, needed=4),
]
MODEL_TASKS = ("CartPole-pos", "Catch", "MemoryChain-8")
MODEL = [Entry(task, "model-based", 100_000, SEEDS) for task in MODEL_TASKS]
BESIDE = [Entry(task, "default", 100_000, SEEDS) for task in MODEL_TASKS]
CHANCE = [Entry(task, "random", 50_000, range(8)) for task in MODEL_TASKS]

CHEETAH = "gymnasium/HalfCheetah-v5-pos"
CONTINUOUS = [
    Entry(CHEETAH, "default", 300_000, range(3), evaluations=10, episodes=3),
    Entry(CHEETAH, "random", 10_000, range(3), evaluations=5, episodes=3),
]
TRIALS = [
    Entry(f"neurogym/{task}", agent, steps, range(3), evaluations=10, episodes=100)
    for task in ("PerceptualDecisionMaking-v0", "DelayMatchSample-v0", "ContextDecisionMaking-v0")
    for agent, steps in (("default", 150_000), ("random", 5_000))
]

ALL = (*PPO, *MODEL, *BESIDE, *CHANCE, *CONTINUOUS, *TRIALS)

Done = Sequence[tuple[Entry, Run]]


def sections(folder: Path) -> str:
    """The sections, from runs in `folder`; what is missing there is run."""

    def of(entries: Sequence[Entry]) -> Done:
        return [(entry, entry.run(folder)) for entry in entries]

    return f"""## Recurrent PPO

One setting, found on seeds ≥ 100, for all tasks and cells (`ppo` is on a GRU); seeds 0 … 4. The
target is the final score, in at least 4 of 5 seeds.

{targets(of(PPO))}
## Learning in a model of the world

`model-based` learns a recurrent model online and its policy by imagining in it. It differs from
`default` in more than the model: cell, traces, step sizes, how observations are scaled, novelty.
Seeds 0 … 4; the random agent's 0 … 7.

{markdown(COLUMNS, [row(*each) for each in of([*MODEL, *BESIDE, *CHANCE])])}
## Continuous control, live, from one stream

HalfCheetah-v5 of Gymnasium's MuJoCo with all velocities hidden, stepped on the host. Seeds 0 … 2;
10 evaluations of 3 episodes, of 1,000 steps each; final is the mean of the last three. Ten times as
long: [stability](stability.md).

{markdown(COLUMNS, [row(*each) for each in of(CONTINUOUS)])}
## NeuroGym: decisions

An episode is one trial. A right answer earns 1; an answer at the right time without looking is
right in half of the trials, which is what to compare with: the random agent seldom waits. Seeds
0 … 2; 10 evaluations of 100 trials.

{markdown(COLUMNS, [row(*each) for each in of(TRIALS)])}"""


def targets(done: Done) -> str:
    """A table that says how many seeds reached the target."""
    rows = []
    for entry, run in done:
        reached = int(np.sum(run.final >= (entry.target or 0.0)))
        met = "met" if reached >= entry.needed else "missed"
        verdict = f"{reached} of {len(entry.seeds)}, {met}"
        rows.append([*row(entry, run), verdict, f"≥ {entry.target:g} in ≥ {entry.needed}"])
    return markdown((*COLUMNS, "final ≥ target", "target"), rows)


if __name__ == "__main__":
    print(sections(Path("runs/learning")))
