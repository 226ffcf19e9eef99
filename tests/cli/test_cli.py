"""The command: help, one-line errors, and what `eval`, `plot`, `tasks` and the others print."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rtrrl
from rtrrl.agents.parts import PARTS
from rtrrl.agents.registry import PRESETS, make_agent
from rtrrl.cli import COMMANDS, main, options
from rtrrl.runs import storage

pytestmark = pytest.mark.usefixtures("in_tmp_path")


# ---------------------------------------------------------------- help


def test_help_and_version_do_not_import_large_packages():
    program = (
        "import sys\n"
        "from rtrrl.cli import main\n"
        "assert main([]) == main(['--help']) == main(['--version']) == 0\n"
        "large = {'jax', 'numpy', 'equinox', 'argparse', 'rich', 'matplotlib'}\n"
        "sys.exit(repr(large & set(sys.modules)) if large & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"rtrrl {rtrrl.__version__}" in done.stdout
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 90


def test_a_reader_that_closes_the_pipe_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "rtrrl"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.stderr == b""


def test_ctrl_c_ends_the_process_without_pythons_shutdown():
    """In which XLA's threads would crash if they are still compiling."""
    program = (
        "import atexit, signal, sys\n"
        "from rtrrl import cli\n"
        "atexit.register(print, 'shutdown')\n"
        "cli._run = lambda args: signal.raise_signal(signal.SIGINT)\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "rtrrl: interrupted\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_for_a_narrow_terminal(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):  # argparse exits after help
        assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: rtrrl {command}")
    assert "--json" in text
    assert "--import MODULE" in text
    assert max(map(len, text.splitlines())) <= 80


def test_help_lists_the_settings_of_the_chosen_agent(capsys):
    main(["train", "--agent", "paper", "--cell", "gru", "--rule", "snap1", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--agent.feedback.scale FLOAT" in text
    assert "--agent.cell.hidden-size INT The number of units (default: 32)" in text
    assert "--agent.gamma FLOAT γ, the discount factor (default: 0.99)" in text
    assert "--agent.cell.dt" not in text
    assert "--agent.task" not in text
    assert all(f"--{part.flag} NAME" in text for part in PARTS)


def test_every_setting_of_every_agent_and_part_has_a_description():
    agents = [make_agent(name, "TMaze-3") for name in PRESETS] + [make_agent("default", "Pendulum")]
    modules = [
        *agents,
        *(made for part in PARTS if part.flag != "policy" for made in part.members.values()),
    ]
    settings = [setting for module in modules for setting in options.settings(module)]
    assert len(settings) > 100
    assert [setting.path for setting in settings if not setting.description] == []


# ---------------------------------------------------------------- errors


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
        ("train TMaze-3 --log tensorbord", "unknown logger 'tensorbord': did you mean tensorboard"),
        ("train TMaze-3 --wiring ncp", "wiring='ncp' does not apply: RTU has no wiring"),
        ("train TMaze-3 --spread global", "spread='global' does not apply: Categorical has no"),
        ("train Pendulum --score nope", "choose from plain, variance-scaled"),
        ("train TMaze-3 --policy gaussian", "a Gaussian policy does not fit Discrete(4)"),
        ("train TMaze-3 --agent ppo --feedback random", "feedback='random' does not apply"),
        ("train TMaze-3 --agent ppo --num-envs 4", "PPO learns from one environment at a time"),
        ("train TMaze-3 --agent model-based --variance", "without the record of its variance"),
        ("train TMaze-3 --cell gru", "; add --rule snap1"),
        ("train TMaze-3 --cell gru --rule rflo", "GRU has none: use SnAp1"),
        ("train TMaze-3 --stesp 5", "unknown option '--stesp': did you mean --steps"),
        ("train TMaze-3 --gamma 0.9", "did you mean --agent.gamma"),
        ("train TMaze-3 --agent.gama 0.9", "did you mean --agent.gamma"),
        ("train TMaze-3 --cell.hidden-size 4", "did you mean --agent.cell.hidden-size"),
        ("train TMaze-3 --agent.task X", "unknown option '--agent.task'"),
        ("train TMaze-3 --agent.policy.num-actions 3", "unknown option '--agent.policy.num-act"),
        ("train TMaze-3 --agent.gamma x", "--agent.gamma: 'x' is not a number"),
        ("train TMaze-3 --agent.gamma --json", "--agent.gamma: expected one argument"),
        ("train TMaze-3 --agent.gamma 2", "gamma is 2.0: it must lie in [0, 1]"),
        ("train TMaze-3 --agent.attenuate maybe", "'maybe' is not a truth value: True or False"),
        ("train TMaze-3 --agent.cell.hidden-size 0", "hidden_size is 0: it must be 1 or more"),
        ("train TMaze-3 --agent.cell.hidden-size 4.5", "'4.5' is not a whole number"),
        ("train TMaze-3 --rule tbptt --agent.rule.window 0", "window is 0: it must be 1 or more"),
        ("train TMaze-3 --cell ctrnn --rule rflo --agent.cell.dt 0.3", "dt is 0.3: it must be"),
        ("train TMaze-3 --steps 1.5", "--steps: '1.5' is not a whole number from 1 to"),
        ("train TMaze-3 --steps", "--steps: expected one argument"),
        ("train TMaze-3 five", "one argument too many: 'five'"),
        ("train --config nowhere", "nowhere: No such file"),
        ("train --resume nowhere", "no run at nowhere"),
        ("eval nowhere", "no run at nowhere"),
        ("plot nowhere", "no run at nowhere"),
        ("plot", "the following arguments are required: DIR"),
        ("eval nowhere --episode 3", "unknown option '--episode': did you mean --episodes"),
        ("tasks --jsno", "unknown option '--jsno': did you mean --json"),
        ("tasks nope", "no task and no backend has 'nope'"),
        ("certify --cell rru", "unknown cell 'rru': did you mean rtu"),
        ("certify --rule rtl", "unknown rule 'rtl': did you mean rtrl"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_names(args, expected, error_of):
    assert expected in error_of(*args.split())
    assert not Path("runs").exists()


# ---------------------------------------------------------------- the other commands


def test_eval_prints_the_mean_and_deviation_of_each_seed(finished, capsys):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    assert main(["eval", str(finished), "--episodes", "4", "--seed", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["task"], result["steps"], result["seeds"]) == ("TMaze-3", [60, 60], [0, 1])
    assert [len(row) for row in result["returns"]] == [4, 4]
    assert main(["eval", str(finished), "--episodes", "4", "--seed", "1"]) == 0
    text = capsys.readouterr().out
    for mean, std in zip(result["mean"], result["std"], strict=True):
        assert f"{mean:.4g} ± {std:.3g}" in text
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_plot_writes_a_figure_and_prints_its_path(copy, capsys, error_of):
    (copy / storage.CURVE).unlink()
    assert main(["plot", str(copy)]) == 0
    assert Path(capsys.readouterr().out.strip()) == copy / storage.CURVE
    assert (copy / storage.CURVE).read_bytes().startswith(b"\x89PNG")
    assert main(["plot", str(copy), str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figure"] == "comparison.png"
    assert Path("comparison.png").exists()
    assert ".png, .svg or .pdf" in error_of("plot", copy, "--out", "curve.txt")
    assert "No such file" in error_of("plot", copy, "--out", "none/curve.png")
    (copy / storage.METRICS).unlink()
    assert "nothing to draw" in error_of("plot", copy)


def test_tasks_lists_all_tasks(capsys):
    assert main(["tasks", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [task.name for task in rtrrl.tasks()]
    assert {"observation", "action", "hidden", "ends", "backend"} <= set(rows[0])
    assert main(["tasks", "gymnax"]) == 0
    text = capsys.readouterr().out
    rows = [row for row in rows if row["backend"] == "gymnax"]
    assert len(rows) > 3
    assert all(row["name"] in text and row["example"] in text for row in rows)


def test_tasks_are_found_by_a_part_of_their_name(capsys):
    assert main(["tasks", "repeatprev", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["backend"] for row in rows} == {"popgym"}
    assert len(rows) == 4


def test_agents_lists_every_preset(capsys):
    assert main(["agents", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(PRESETS)
    assert main(["agents"]) == 0
    assert "model-based" in capsys.readouterr().out


def test_certify_measures_one_cell_and_rule(capsys):
    assert main(["certify", "--cell", "memoryless", "--rule", "immediate", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row["blocks"]["weight"]["kind"] == "exact"
    assert main(["certify", "--cell", "gru", "--rule", "rflo"]) == 0
    assert "refused" in capsys.readouterr().out
