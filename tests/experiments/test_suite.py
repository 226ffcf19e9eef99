"""Entries: every experiment's runs can be built, and their commands are accepted."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from rtrrl.cli import main
from rtrrl.environments import make
from rtrrl.errors import RtrrlError
from rtrrl.experiments import demo, learning, systems, variance
from rtrrl.experiments.stability import all_runs
from rtrrl.experiments.suite import Entry, commands, format_score, format_scores
from rtrrl.runs import storage

ENTRIES = [
    *demo.ENTRIES,
    *(*learning.DEFAULT, *learning.PAPER, *learning.UNCLIPPED, *learning.CHANCE),
    *systems.ALL,
    *(entry for task in variance.TASKS for entry in variance.entries(task)),
    *(target.entry(variant) for _, variant, target in all_runs()),
]

# one entry for each agent that is built, rather than one for each run
AGENTS = {
    (entry.task, entry.agent, str(entry.changes), str(entry.parts), entry.variance): entry
    for entry in ENTRIES
}
VARIANTS = {
    (entry.agent, str(entry.changes), str(entry.parts), entry.variance): entry
    for entry in ENTRIES
    if "/" not in entry.task  # compiled environments: these are made faster
}


def test_every_entry_builds_its_agent():
    environments = {}
    for entry in AGENTS.values():
        if entry.task not in environments:
            try:
                environments[entry.task] = make(entry.task)
            except RtrrlError:  # its package is not installed
                environments[entry.task] = None
        if environments[entry.task] is not None:
            entry.build()


class CapturedError(Exception):
    """Carries what `train` is called with."""


@pytest.mark.parametrize("entry", VARIANTS.values(), ids=lambda entry: entry.folder(Path()).name)
def test_the_command_of_an_entry_trains_its_agent(entry, monkeypatch, tmp_path):
    def capture(*args, **plan):
        raise CapturedError(args, plan)

    monkeypatch.setattr("rtrrl.cli.train.train", capture)
    monkeypatch.chdir(tmp_path)
    program, *args = shlex.split(entry.command())
    assert program == "rtrrl"
    with pytest.raises(CapturedError) as captured:
        main(args)
    positional, plan = captured.value.args
    called = [*positional, *plan.values()]
    assert entry.build() in called
    assert tuple(entry.seeds) in called
    assert plan["steps"] == entry.steps
    assert plan.get("num_envs", 1) == entry.num_envs


def test_a_command_names_all_that_differs():
    entry = Entry(
        "TMaze-3",
        "default",
        100,
        range(3, 5),
        evaluations=2,
        num_envs=4,
        variance=True,
        parts={"bonus": "none"},
        changes={"optimizer.clip": 1.0, "lambda_actor": 0.9},
    )
    assert entry.command() == (
        "rtrrl train TMaze-3 --agent default --steps 100 --seeds 2 --seed 3 --evaluations 2 "
        "--num-envs 4 --variance --bonus none --agent.optimizer.clip 1.0 --agent.lambda-actor 0.9"
    )
    assert commands([entry, entry]) == f"    {entry.command()}"


def test_a_run_is_trained_once_and_again_with_other_settings(tmp_path, monkeypatch):
    entry = Entry("TMaze-3", "random", 20, [0], evaluations=2, episodes=1)
    assert entry.load(tmp_path) is None
    assert entry.run(tmp_path, progress=False).finished
    monkeypatch.setattr("rtrrl.experiments.suite.train", None)
    assert entry.run(tmp_path).metrics == entry.load(tmp_path).metrics
    longer = Entry("TMaze-3", "random", 30, [0], evaluations=2, episodes=1)
    assert longer.load(tmp_path) is None
    assert longer.folder(tmp_path) == entry.folder(tmp_path)
    (entry.folder(tmp_path) / storage.CHECKPOINT).unlink()
    assert entry.load(tmp_path) is None


def test_scores_have_two_or_three_digits():
    assert [format_score(score) for score in (0.979, -0.001, 12.3, -499.6)] == [
        "0.98",
        "0.00",
        "12",
        "-500",
    ]
    assert format_scores(np.array([1.0, 3.0, 2.0])) == "3.00 2.00 1.00"
