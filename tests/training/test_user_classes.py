"""Environments, agents and parts of a user's own, in runs with and without a folder.

A class of a script that is run, and one that is not imported, are in test_resume.py.
"""

import jax.numpy as jnp
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.cells import MemorylessConfig
from rtrrl.errors import RtrrlError
from rtrrl.gradients import Immediate
from rtrrl.learning.readouts import Symmetric
from rtrrl.runs.run import StopReason
from rtrrl.training.callbacks import Callback
from tests.counting import CountingAgent, PaidAction
from tests.helpers import assert_same_bits
from tests.probes import TruncatedValue
from tests.training.runs import assert_same_run, train_counting

SETTINGS = {"steps": 30, "seeds": 2, "evaluations": 3, "episodes": 1, "workers": 1}


class Stop(Callback):
    """Stops at the first evaluation."""

    def on_evaluation(self, rows):
        return True


def stopped_and_resumed(environment, agent, tmp_path, /, **given):
    """The run, after a comparison with one that was not stopped."""
    whole = rtrrl.train(environment, agent, out=tmp_path / "whole", **SETTINGS)
    run = rtrrl.train(environment, agent, out=tmp_path / "run", callbacks=[Stop()], **SETTINGS)
    assert (run.stopped_by, run.steps) == (StopReason.CALLBACK, 10)
    resumed = rtrrl.resume(run.folder, **given)
    assert_same_run(run.folder, whole.folder)
    assert_same_bits(resumed.agents().states, whole.agents().states)
    loaded = rtrrl.load(run.folder, **given)
    assert_same_bits(loaded.states, whole.agents().states)
    assert loaded.config == whole.agents().config
    return resumed


@pytest.mark.usefixtures("registries")
def test_a_registered_environment_and_agent_are_trained_saved_and_resumed(tmp_path):
    rtrrl.register("environment", "paid-action", PaidAction)
    rtrrl.register("agent", "counting", lambda environment: CountingAgent(cap=20.0))
    run = stopped_and_resumed("paid-action", "counting", tmp_path)
    assert (run.config["task"], run.config["agent"]) == ("paid-action", "CountingAgent")
    assert [row["evaluation"] for row in run.metrics] == [10, 10, 20, 20, 20, 20]


class UsersFeedback(Symmetric):
    """A part with a setting of its own."""

    scale: float = 1.0


@pytest.mark.usefixtures("registries")
def test_a_registered_part_is_trained_saved_and_resumed(tmp_path):
    rtrrl.register("environment", "truncated-N", lambda steps: TruncatedValue(steps=steps))
    rtrrl.register("feedback", "users", UsersFeedback)
    small = {"cell": MemorylessConfig(hidden_size=2), "rule": Immediate()}
    agent = RTRRL.paper("truncated-5", feedback="users", **small)
    assert agent == RTRRL.paper("truncated-5", feedback=UsersFeedback(), **small)
    run = stopped_and_resumed("truncated-5", agent, tmp_path)
    assert run.best.tolist() == [5, 5]
    assert run.agents().agent.feedback == UsersFeedback()
    assert "feedback=UsersFeedback" in run.config["agent"]


def test_an_environment_that_is_not_registered_is_given_when_a_run_is_resumed(tmp_path):
    run = stopped_and_resumed(PaidAction(), CountingAgent(), tmp_path, environment=PaidAction())
    assert run.config["task"] == "PaidAction"


def test_a_class_inside_a_function_is_trained_only_without_a_folder(tmp_path):
    class Local(CountingAgent):
        pass

    run = train_counting(Local(), steps=10, evaluations=1)
    assert run.best == [10]
    with pytest.raises(RtrrlError, match=r"Local is defined inside a function .* `out`"):
        train_counting(Local(), steps=10, evaluations=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_of_a_users_agent_may_differ_from_seed_to_seed(tmp_path):
    agent = CountingAgent(cap=jnp.array([5.0, 25.0]))
    run = train_counting(agent, steps=30, seeds=2, evaluations=1, out=tmp_path / "run")
    assert run.best.tolist() == [5, 25]
    loaded = rtrrl.load(tmp_path / "run", environment=PaidAction())
    assert loaded.one(1)[0].cap == 25
