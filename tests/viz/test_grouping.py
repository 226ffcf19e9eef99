import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rtrrl.agents.registry import make_agent
from rtrrl.cells import GRUConfig
from rtrrl.environments import make
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.gradients import SnAp1
from rtrrl.runs.config import RunConfig
from rtrrl.runs.serialization import shown
from rtrrl.viz.grouping import group
from tests.viz.synthetic import run


def labels(runs, labels=None, by=None):
    """The labels of the only task, and how many seeds each has."""
    (curves,) = group(runs, [each.config["agent"] for each in runs], labels, by).values()
    return {curve.label: len(curve.seeds) for curve in curves}


def values(runs, **names):
    ((curve,),) = group(runs, ["x"] * len(runs), **names).values()
    return curve.values("evaluation")


def configured(**changes):
    """A run of two seeds with the whole config of an agent."""
    environment = make("MemoryChain-4")
    agent = make_agent("paper", environment, **changes)
    config = RunConfig(agent=agent, environment=environment, steps=2000, seeds=(0, 1))
    return run(curves=((0.0,), (1.0,)), config=config.to_dict(describe=True))


# ---------------------------------------------------------------- labels


def test_every_task_has_its_curves_in_the_order_of_the_runs():
    runs = [run("B", "two"), run("A", "one"), run("B", "one")]
    tasks = group(runs, [each.config["agent"] for each in runs])
    found = {task: [curve.label for curve in curves] for task, curves in tasks.items()}
    assert found == {"B": ["two", "one"], "A": ["one"]}
    assert list(found) == ["B", "A"]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["runs/a", "runs/b"], ["default (a)", "default (b)"]),
        (["a/run", "b/run"], ["default (a/run)", "default (b/run)"]),
        (["a/run", "a/run"], ["default (1)", "default (2)"]),
        ([None, None, None], ["default (1)", "default (2)", "default (3)"]),
        ([None, "runs/a"], ["default (1)", "default (2)"]),
    ],
)
def test_runs_of_one_agent_are_told_apart_by_folder_else_by_number(folders, expected):
    runs = [run(folder=folder and Path(folder)) for folder in folders]
    assert list(labels(runs)) == expected


def test_given_labels_name_the_runs_and_pool_those_of_one_name():
    assert labels([run(), run(), run()], ["RFLO", "RTRL", "RFLO"]) == {"RFLO": 6, "RTRL": 3}
    assert labels([run()], "RFLO") == {"RFLO": 3}


@pytest.mark.parametrize("given", [[], ["A"], ["A", "B", "C"], "A"])
def test_as_many_labels_as_runs_are_needed(given):
    with pytest.raises(RtrrlError, match=r"of labels is \d and that of runs 2: give one label per"):
        labels([run(), run()], given)


def test_labels_and_by_exclude_each_other():
    with pytest.raises(RtrrlError, match="both labels and by are given"):
        labels([run()], ["A"], "agent")


# ---------------------------------------------------------------- by a setting


def test_runs_of_one_value_of_a_setting_are_one_curve():
    gru = configured(cell=GRUConfig(hidden_size=8), rule=SnAp1())
    runs = [configured(gamma=0.9), gru, configured()]
    assert labels(runs, by="agent.cell") == {"cell=CTRNN": 4, "cell=GRU": 2}
    assert labels(runs, by="agent.cell.hidden_size") == {
        "cell.hidden_size=8": 2,
        "cell.hidden_size=32": 4,
    }
    assert labels(runs, by="agent.cell.dt") == {"cell.dt=1": 4, "no agent.cell.dt": 2}
    assert labels(runs, by="agent.rule") == {"rule=RFLO": 4, "rule=SnAp1": 2}
    assert labels(runs, by="num_envs") == {"num_envs=1": 6}
    assert labels(runs, by="environment.env.id") == {"environment.env.id=MemoryChain-bsuite": 6}
    assert labels(runs, by="patience") == {"patience=None": 6}
    assert labels(runs, by="task") == {"MemoryChain-4": 6}
    assert next(iter(labels(runs, by="agent"))) == "paper, gamma=0.9"
    assert labels(runs, by="seed") == {"seed=0": 3, "seed=1": 3}


def test_curves_by_a_number_are_in_its_order():
    runs = [run(config={"num_envs": count}) for count in (16, 128, 2, 16)]
    assert list(labels(runs, by="num_envs")) == ["num_envs=2", "num_envs=16", "num_envs=128"]


def test_an_unknown_setting_is_refused_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match=r"'cell.hidden_siz': did you mean agent.cell.hid"):
        labels([configured()], by="cell.hidden_siz")
    with pytest.raises(UnknownNameError, match=r"entry of the runs' configs 'agent.cell': did you"):
        labels([run()], by="agent.cell")


# ---------------------------------------------------------------- settings that differ among seeds


def per_seed(**settings):
    """A run of four seeds with settings of their own."""
    agent = f"paper, gamma={shown(settings['gamma'])}"
    made = run(agent=agent, curves=((0.0,), (1.0,), (2.0,), (3.0,)))
    return dataclasses.replace(made, config=made.config | {"per_seed": settings})


def test_every_combination_of_settings_of_the_seeds_is_a_curve():
    made = per_seed(
        gamma=(0.9, 0.99, 0.9, 0.99), **{"optimizer.learning_rate": (1e-3,) * 3 + (1.0,)}
    )
    assert labels([made]) == {
        "paper, gamma=0.9, optimizer.learning_rate=0.001": 2,
        "paper, gamma=0.99, optimizer.learning_rate=0.001": 1,
        "paper, gamma=0.99, optimizer.learning_rate=1": 1,
    }
    named = next(iter(labels([made], ["mine"])))
    assert named == "mine, gamma=0.9, optimizer.learning_rate=0.001"


def test_settings_of_the_seeds_can_be_grouped_by():
    made = per_seed(gamma=(0.9, 0.99, 0.9, 0.5))
    assert labels([made], by="agent.gamma") == {"gamma=0.5": 1, "gamma=0.9": 2, "gamma=0.99": 1}
    assert labels([made], by="task") == {"MemoryChain-4": 4}


# ---------------------------------------------------------------- values


def test_seeds_of_one_curve_are_interpolated_between_their_evaluations():
    often = run(curves=((0.0, 1.0, 2.0, 3.0),), every=500)
    seldom = run(curves=((10.0, 30.0),), every=1000)
    steps, found = values([often, seldom], labels=["A", "A"])
    assert steps.tolist() == [500, 1000, 1500, 2000]
    assert found[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    np.testing.assert_array_equal(found[:, 1], [np.nan, 10.0, 20.0, 30.0])


def test_a_shorter_run_counts_as_far_as_it_was_trained():
    long, short = run(curves=((0.0, 1.0, 2.0),)), run(curves=((4.0,),))
    steps, found = values([long, short], labels=["A", "A"])
    assert steps.tolist() == [1000, 2000, 3000]
    np.testing.assert_array_equal(found, [[0.0, 4.0], [1.0, np.nan], [2.0, np.nan]])


def test_values_that_are_missing_or_not_finite_are_none():
    curves = ((0.0, None, np.nan, 3.0), (1.0, None, np.inf, np.nan))
    steps, found = values([run(curves=curves)])
    assert steps.tolist() == [1000, 4000]
    np.testing.assert_array_equal(found, [[0.0, 1.0], [3.0, np.nan]])


def test_a_curve_without_values_is_empty():
    steps, found = values([run(curves=((None,), (None,)))])
    assert (steps.shape, found.shape) == ((0,), (0, 2))
