"""Training in worlds that Python steps: same agent, same evaluation, same run folder."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import gymnasium
import jax
import numpy as np
import pytest

import rtrrl
from rtrrl import RTRRL
from rtrrl.cells import RTUConfig
from rtrrl.cli import main
from rtrrl.environments import Gymnasium, make
from rtrrl.environments.gymnasium import adapter
from rtrrl.errors import NonFiniteError, RtrrlError
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.run import StopReason
from rtrrl.training.evaluation import evaluate
from rtrrl.training.runners import HostRunner
from rtrrl.training.train import train

TASK = "gymnasium/CartPole-v1-pos"
ASKED = {"steps": 300, "seeds": [1, 3], "evaluations": 3, "episodes": 2, "workers": 1}


def learner(task=TASK, **changes):
    return RTRRL.default(task, cell=RTUConfig(hidden_size=4), **changes)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return rtrrl.train(learner(), out=tmp_path_factory.mktemp("host") / "run", **ASKED)


def assert_same_run(ours, theirs):
    assert (ours.best == theirs.best).all()
    assert (ours.final == theirs.final).all()
    for a, b in zip(jax.tree.leaves(ours.states), jax.tree.leaves(theirs.states), strict=True):
        assert (a == b).all()


def test_a_run_has_the_same_shape_as_a_compiled_one(unbroken):
    assert unbroken.stopped_by is StopReason.BUDGET
    assert [row["step"] for row in unbroken.metrics] == [100, 100, 200, 200, 300, 300]
    assert (unbroken.best >= 8).all(), "a pole does not fall sooner"
    assert {path.name for path in unbroken.folder.iterdir()} >= {
        storage.CONFIG,
        storage.METRICS,
        storage.CHECKPOINT,
        storage.RESULT,
        storage.CURVE,
    }
    rows = [row for row in unbroken.metrics if row["seed"] == 1]
    lived = sum(row["training_return"] * row["episodes"] for row in rows)
    assert 200 < lived <= 300, "one reward a step, less those of the episode that goes on"


def test_the_same_seed_is_the_same_life_alone_or_among_others(unbroken):
    alone = rtrrl.train(learner(), **ASKED | {"seeds": [3]})
    assert alone.best[0] == unbroken.best[1]
    np.testing.assert_allclose(
        alone.states.params.critic.weight[0],
        unbroken.states.params.critic.weight[1],
        rtol=1e-4,
        atol=1e-6,
    )


def test_ctrl_c_in_the_middle_of_episodes_resumes_to_the_same_bits(unbroken, tmp_path, monkeypatch):
    slices, advance = [], HostRunner.advance

    def pressed(*arguments):
        slices.append(1)
        if len(slices) == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return advance(*arguments)

    monkeypatch.setattr(training, "SLICE_SECONDS", 1e-9)
    monkeypatch.setattr(HostRunner, "advance", pressed)
    run = rtrrl.train(learner(), out=tmp_path / "run", **ASKED)
    monkeypatch.undo()
    assert run.stopped_by is StopReason.INTERRUPT
    meta = checkpoints.read_meta(run.folder / storage.CHECKPOINT)
    assert 0 < meta["step"] < 300
    assert meta["recorded"] > 0, "in the middle of an episode"
    assert_same_run(rtrrl.resume(run.folder), unbroken)


@pytest.mark.parametrize("step", [1, 15, 16, 40])
def test_episodes_are_played_again_to_where_they_were(step):
    """Episodes of different age at once; right after an end, too."""
    agent = learner()
    plan = train.RunConfig(agent, make(TASK), 100, (1, 3, 4), 1, 1, False, None, 1, 1)
    with HostRunner(plan) as workers, HostRunner(plan) as others:
        lives = workers.advance(workers.births(), step)
        kept, meta = workers.packed(lives)
        kept = jax.tree.map(lambda leaf: leaf.copy(), kept)
        shapes = jax.tree.map(lambda leaf: leaf.shape, kept)
        template = others.template(meta)
        assert shapes == jax.tree.map(lambda leaf: leaf.shape, template)
        again = others.unpacked(kept)
        for a, b in zip(
            jax.tree.leaves(workers.advance(lives, 50)),
            jax.tree.leaves(others.advance(again, 50)),
            strict=True,
        ):
            assert (a == b).all()


def test_evaluation_plays_an_exact_number_of_whole_episodes(unbroken):
    state = jax.tree.map(lambda leaf: leaf[0], unbroken.states)
    returns = evaluate(learner(), state, make(TASK), jax.random.key(0), episodes=5)
    assert returns.shape == (5,)
    assert len(set(returns.tolist())) > 1, "each episode has a seed of its own"
    again = evaluate(learner(), state, make(TASK), jax.random.key(0), episodes=5)
    np.testing.assert_array_equal(returns, again)


def test_the_command_line_trains_evaluates_and_says_what_is_wrong(tmp_path, capsys):
    folder = str(tmp_path / "run")
    short = ["--steps", "60", "--seeds", "2", "--evaluations", "2", "--episodes", "1"]
    assert main(["train", TASK, *short, "--workers", "1", "--out", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == TASK
    assert main(["eval", folder, "--episodes", "2", "--json"]) == 0
    assert np.shape(json.loads(capsys.readouterr().out)["returns"]) == (2, 2)
    assert main(["train", TASK, "--num-envs", "4"]) == 2
    assert "one stream a seed: leave --num-envs out" in capsys.readouterr().err


class Spoilt(gymnasium.Env):
    """Gives NaN as reward in its tenth step, or raises."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    raises = False

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.time += 1
        if self.time == 10 and self.raises:
            raise ValueError("no more")
        return np.zeros(1, np.float32), np.nan if self.time == 10 else 1.0, False, False, {}


@pytest.fixture
def spoilt():
    gymnasium.register("Spoilt-v0", Spoilt, disable_env_checker=True)
    gymnasium.register("Raising-v0", type("Raising", (Spoilt,), {"raises": True}))
    yield
    adapter._describe.cache_clear()
    del gymnasium.registry["Spoilt-v0"], gymnasium.registry["Raising-v0"]


def test_nan_from_a_world_is_noticed_and_named(spoilt, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SLICE_SECONDS", 1e-9)
    world = Gymnasium("Spoilt-v0")
    with pytest.raises(NonFiniteError, match=r"Spoilt-v0 gave NaN.* step 10 of seed 0"):
        rtrrl.train(learner(world), environment=world, **ASKED | {"seeds": [0]})


def test_a_world_that_raises_is_one_line_and_the_run_is_kept(spoilt, tmp_path):
    world = Gymnasium("Raising-v0")
    out = tmp_path / "run"
    with pytest.raises(RtrrlError, match="'Raising-v0' raised ValueError: no more"):
        rtrrl.train(learner(world), environment=world, out=out, **ASKED)
    assert storage.load_run(out).stopped_by is StopReason.ERROR
    assert checkpoints.read_meta(out / storage.CHECKPOINT)["step"] == 0


PROCESSES = """
import os, signal
import rtrrl
from rtrrl.training.train import train
from rtrrl.cells import RTUConfig
from rtrrl.training.runners import HostWorkers

def trained(workers, steps=60):
    agent = rtrrl.RTRRL.default("gymnasium/CartPole-v1", cell=RTUConfig(hidden_size=4))
    return rtrrl.train(agent, steps=steps, seeds=2, evaluations=1, episodes=1, workers=workers)

def pressed(self, lives, count):
    if count:  # as a terminal does it: to every process of the group
        os.killpg(0, signal.SIGINT)
    return advance(self, lives, min(count, 20))

if __name__ == "__main__":
    print(trained(1).best.tolist())
    print(trained(2).best.tolist())
    advance, HostWorkers.advance = HostWorkers.advance, pressed
    print(trained(2, steps=10_000).stopped_by)
"""


def test_seeds_in_processes_live_as_they_do_in_one_and_ctrl_c_is_heard(tmp_path):
    (tmp_path / "program.py").write_text(PROCESSES)
    said = subprocess.run(
        [sys.executable, tmp_path / "program.py"],
        timeout=240,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert said.returncode == 0, said.stderr
    one, two, stopped = said.stdout.splitlines()
    assert one == two
    assert stopped == "interrupt"
    assert "Traceback" not in said.stderr


def test_settings_may_differ_from_seed_to_seed():
    agent = dataclasses.replace(learner(), gamma=jax.numpy.array([0.0, 0.99]))
    run = rtrrl.train(agent, **ASKED)
    assert run.states.value.shape == (2,)
