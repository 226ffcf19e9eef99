"""`rtrrl plot`: names of curves, pooling by a setting, bands."""

import json
import shutil
from pathlib import Path

import pytest

from rtrrl import viz
from rtrrl.cli import main
from rtrrl.viz.bands import Bootstrap


@pytest.fixture
def two(finished, in_tmp_path) -> list[str]:
    """Two runs that differ in the size of their cells, of two seeds each."""
    for name, size in (("a", 4), ("b", 8)):
        shutil.copytree(finished, name)
        config = json.loads(Path(name, "config.json").read_text())
        config["settings"]["cell"]["hidden_size"] = size
        Path(name, "config.json").write_text(json.dumps(config))
    return ["a", "b"]


@pytest.fixture
def drawn(monkeypatch, capsys):
    """A function that runs the command, and returns the labels in the figure."""
    figures, plot = [], viz.plot
    monkeypatch.setattr(viz, "plot", lambda *given, **named: figures.append(plot(*given, **named)))

    def run(*args: str) -> list[str]:
        assert main(["plot", *args]) == 0
        printed = capsys.readouterr().out
        (panel,) = figures[-1].axes
        assert Path(json.loads(printed)["figure"] if "--json" in args else printed.strip()).exists()
        texts = [text.get_text() for text in panel.get_legend().get_texts()]
        return [text.replace("\N{NO-BREAK SPACE}", " ").split(":")[0] for text in texts]

    run.figures = figures
    return run


@pytest.mark.parametrize(
    "args",
    [
        ("a", "b", "--labels", "A", "B"),
        ("--labels", "A", "B", "a", "b"),
        ("--labels", "A", "B", "--out", "x.png", "a", "b"),
        ("--labels", "A", "B", "--", "a", "b"),
        ("a", "b", "--json", "--labels", "A", "B"),
    ],
)
def test_labels_name_the_runs_wherever_they_stand(two, drawn, args):
    assert drawn(*args) == ["A, 2 seeds", "B, 2 seeds"]


def test_a_setting_names_the_curves_and_pools_the_runs(two, drawn):
    assert drawn(*two, "--by", "agent.cell.hidden-size") == [
        "cell.hidden_size=4, 2 seeds",
        "cell.hidden_size=8, 2 seeds",
    ]
    assert drawn(*two, "--by", "agent.cell") == ["cell=RTU, 4 seeds"]


def test_the_band_is_chosen_by_name(two, drawn):
    drawn(*two, "--band", "bootstrap")
    assert str(Bootstrap()) in drawn.figures[-1].get_supxlabel()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("a b --labels A", "the number of labels is 1 and that of runs 2: give one label per run"),
        ("--labels A B C", "the following arguments are required: DIR"),
        (
            "a b --by agent.cel",
            "entry of the runs' configs 'agent.cel': did you mean agent",
        ),
        ("a b --by agent --labels A B", "--labels: not allowed with argument --by"),
        ("a b --band boot", "unknown argument of --band 'boot': did you mean bootstrap?"),
        ("a b --labels", "--labels: expected at least one argument"),
    ],
)
def test_a_mistake_is_one_line(two, error_of, args, expected):
    line = error_of("plot", *args.split())
    assert expected in line
    assert "--import" not in line
    assert not Path("comparison.png").exists()
