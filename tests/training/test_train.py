"""`train`: its schedule, scores, metrics and files, and the arguments that it refuses."""

import math
from collections.abc import Callable

import gymnasium
import jax
import jax.numpy as jnp
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.agents import Random
from rtrrl.errors import RtrrlError, RunFolderError
from rtrrl.runs import storage
from rtrrl.runs.locking import LOCK
from rtrrl.runs.run import StopReason
from rtrrl.types import TimeStep
from tests.counting import CountingAgent, PaidAction
from tests.helpers import assert_same_bits
from tests.training.runs import (
    EVALUATIONS,
    SEEDS,
    STEPS,
    TASK,
    read_result,
    rows_without_time,
    small_agent,
    snapshot,
    train_counting,
    train_small,
)

# --- schedule, scores, metrics ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [
        (100, 4, [25, 50, 75, 100]),
        (103, 10, [10, 20, 30, 41, 51, 61, 72, 82, 92, 103]),
        (3, 50, [1, 2, 3]),
        (7, 1, [7]),
        (600, 2, [300, 600]),
    ],
)
def test_the_number_of_steps_is_exact_and_scores_belong_to_their_steps(
    steps, evaluations, expected
):
    run = train_counting(steps=steps, evaluations=evaluations)
    assert [row["step"] for row in run.metrics] == expected
    assert [row["evaluation"] for row in run.metrics] == expected
    assert run.agents().states.count.tolist() == [steps]
    assert (run.steps, run.stopped_by) == (steps, StopReason.BUDGET)


def test_best_and_final_are_per_seed():
    agent = CountingAgent(cap=jnp.array([30.0, 1e9]))
    run = train_counting(agent, seeds=[5, 6], steps=200, evaluations=20)
    assert run.best.tolist() == [30, 200]
    assert run.final.tolist() == [30, 190]  # the last tenth holds two of 20, at least three count
    assert [row["seed"] for row in run.metrics[:4]] == [5, 6, 5, 6]


def test_greedy_evaluations_take_the_mode():
    assert train_counting(steps=10, evaluations=1, greedy=True).best == [10.5]


def test_patience_waits_for_the_last_seed_that_improves(tmp_path):
    agent = CountingAgent(cap=jnp.array([20.0, 60.0]))
    settings = {"seeds": 2, "steps": 500, "evaluations": 50, "patience": 3}
    run = train_counting(agent, out=tmp_path / "run", **settings)
    assert (run.steps, run.stopped_by) == (90, StopReason.PATIENCE)
    assert read_result(tmp_path / "run")["finished"]
    assert train_counting(steps=200, evaluations=20, patience=1).stopped_by is StopReason.BUDGET


def test_metrics_cover_the_steps_since_the_last_evaluation():
    run = train_counting(steps=12, evaluations=2)
    # two whole episodes each time, paid at their second steps: after 1, 4, 7 and 10 steps
    assert [row["episodes"] for row in run.metrics] == [2, 2]
    assert [row["training_return"] for row in run.metrics] == [2.5, 8.5]
    assert [row["td_error_rms"] for row in run.metrics] == [2.0, 2.0]
    assert [row["entropy"] for row in run.metrics] == [0.5, 0.5]


def test_without_a_whole_episode_there_is_no_training_return(tmp_path):
    run = train_counting(steps=4, evaluations=2, out=tmp_path / "run")
    assert [math.isnan(row["training_return"]) for row in run.metrics] == [True, False]
    assert rows_without_time(run.folder)[0]["training_return"] is None


class RandomReward(PaidAction):
    """Episodes of one step, whose reward is drawn at the reset."""

    def reset(self, key):
        return jax.random.uniform(key), jnp.ones(1)

    def step(self, key, state, action):
        return state, TimeStep(jnp.ones(1), state, jnp.zeros(()), jnp.array(True))


def test_no_episode_of_training_or_evaluation_occurs_twice():
    settings = {"steps": 6, "evaluations": 6, "episodes": 1, "seeds": [0, 1]}
    run = train_counting(env=RandomReward(), **settings)
    drawn = [row[name] for row in run.metrics for name in ("training_return", "evaluation")]
    assert len(set(drawn)) == 2 * 2 * 6


def test_evaluation_does_not_influence_training(uninterrupted):
    run = train_small(evaluations=7, episodes=2, greedy=True)
    assert_same_bits(run.agents().states, uninterrupted.agents().states)


# --- the run and its agents ---------------------------------------------------------------------


def test_a_folder_holds_five_files_and_a_lock(uninterrupted):
    expected = {storage.CONFIG, storage.METRICS, storage.CHECKPOINT, storage.BEST_CHECKPOINT}
    expected |= {storage.RESULT, LOCK}
    assert {path.name for path in uninterrupted.folder.iterdir()} == expected


def test_a_run_is_read_back(uninterrupted):
    again = rtrrl.load_run(uninterrupted.folder)
    assert again.metrics == [
        {name: None if value != value else value for name, value in row.items()}
        for row in uninterrupted.metrics
    ]
    assert again.result() == uninterrupted.result()
    with pytest.raises(RtrrlError, match=r"load them from its folder, with rtrrl\.load\('"):
        again.agents()


def test_the_agents_of_a_run_are_read_back(uninterrupted):
    loaded, agents = rtrrl.load(uninterrupted.folder), uninterrupted.agents()
    assert loaded.agent == agents.agent == small_agent()
    assert loaded.environment == agents.environment == rtrrl.make(TASK)
    assert loaded.seeds == agents.seeds == tuple(SEEDS)
    assert (loaded.step, agents.step) == (STEPS, STEPS)
    assert loaded.config == agents.config
    assert_same_bits(loaded.states, agents.states)


def test_the_agent_of_one_seed_is_evaluated_by_itself():
    run = train_counting(CountingAgent(cap=jnp.array([3.0, 8.0])), seeds=2, steps=6, evaluations=1)
    for index, expected in enumerate((3, 6)):
        agent, state = run.agents().one(index)
        returns = rtrrl.evaluate(agent, state, PaidAction(), jax.random.key(0), episodes=2)
        assert returns.tolist() == [expected] * 2


def test_a_run_as_a_table(uninterrupted):
    pandas = pytest.importorskip("pandas")
    table = uninterrupted.to_dataframe()
    assert isinstance(table, pandas.DataFrame)
    assert len(table) == EVALUATIONS * len(SEEDS)
    assert list(table.columns[:4]) == ["task", "agent", "step", "seed"]
    assert set(table.task) == {TASK}
    best = table.groupby("seed").evaluation.max()
    assert best.tolist() == uninterrupted.best.tolist()


# --- environments and agents --------------------------------------------------------------------


def test_environment_and_agent_by_name():
    run = rtrrl.train(TASK, "random", steps=20, seeds=1, evaluations=1, episodes=1, workers=1)
    assert (run.config["task"], run.config["agent"]) == (TASK, "random")
    assert isinstance(run.agents().agent, Random)


def test_a_function_that_makes_a_gymnasium_environment():
    make = lambda: gymnasium.make("CartPole-v1")  # noqa: E731
    settings = {"steps": 30, "seeds": 1, "evaluations": 1, "episodes": 1}
    run = rtrrl.train(make, "random", **settings)
    assert run.config["task"] == "CartPole-v1"
    assert run.best >= 8, "a pole does not fall sooner"
    by_name = rtrrl.train("gymnasium/CartPole-v1", "random", **settings)
    assert run.best == by_name.best


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ("CartPole-pos", "observations of 3 numbers, and those of CartPole-pos have 2"),
        ("MemoryChain-8", r"for the actions Discrete\(4\), and those of MemoryChain-8 are"),
    ],
)
def test_an_agent_for_another_environment_is_refused(environment, message, tmp_path):
    with pytest.raises(RtrrlError, match=message):
        rtrrl.train(environment, RTRRL.default(TASK), steps=10, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_task_is_refused_with_similar_ones():
    with pytest.raises(RtrrlError, match="TMaze"):
        rtrrl.train("TMase-3", steps=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CountingAgent(), TASK), r"the environment comes first: rtrrl.train\(environment, agent"),
        ((TASK, RTRRL), "the agent is the class RTRRL: expected an Agent, such as"),
    ],
    ids=["agent first", "class"],
)
@pytest.mark.usefixtures("unchecked")
def test_arguments_of_another_type_are_refused(arguments, message):
    with pytest.raises(RtrrlError, match=message) as caught:
        rtrrl.train(*arguments, steps=10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0: it must be 1 or more"),
        ({"evaluations": 0}, "evaluations is 0"),
        ({"episodes": 0}, "episodes is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"num_envs": 0}, "num_envs is 0"),
        ({"seeds": 0}, "no seed"),
        ({"seeds": []}, "no seed"),
        ({"seeds": [1, 2, 1]}, "seed 1 .*twice"),
        ({"seeds": [2**32]}, "seed 4294967296 is out of range"),
        ({"patience": 0}, "patience is 0"),
        ({"patience": 2.5}, r"patience is 2\.5: it must be a whole number"),
        ({"steps": 1e3 + 0.5}, r"steps is 1000\.5: it must be a whole number"),
        ({"steps": 3e9}, "steps is 3,000,000,000: expected at most"),
        ({"callbacks": [print]}, "is not a callback: expected an rtrrl.Callback"),
        ({"callbacks": rtrrl.Callback()}, "callbacks is a Callback: expected a list of them"),
        ({"start_from": 3}, "start_from is 3: expected a run, its folder, or what"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_invalid_arguments_are_refused_in_one_line(changes, message, tmp_path):
    settings = {"steps": 10, "seeds": 1, "out": tmp_path / "run"} | changes
    with pytest.raises(RtrrlError, match=message) as caught:
        rtrrl.train(PaidAction(), CountingAgent(), **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_in_use_is_refused_without_overwrite(tmp_path):
    folder = tmp_path / "run"
    train_counting(CountingAgent(cap=1.0), steps=10, evaluations=2, out=folder)
    before = snapshot(folder)
    with pytest.raises(RunFolderError, match="not empty"):
        train_counting(steps=4, evaluations=1, out=folder)
    assert snapshot(folder) == before
    run = train_counting(steps=4, evaluations=1, out=folder, overwrite=True)
    assert [row["step"] for row in rtrrl.load_run(folder).metrics] == [4]
    assert run.best == [4]


class AgentWithFunction(CountingAgent):
    function: Callable = abs


def test_settings_that_are_no_data_train_only_without_a_folder(tmp_path):
    settings = {"steps": 10, "evaluations": 1}
    run = train_counting(AgentWithFunction(), **settings)
    assert run.stopped_by is StopReason.BUDGET
    with pytest.raises(RtrrlError, match="without `out`"):
        train_counting(AgentWithFunction(), **settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
