"""`rtrrl train`: settings, config files, resuming, folders."""

import dataclasses
import json
import signal
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from rtrrl.agents.registry import make_agent
from rtrrl.agents.transfer import for_environment
from rtrrl.cli import main
from rtrrl.environments import Environment, make
from rtrrl.environments.wrappers import Wrapper
from rtrrl.learning.policies import Categorical, GlobalSpread, VarianceScaledScore
from rtrrl.runs import serialization, storage
from rtrrl.types import TimeStep
from tests.cli.conftest import SHORT, SMALL

pytestmark = pytest.mark.usefixtures("in_tmp_path")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / storage.CONFIG).read_text())


def type_name(settings: dict[str, Any]) -> str:
    return settings["type"].rpartition(".")[2]


@pytest.fixture
def arguments_of(monkeypatch):
    """A function from a command to what it calls `train` with: settings, and other arguments."""

    def parse(command: str) -> tuple[dict[str, Any], dict[str, Any]]:
        calls = []

        def train(environment, agent, **others):
            calls.append((serialization.to_dict(agent), others))
            raise KeyboardInterrupt

        monkeypatch.setattr("rtrrl.cli.train.train", train)
        assert main(["train", *command.split()]) == 130
        return calls[0]

    return parse


# ---------------------------------------------------------------- settings


def test_train_writes_a_run_with_the_settings(finished):
    settings = config(finished)["settings"]
    assert settings["cell"]["hidden_size"] == 4
    assert settings["optimizer"]["learning_rate"] == 3e-4
    assert config(finished)["seeds"] == [0, 1]
    assert {storage.RESULT, storage.CURVE, storage.CHECKPOINT, storage.METRICS} <= set(
        files(finished)
    )


def test_log_writes_the_metrics_into_the_folder(finished):
    rows = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [20, 20, 40, 40, 60, 60]


def test_config_repeats_a_run_and_the_result_is_printed_before_the_figure(
    finished, capsys, monkeypatch
):
    printed = []
    monkeypatch.setattr("rtrrl.viz.plot", lambda run: printed.append(capsys.readouterr().out))
    assert main(["train", "--config", str(finished), "--json"]) == 0
    result = json.loads(printed[0])
    first = json.loads((finished / storage.RESULT).read_text())
    folder = Path("runs/TMaze-3-default-1")
    assert config(folder) == config(finished)
    assert (result["best"], result["final"]) == (first["best"], first["final"])
    assert result == json.loads((folder / storage.RESULT).read_text())
    assert capsys.readouterr().out == ""


def test_options_override_a_config(finished, arguments_of):
    options = "--seed 7 --evaluations 2 --greedy --num-envs 3 --agent.gamma 0.5"
    settings, others = arguments_of(f"--config {finished} {options}")
    assert others["seeds"] == (7, 8)
    assert (others["evaluations"], others["greedy"], others["steps"]) == (2, True, 60)
    assert others["num_envs"] == 3
    assert (settings["gamma"], settings["cell"]["hidden_size"]) == (0.5, 4)
    file = finished / storage.CONFIG
    settings, _ = arguments_of(f"Pendulum --config {file} --eigenvalues ring --rule snap1")
    assert (settings["task"], type_name(settings["policy"])) == ("Pendulum", "Gaussian")
    assert (settings["cell"]["hidden_size"], type_name(settings["rule"])) == (4, "SnAp1")
    assert type_name(settings["cell"]["eigenvalues"]) == "UniformRing"
    settings, _ = arguments_of(f"--config {finished} --agent paper")
    assert (type_name(settings["cell"]), settings["cell"]["hidden_size"]) == ("CTRNNConfig", 32)


def test_the_seeds_are_counted_from_the_first(arguments_of):
    assert arguments_of("TMaze-3")[1]["seeds"] == (0, 1, 2, 3, 4)
    assert arguments_of("TMaze-3 --seeds 2 --seed 5")[1]["seeds"] == (5, 6)
    assert arguments_of("TMaze-3 --seed 5")[1]["seeds"] == (5, 6, 7, 8, 9)


def test_the_default_folder_is_the_next_free_one(arguments_of):
    assert arguments_of("TMaze-3 --agent paper")[1]["out"] == Path("runs/TMaze-3-paper-1")
    Path("runs/TMaze-3-paper-1").mkdir(parents=True)
    assert arguments_of("TMaze-3 --agent paper")[1]["out"] == Path("runs/TMaze-3-paper-2")


def test_parts_are_chosen_by_name(arguments_of):
    parts = "--agent paper --cell ctrnn --wiring diagonal --rule diagonal-rtrl --trace dutch "
    parts += "--feedback symmetric --optimizer obgd --policy categorical "
    parts += "--observations normalized --rewards scaled --bonus novelty"
    settings, _ = arguments_of(f"TMaze-3 {parts}")
    assert {
        name: type_name(value)
        for name, value in (settings | settings["inputs"]).items()
        if isinstance(value, dict)
    } == {
        "policy": "Categorical",
        "cell": "CTRNNConfig",
        "rule": "DiagonalRTRL",
        "feedback": "Symmetric",
        "trace": "Dutch",
        "optimizer": "ObGD",
        "inputs": "InputPipeline",
        "observations": "RunningObservations",
        "rewards": "ReturnScaledRewards",
        "bonus": "Novelty",
    }
    assert type_name(settings["cell"]["wiring"]) == "Diagonal"


def test_values_of_settings_may_be_negative_and_infinite(arguments_of):
    options = "--agent.optimizer.clip inf --agent.entropy-coefficient -1e-3 --agent.attenuate true"
    settings, _ = arguments_of(f"TMaze-3 {options}")
    assert settings["optimizer"]["clip"] == "inf", "JSON has no infinity"
    assert (settings["entropy_coefficient"], settings["attenuate"]) == (-1e-3, True)


def test_the_settings_of_a_policy_are_options(arguments_of):
    settings, _ = arguments_of("CartPole --agent.policy.exploration 0.25")
    assert settings["policy"]["exploration"] == 0.25
    options = "--agent.policy.noise-process.rho 0.5 --agent.policy.narrowest 0.1"
    policy = arguments_of(f"Pendulum {options}")[0]["policy"]
    assert (policy["noise_process"]["rho"], policy["narrowest"]) == (0.5, 0.1)
    assert (policy["low"], policy["high"]) == ([-2.0], [2.0])


def test_a_config_keeps_the_parts_of_a_policy_for_another_task():
    agent = make_agent("default", "Pendulum")
    wide = dataclasses.replace(
        agent.policy, spread=GlobalSpread(), score_estimator=VarianceScaledScore()
    )
    moved = for_environment(dataclasses.replace(agent, policy=wide), make("MountainCarContinuous"))
    assert moved.policy == dataclasses.replace(wide, low=(-1.0,), high=(1.0,))
    discrete = for_environment(agent, make("CartPole"))
    assert discrete.policy == make_agent("default", "CartPole").policy
    paper = make_agent("paper", "CartPole")
    assert for_environment(paper, make("Catch")).policy == Categorical(3)  # no exploration
    pendulum = make("Pendulum")
    assert for_environment(paper, pendulum).policy == make_agent("paper", pendulum).policy
    exploring = dataclasses.replace(paper, policy=Categorical(2, 0.3))
    assert for_environment(exploring, make("Catch")).policy == Categorical(3, 0.3)


# ---------------------------------------------------------------- interruption, folders, files


def test_ctrl_c_keeps_the_run_and_resume_finishes_it(monkeypatch, capsys, error_of):
    append = storage.append_metrics

    def interrupted(folder, rows):
        append(folder, rows)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "append_metrics", interrupted)
        assert main(["train", "TMaze-3", *SHORT, *SMALL, "--out", "a b"]) == 130
    out, err = capsys.readouterr()
    assert err == "interrupted at step 20; continue with: rtrrl train --resume 'a b'\n"
    assert "stopped by interrupt" in out

    before = files(Path("a b"))
    assert "run of TMaze-3, not of TMaze-4" in error_of("train", "TMaze-4", "--resume", "a b")
    refusal = error_of("train", "--resume", "a b", "--seed", 0, "--agent.gamma", 0.5)
    assert "cannot be combined with --seed, --agent.gamma;" in refusal
    assert files(Path("a b")) == before

    for steps in ([], [], ["--steps", "1.2e2"]):  # once more where it is finished, then further
        assert main(["train", "TMaze-3", "--resume", "a b", "--json", *steps]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["steps"], result["finished"]) == (120 if steps else 60, True)


def test_nan_from_the_environment_is_exit_code_1(monkeypatch, error_of):
    class Broken(Wrapper):
        env: Environment

        def step(self, key, state, action):
            state, timestep = self.env.step(key, state, action)
            reward = timestep.reward * jnp.nan
            return state, TimeStep(timestep.observation, reward, timestep.discount, timestep.last)

    monkeypatch.setattr("rtrrl.cli.train.make", lambda name: Broken(make(name)))
    line = error_of("train", "TMaze-3", "--agent", "random", *SHORT, "--out", "broken", code=1)
    assert "NaN or infinity as reward or observation at step" in line
    assert "kept in broken" in line


def test_resume_does_not_change_a_run_that_it_refuses(copy, error_of):
    def refused(expected: str) -> None:
        before = files(copy)
        assert expected in error_of("train", "--resume", copy)
        assert files(copy) == before

    (copy / storage.RESULT).unlink()
    whole = (copy / storage.CHECKPOINT).read_bytes()
    (copy / storage.CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    refused("checkpoint")
    (copy / storage.CHECKPOINT).write_bytes(whole)
    text = (copy / storage.CONFIG).read_text()
    (copy / storage.CONFIG).write_text(text.replace('"gamma"', '"gama"'))
    refused("did you mean gamma")
    (copy / storage.CONFIG).write_text(text.replace('"hidden_size": 4', '"hidden_size": -4'))
    refused("hidden_size is -4")
    (copy / storage.CONFIG).write_text('{"name": "of another program"}')
    refused("not the config of a run")


def test_a_folder_is_overwritten_only_if_it_is_a_run_and_the_user_says_so(copy, error_of):
    def train(folder: Path, *more: str) -> list[str]:
        return ["train", "TMaze-3", *SHORT, *SMALL, "--out", str(folder), *more]

    before = files(copy)
    assert "not empty" in error_of(*train(copy))
    assert files(copy) == before
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    assert "holds no run of rtrrl" in error_of(*train(Path("mine"), "--overwrite"))
    assert files(Path("mine")) == {"notes.txt": b"mine"}
    assert main(train(copy, "--overwrite", "--seed", "3")) == 0
    assert config(copy)["seeds"] == [3, 4]


def test_a_file_that_is_no_config_is_refused(finished, error_of):
    Path("list.json").write_text("[]")
    assert "not the config of a run" in error_of("train", "--config", "list.json")
    Path("text.json").write_text("hello")
    assert "cannot be read as JSON" in error_of("train", "--config", "text.json")
    Path("type.json").write_text(json.dumps(config(finished) | {"settings": {"type": "RTU"}}))
    assert "unknown settings type 'RTU'" in error_of("train", "--config", "type.json")
    rule = {"type": "rtrrl.gradients.UORO"}
    Path("rule.json").write_text(json.dumps(config(finished) | {"settings": rule}))
    assert "not an agent" in error_of("train", "--config", "rule.json")
