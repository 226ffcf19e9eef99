"""Sections of docs/results.md: PPO, the model-based agent, and environments on the host."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtrrl.experiments.suite import COLUMNS, Entry, Results, markdown_table, table_row

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
MODEL = [
    *(Entry(task, "model-based", 100_000, SEEDS) for task in MODEL_TASKS),
    *(Entry(task, "default", 100_000, SEEDS) for task in MODEL_TASKS),
    *(Entry(task, "random", 50_000, range(8)) for task in MODEL_TASKS),
]
CHEETAH = "gymnasium/HalfCheetah-v5-pos"
CONTINUOUS = [
    Entry(CHEETAH, "default", 300_000, range(3), evaluations=10, episodes=3),
    Entry(CHEETAH, "random", 10_000, range(3), evaluations=5, episodes=3),
]
DECISIONS = [
    Entry(f"neurogym/{task}", agent, steps, range(3), evaluations=10, episodes=100)
    for task in ("PerceptualDecisionMaking-v0", "DelayMatchSample-v0", "ContextDecisionMaking-v0")
    for agent, steps in (("default", 150_000), ("random", 5_000))
]
ALL = (*PPO, *MODEL, *CONTINUOUS, *DECISIONS)


def sections(folder: Path) -> str:
    """The sections, from runs in `folder`; missing ones are trained."""

    def results(entries: Sequence[Entry]) -> Results:
        return [(entry, entry.run(folder)) for entry in entries]

    return f"""## Recurrent PPO

All tasks and cells use the same settings, which were chosen on seeds ≥ 100 (`ppo` uses a GRU);
seeds 0 … 4. The target applies to the final score and must be reached by at least 4 of 5 seeds.

{target_table(results(PPO))}
## Learning in a world model

`model-based` learns a recurrent world model online, and its policy from imagined trajectories. It
differs from `default` not only by the model, but also in cell, traces, step sizes, observation
scaling and exploration bonus. Seeds 0 … 4; random agent: seeds 0 … 7.

{score_table(results(MODEL))}
## Continuous control on the host

HalfCheetah-v5 of Gymnasium's MuJoCo with all velocities hidden, one environment per agent, stepped
on the host. Seeds 0 … 2; 10 evaluations of 3 episodes of 1,000 steps each; final is the mean of the
last three. For runs that are ten times as long see [stability](stability.md).

{score_table(results(CONTINUOUS))}
## Decision making (NeuroGym)

An episode is one trial. A correct decision gives a reward of 1. Deciding at the right time without
regard to the observation is correct in half of the trials, which is the score to compare with: the
random agent rarely waits for the right time. Seeds 0 … 2; 10 evaluations of 100 trials.

{score_table(results(DECISIONS))}"""


def score_table(results: Results) -> str:
    """Best and final scores."""
    return markdown_table(COLUMNS, [table_row(*each) for each in results])


def target_table(results: Results) -> str:
    """Best and final scores, and how many seeds reach the target."""
    rows = []
    for entry, run in results:
        reached = int(np.sum(run.final >= (entry.target or 0.0)))
        verdict = "met" if reached >= entry.needed else "missed"
        target = f"≥ {entry.target:g} in ≥ {entry.needed}"
        rows.append([*table_row(entry, run), f"{reached} of {len(entry.seeds)}, {verdict}", target])
    return markdown_table((*COLUMNS, "final ≥ target", "target"), rows)


if __name__ == "__main__":
    print(sections(Path("runs/learning")))
