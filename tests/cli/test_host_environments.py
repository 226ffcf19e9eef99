"""Gymnasium's environments on the command line: modules of one's own, constructor arguments."""

import json
import sys
from pathlib import Path

import gymnasium
import pytest

from rtrrl.cli import main
from rtrrl.errors import RtrrlWarning
from rtrrl.runs import storage
from tests.environments.test_arguments import MODULE

TASK = "gymnasium/cli_grids:CliGrid-v0"
SHORT = "--agent random --steps 6 --seeds 2 --evaluations 2 --episodes 1 --json"


@pytest.fixture
def folder(in_tmp_path, monkeypatch):
    """The current folder, with a module in it, on no path yet."""
    Path("cli_grids.py").write_text(MODULE.replace("Grid-v0", "CliGrid-v0"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield Path()
    sys.modules.pop("cli_grids", None)
    gymnasium.registry.pop("CliGrid-v0", None)


def run(command, *json_values):
    """The exit code of a command in which each JSON stands for a value with spaces."""
    values = iter(json_values)
    return main([next(values) if word == "JSON" else word for word in command.split()])


def config(folder):
    return json.loads((Path(folder) / storage.CONFIG).read_text())


def test_an_environment_in_the_current_folder_takes_arguments_everywhere(folder, capsys):
    assert run(f"train {TASK} --env-kwargs JSON {SHORT}", '{"size": 8}') == 0
    run_8 = "runs/gymnasium-cli_grids:CliGrid-v0-size-8-random-1"
    assert config(run_8)["task"] == f"{TASK}(size=8)"
    assert config(run_8)["environment"]["source"] == "cli_grids:CliGrid-v0(size=8)"
    assert run(f"eval {run_8} --episodes 1 --json") == 0
    assert run(f"train --config {run_8} --out same --json") == 0
    assert config("same")["task"] == f"{TASK}(size=8)"
    assert run(f"train --config {run_8} --env-kwargs JSON --out other", '{"size": 9}') == 0
    assert config("other")["task"] == f"{TASK}(size=9)"
    assert run(f"train --resume {run_8} --steps 12 --json") == 0
    assert run(f"plot {run_8} other --out both.svg") == 0
    drawn = Path("both.svg").read_text()
    assert "(size=8)" in drawn
    assert "(size=9)" in drawn
    capsys.readouterr()


def test_seeding_once_is_an_option(folder):
    assert run(f"train {TASK} --seed-once --seed 7 {SHORT} --out once") == 0
    assert config("once")["environment"]["seed_once"] == 7
    with pytest.warns(RtrrlWarning, match="cannot be replayed, since the environment is seeded"):
        assert run("train --resume once --steps 12 --json") == 0


@pytest.mark.parametrize(
    ("command", "value", "message"),
    [
        (f"{TASK} --env-kwargs JSON", "{size: 8}", "'{size: 8}' is not a JSON object, such as"),
        (f"{TASK} --env-kwargs JSON", "[8]", "'[8]' is not a JSON object"),
        (f"{TASK} --env-kwargs JSON", '{"siz": 8}', "'siz': did you mean size?\n"),
        ("TMaze-3 --env-kwargs JSON", '{"size": 8}', "takes no arguments: leave out size"),
        ("TMaze-3 --seed-once", "", "'TMaze-3' takes no arguments: leave out seed_once"),
        ("gymnasium/no_such:X-v0", "", "there is no module 'no_such' in the current folder"),
        ("--resume DIR --env-kwargs JSON", "{}", "cannot be combined with --env-kwargs"),
    ],
)
def test_a_mistake_is_one_line(folder, capsys, command, value, message):
    assert run(f"train {command}", value) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
