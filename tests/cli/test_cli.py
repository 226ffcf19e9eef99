import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

import rtrrl
from rtrrl.agents.registry import PRESETS, make_agent
from rtrrl.cli import COMMANDS, main
from rtrrl.cli.train import _moved
from rtrrl.environments import Environment, make
from rtrrl.environments.wrappers import Wrapper
from rtrrl.learning.policies import Categorical, GlobalSpread, VarianceScaledScore
from rtrrl.runs import serialization, storage
from rtrrl.types import TimeStep

SHORT = ["--steps", "60", "--seeds", "2", "--evaluations", "3", "--episodes", "2", "--workers", "1"]
NESTED = ["--agent.cell.hidden-size", "4", "--agent.optimizer.learning-rate=3e-4"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run that ended; whoever changes it takes a copy."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "TMaze-3", *SHORT, *NESTED, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Default folders are made in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / storage.CONFIG).read_text())


@pytest.fixture
def asked(monkeypatch):
    """What a command would have `train` do: its agent's settings and its other arguments."""

    def ask(command: str) -> tuple[dict[str, Any], dict[str, Any]]:
        calls = []

        def train(agent, **others):
            calls.append((serialization.to_dict(agent), others))
            raise KeyboardInterrupt

        monkeypatch.setattr("rtrrl.training.train.train", train)
        assert main(["train", *command.split()]) == 130
        return calls[0]

    return ask


def said(capsys, *args: object, code: int = 2) -> str:
    """The one line on stderr that a command which fails says."""
    assert main([str(arg) for arg in args]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rtrrl: ")
    assert err.count("\n") == 1
    return err


# ---------------------------------------------------------------- help


def test_help_and_version_import_nothing_heavy():
    program = (
        "import sys\n"
        "from rtrrl.cli import main\n"
        "assert main([]) == main(['--help']) == main(['--version']) == 0\n"
        "heavy = {'jax', 'numpy', 'equinox', 'tyro', 'rich', 'matplotlib'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"rtrrl {rtrrl.__version__}" in done.stdout
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 90


def test_a_reader_who_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "rtrrl"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.stderr == b""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with contextlib.suppress(SystemExit):  # argparse's way
        assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: rtrrl {command}")


def test_help_shows_the_settings_of_the_agent_that_is_asked_for(capsys):
    main(["train", "--agent", "paper", "--cell", "gru", "--help"])
    text = capsys.readouterr().out
    assert "--agent.feedback.scale FLOAT" in text
    assert "--agent.cell.hidden-size INT" in text
    assert "λ_C. (default: 0.99)" in text
    assert "--agent.cell.dt" not in text
    assert "--agent.task" not in text
    assert "╭" not in text


# ---------------------------------------------------------------- train


def test_train_writes_a_run_with_the_nested_settings(finished):
    agent = config(finished)["settings"]
    assert agent["cell"]["hidden_size"] == 4
    assert agent["optimizer"]["learning_rate"] == 3e-4
    assert config(finished)["seeds"] == [0, 1]
    assert {storage.RESULT, storage.CURVE, storage.CHECKPOINT, storage.METRICS} <= set(
        contents(finished)
    )


def test_config_repeats_a_run(finished, capsys):
    assert main(["train", "--config", str(finished), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    first = json.loads((finished / storage.RESULT).read_text())
    folder = Path("runs/TMaze-3-default-1")
    assert config(folder) == config(finished)
    assert (result["best"], result["final"]) == (first["best"], first["final"])
    assert result == json.loads((folder / storage.RESULT).read_text())


def test_flags_override_a_config(finished, asked):
    flags = "--seed 7 --evaluations 2 --greedy --agent.gamma 0.5"
    agent, others = asked(f"--config {finished} {flags}")
    assert others["seeds"] == (7, 8)
    assert (others["evaluations"], others["greedy"], others["steps"]) == (2, True, 60)
    assert (agent["discount"], agent["cell"]["hidden_size"]) == (0.5, 4)
    agent, _ = asked(f"Pendulum --config {finished / storage.CONFIG} --cell rtu --rule snap1")
    assert (agent["task"], agent["policy"]["type"]) == ("Pendulum", "Gaussian")
    assert (agent["cell"]["hidden_size"], agent["rule"]["type"]) == (4, "SnAp1")
    agent, _ = asked(f"--config {finished} --agent paper")
    assert (agent["cell"]["type"], agent["cell"]["hidden_size"]) == ("CTRNNConfig", 32)


def test_seeds_are_counted_from_the_first(asked):
    assert asked("TMaze-3")[1]["seeds"] == (0, 1, 2, 3, 4)
    assert asked("TMaze-3 --seeds 2 --seed 5")[1]["seeds"] == (5, 6)
    assert asked("TMaze-3 --seed 5")[1]["seeds"] == (5, 6, 7, 8, 9)


def test_the_next_free_folder_is_taken(asked):
    assert asked("TMaze-3 --agent paper")[1]["out"] == Path("runs/TMaze-3-paper-1")
    Path("runs/TMaze-3-paper-1").mkdir(parents=True)
    assert asked("TMaze-3 --agent paper")[1]["out"] == Path("runs/TMaze-3-paper-2")


def test_parts_are_chosen_by_name(asked):
    parts = "--agent paper --cell ctrnn --wiring diagonal --rule diagonal-rtrl --trace dutch "
    parts += "--feedback symmetric --observations normalized --rewards scaled"
    agent, _ = asked(f"TMaze-3 {parts}")
    kinds = {name: value["type"] for name, value in agent.items() if isinstance(value, dict)}
    assert kinds == {
        "policy": "Categorical",
        "cell": "CTRNNConfig",
        "rule": "DiagonalRTRL",
        "feedback": "Symmetric",
        "trace": "Dutch",
        "optimizer": "Adam",
        "inputs": "InputPipeline",
    }
    assert agent["cell"]["wiring"]["type"] == "Diagonal"


def test_ctrl_c_keeps_the_run_and_resume_finishes_it(monkeypatch, capsys):
    append = storage.append_metrics

    def interrupted(folder, rows):
        append(folder, rows)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "append_metrics", interrupted)
        assert main(["train", "TMaze-3", *SHORT, *NESTED, "--out", "a b"]) == 130
    out, err = capsys.readouterr()
    assert err == "interrupted at step 20; go on with: rtrrl train --resume 'a b'\n"
    assert "stopped by interrupt" in out

    before = contents(Path("a b"))
    assert "run of TMaze-3, not of TMaze-4" in said(capsys, "train", "TMaze-4", "--resume", "a b")
    refusal = said(capsys, "train", "--resume", "a b", "--seed", 0, "--agent.gamma", 0.5)
    assert "cannot be combined with --seed, --agent.gamma" in refusal
    assert contents(Path("a b")) == before

    assert main(["train", "TMaze-3", "--resume", "a b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 60


def test_nan_from_the_environment_is_exit_code_1(monkeypatch, capsys):
    class Broken(Wrapper):
        env: Environment

        def step(self, key, state, action):
            state, seen = self.env.step(key, state, action)
            return state, TimeStep(
                seen.observation, seen.reward * jnp.nan, seen.discount, seen.last
            )

    monkeypatch.setattr("rtrrl.cli.train.make", lambda name: Broken(make(name)))
    line = said(capsys, "train", "TMaze-3", *SHORT, "--out", "broken", code=1)
    assert "NaN or infinity as reward or observation at step" in line
    assert "kept in broken" in line


# ---------------------------------------------------------------- what bad input gets


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("trian", "unknown command 'trian': did you mean train"),
        ("--versoin", "unknown option '--versoin': did you mean --version"),
        ("train", "which task? for example rtrrl train MemoryChain-32"),
        ("train TMase-3", "unknown task 'TMase-3': did you mean TMaze-10"),
        ("train TMaze-0", "no task 'TMaze-0': TMaze-N takes N from 1"),
        ("train TMaze-3 --cell grue", "unknown cell 'grue': did you mean gru"),
        ("train TMaze-3 --rule rflow", "unknown rule 'rflow': did you mean rflo"),
        ("train TMaze-3 --agent papr", "unknown agent 'papr': did you mean paper"),
        ("train TMaze-3 --trace dutsch", "unknown trace 'dutsch': did you mean dutch"),
        ("train TMaze-3 --wiring ncp", "--wiring ncp does not apply: RTU has no wiring"),
        ("train TMaze-3 --cell gru", "; add --rule snap1"),
        ("train TMaze-3 --cell gru --rule rflo", "GRU has none: use SnAp1"),
        ("train TMaze-3 --stesp 5", "unknown option '--stesp': did you mean --steps"),
        ("train TMaze-3 --discount 0.9", "did you mean --agent.gamma"),
        ("train TMaze-3 --agent.discout 0.9", "did you mean --agent.gamma"),
        ("train TMaze-3 --agent.task X", "unknown option '--agent.task'"),
        ("train TMaze-3 --agent.gamma x", "--agent.gamma: could not convert string"),
        ("train TMaze-3 --agent.gamma --json", "value for argument '--agent.gamma'"),
        ("train TMaze-3 --agent.attenuate maybe", "invalid choice 'maybe'"),
        ("train TMaze-3 --agent.cell.hidden-size 0", "hidden is 0: a cell has 1 unit or more"),
        ("train TMaze-3 --rule tbptt --agent.rule.window 0", "window is 0 steps long"),
        ("train TMaze-3 --cell ctrnn --rule rflo --agent.cell.dt 0.3", "dt is 0.3: it must be"),
        ("train TMaze-3 --steps 1e6", "--steps: '1e6' is no whole number from 1 to"),
        ("train TMaze-3 --steps", "--steps: expected one argument"),
        ("train TMaze-3 five", "one argument too many: 'five'"),
        ("train --config nowhere", "nowhere: No such file"),
        ("train --resume nowhere", "no run at nowhere"),
        ("eval nowhere", "no run at nowhere"),
        ("plot nowhere", "no run at nowhere"),
        ("plot", "the following arguments are required: DIR"),
        ("eval nowhere --episode 3", "unknown option '--episode': did you mean --episodes"),
        ("tasks --jsno", "unknown option '--jsno': did you mean --json"),
        ("certify --cell rru", "unknown cell 'rru': did you mean rtu"),
        ("certify --rule rtl", "unknown rule 'rtl': did you mean rtrl"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_names(args, expected, capsys):
    line = said(capsys, *args.split())
    assert expected in line
    assert not Path("runs").exists()


def test_resume_leaves_what_it_cannot_go_on_with_as_it_was(copy, capsys):
    def refused(expected: str) -> None:
        before = contents(copy)
        assert expected in said(capsys, "train", "--resume", copy)
        assert contents(copy) == before

    refused("is finished")
    (copy / storage.RESULT).unlink()
    whole = (copy / storage.CHECKPOINT).read_bytes()
    (copy / storage.CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    refused("checkpoint")
    (copy / storage.CHECKPOINT).write_bytes(whole)
    text = (copy / storage.CONFIG).read_text()
    (copy / storage.CONFIG).write_text(text.replace('"discount"', '"discuont"'))
    refused("did you mean discount")
    (copy / storage.CONFIG).write_text(text.replace('"hidden": 4', '"hidden": -4'))
    refused("hidden is -4")
    (copy / storage.CONFIG).write_text('{"name": "of another program"}')
    refused("no config of a run")


def test_out_is_not_written_into_unless_told(copy, capsys):
    def train(folder: Path, *more: str) -> list[str]:
        return ["train", "TMaze-3", *SHORT, *NESTED, "--out", str(folder), *more]

    before = contents(copy)
    assert "not empty" in said(capsys, *train(copy))
    assert contents(copy) == before
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    assert "holds no run of rtrrl" in said(capsys, *train(Path("mine"), "--overwrite"))
    assert contents(Path("mine")) == {"notes.txt": b"mine"}
    assert main(train(copy, "--overwrite", "--seed", "3")) == 0
    assert config(copy)["seeds"] == [3, 4]


def test_a_config_that_is_none_is_refused(finished, capsys):
    Path("list.json").write_text("[]")
    assert "no config of a run" in said(capsys, "train", "--config", "list.json")
    Path("text.json").write_text("hello")
    assert "cannot be read as JSON" in said(capsys, "train", "--config", "text.json")
    Path("less.json").write_text(json.dumps(config(finished) | {"settings": {"type": "RTU"}}))
    assert "unknown settings type 'RTU'" in said(capsys, "train", "--config", "less.json")
    Path("rule.json").write_text(json.dumps(config(finished) | {"settings": {"type": "UORO"}}))
    assert "not an agent" in said(capsys, "train", "--config", "rule.json")


# ---------------------------------------------------------------- the other commands


def test_eval_says_each_seeds_mean_and_deviation(finished, capsys):
    before = contents(finished)
    assert main(["eval", str(finished), "--episodes", "4", "--seed", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["task"], result["step"], result["seeds"]) == ("TMaze-3", 60, [0, 1])
    assert [len(row) for row in result["returns"]] == [4, 4]
    assert main(["eval", str(finished), "--episodes", "4", "--seed", "1"]) == 0
    text = capsys.readouterr().out
    for mean, std in zip(result["mean"], result["std"], strict=True):
        assert f"{mean:.4g} ± {std:.3g}" in text
    assert contents(finished) == before


def test_plot_writes_a_figure_and_says_where(copy, capsys):
    (copy / storage.CURVE).unlink()
    assert main(["plot", str(copy)]) == 0
    assert Path(capsys.readouterr().out.strip()) == copy / storage.CURVE
    assert (copy / storage.CURVE).read_bytes().startswith(b"\x89PNG")
    assert main(["plot", str(copy), str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figure"] == "comparison.png"
    assert Path("comparison.png").exists()
    assert ".png, .svg or .pdf" in said(capsys, "plot", copy, "--out", "curve.txt")
    assert "No such file" in said(capsys, "plot", copy, "--out", "none/curve.png")
    (copy / storage.METRICS).unlink()
    assert "nothing to draw" in said(capsys, "plot", copy)


def test_tasks_lists_the_catalogue(capsys):
    assert main(["tasks", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [task.name for task in rtrrl.tasks()]
    assert {"observation", "action", "hidden", "ends", "backend"} <= set(rows[0])
    assert main(["tasks"]) == 0
    text = capsys.readouterr().out
    assert all(row["name"] in text and row["example"] in text for row in rows)


def test_a_config_brings_a_policys_parts_to_another_task():
    agent = make_agent("default", "Pendulum")
    wide = dataclasses.replace(agent.policy, spread=GlobalSpread(), score_estimator=VarianceScaledScore())
    moved = _moved(dataclasses.replace(agent, policy=wide), make("MountainCarContinuous"))
    assert moved.policy == dataclasses.replace(wide, low=(-1.0,), high=(1.0,))
    discrete = _moved(agent, make("CartPole"))
    assert discrete.policy == make_agent("default", "CartPole").policy
    paper = make_agent("paper", "CartPole")
    assert _moved(paper, make("Catch")).policy == Categorical(3), "no exploration of its own accord"
    assert _moved(paper, make("Pendulum")).policy == make_agent("paper", "Pendulum").policy
    bold = dataclasses.replace(paper, policy=Categorical(2, 0.3))
    assert _moved(bold, make("Catch")).policy == Categorical(3, 0.3)


def test_a_policys_settings_are_options(asked):
    agent, _ = asked("CartPole --agent.policy.exploration 0.25")
    assert agent["policy"] == {"type": "Categorical", "actions": 2, "exploration": 0.25}
    agent, _ = asked("Pendulum --agent.policy.noise-process.rho 0.5 --agent.policy.narrowest 0.1")
    policy = agent["policy"]
    assert (policy["noise_process"]["rho"], policy["narrowest"]) == (0.5, 0.1)
    assert (policy["low"], policy["high"]) == ([-2.0], [2.0])


def test_what_follows_from_the_task_is_no_option(capsys):
    assert "unknown option '--agent.policy.actions'" in said(
        capsys, "train", "CartPole", "--agent.policy.actions", "3"
    )


def test_agents_lists_every_preset(capsys):
    assert main(["agents", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(PRESETS)
    assert main(["agents"]) == 0
    assert all(name in capsys.readouterr().out for name in ["model-based"])


def test_tasks_are_found_by_a_part_of_their_name(capsys):
    assert main(["tasks", "repeatprev", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["backend"] for row in rows} == {"popgym"}
    assert len(rows) == 4
    assert "no task and no backend has 'nope'" in said(capsys, "tasks", "nope")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--agent", "ppo", "--feedback", "random"], "--feedback random does not apply"),
        (["--spread", "global"], "--spread global does not apply: Categorical has no spread"),
        (["--score", "nope"], "choose from plain, variance-scaled"),
        (["--agent", "ppo", "--num-envs", "4"], "PPO learns from one stream at a time"),
    ],
)
def test_a_part_that_does_not_fit_is_one_line(flags, message, capsys):
    assert message in said(capsys, "train", "CartPole", *flags)


def test_certify_measures_one_cell_and_rule(capsys):
    assert main(["certify", "--cell", "memoryless", "--rule", "immediate", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row["blocks"]["weight"]["kind"] == "exact"
    assert main(["certify", "--cell", "gru", "--rule", "rflo"]) == 0
    assert "refused" in capsys.readouterr().out
