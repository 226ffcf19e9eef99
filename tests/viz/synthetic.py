"""Runs as figures need them, without training."""

import numpy as np

from rtrrl.runs.run import Run

CURVES = ((0.0, 1.0), (0.5, 0.5), (1.0, 1.0))
"""Of three seeds, at two evaluations."""


def run(task="MemoryChain-4", agent="default", curves=CURVES, every=1000, config=None, **fields):
    """A run with one curve per seed, evaluated every so many steps."""
    seeds = list(range(len(curves)))
    metrics = [
        {"step": every * (index + 1), "seed": seed, "evaluation": value}
        for index in range(len(curves[0]))
        for seed, value in zip(seeds, [curve[index] for curve in curves], strict=True)
    ]
    config = {"task": task, "agent": agent, "steps": 2000, "seeds": seeds, **(config or {})}
    return Run(config=config, metrics=metrics, seeds=seeds, steps_per_second=1.0, **fields)


def monitored(num_envs=1, task="MemoryChain-4", agent="default", values=(1.0, 2.0, 4.0)):
    """A run of three seeds with these variances in two rows, and a tenth of them as norms."""
    curves = tuple((value, value) for value in values)
    made = run(task, agent, curves, config={"num_envs": num_envs})
    for row in made.metrics:
        value = row["evaluation"]
        row["gradient_variance"] = value
        row["update_norm"] = None if value is None else value / 10
    return made


def noisy(number, seeds=3, evaluations=10, **fields):
    """A run of random evaluations and variances, the same for the same number."""
    rng = np.random.default_rng(number)
    curves = rng.normal(size=(seeds, evaluations)).tolist()
    made = run(curves=curves, agent=fields.pop("agent", f"agent {number}"), **fields)
    for row in made.metrics:
        row["gradient_variance"] = row["update_norm"] = float(np.exp(row["evaluation"]))
    return made
