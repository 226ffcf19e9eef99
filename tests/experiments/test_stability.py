"""The page that tells what lasts: its markers, its tables, its intervals."""

import dataclasses

import numpy as np
import pytest

from rtrrl.experiments import stability, stability_tables
from rtrrl.experiments.levers import LEVERS, PAPER_LEVERS, REFERENCE, STABLE
from rtrrl.experiments.stability import FOLDER, PARTS, everything
from rtrrl.experiments.statistics import mean_interval, share_interval
from rtrrl.experiments.targets import ATTEMPTED, REPORTED, TARGETS, TRIALS, TUNED
from rtrrl.runs.run import Run, StopReason
from rtrrl.viz.curves import forest


def run(task, evaluations, agent="default"):
    """A finished run whose seeds were evaluated so."""
    steps = range(100, 100 * (len(evaluations[0]) + 1), 100)
    metrics = [
        {"step": step, "seed": seed, "evaluation": score}
        for seed, scores in enumerate(evaluations)
        for step, score in zip(steps, scores, strict=True)
    ]
    config = {
        "task": task,
        "agent": agent,
        "steps": steps[-1],
        "seeds": list(range(len(evaluations))),
    }
    return Run(config, metrics, config["seeds"], 1.0)


def test_every_lever_builds_and_differs_from_the_default():
    levers = (REFERENCE, *LEVERS, *PAPER_LEVERS)
    for trial in TRIALS:
        fit = [each for each in levers if each.continuous in (None, trial.continuous)]
        built = {str(trial.entry(lever).build()) for lever in fit}
        assert len(built) == len(fit)
    trial = TRIALS[0]
    folders = {trial.entry(lever).folder(FOLDER) for lever in (REFERENCE, *LEVERS)}
    assert len(folders) == 1 + len(LEVERS)


def test_seeds_of_the_choice_are_not_those_of_the_report():
    assert not set(TUNED) & set(REPORTED)
    for target in TARGETS:
        assert set(target.seeds) <= set(REPORTED)


ACROBOT = next(target for target in TARGETS if target.task == "Acrobot")


def test_collapse_is_counted_from_chance():
    """Peak −80, chance −500: a final of −170 has lost more than a fifth of the 420 gained."""
    kept = [-300.0, -80.0, -80.0, -80.0, -100.0, -100.0, -100.0]
    lost = [-300.0, -80.0, -80.0, -80.0, -170.0, -170.0, -170.0]
    never = [-499.0, -301.0, -301.0, -301.0, -499.0, -499.0, -499.0]
    assert stability_tables.collapsed(ACROBOT, run("Acrobot", [kept])) == 0
    assert stability_tables.collapsed(ACROBOT, run("Acrobot", [kept, lost])) == 1
    assert stability_tables.collapsed(ACROBOT, run("Acrobot", [never])) == 0, "nothing to lose"


def test_one_lucky_evaluation_is_nothing_to_lose():
    lucky = [-500.0, -80.0, -500.0, -500.0, -500.0, -500.0, -500.0]
    assert stability_tables.collapsed(ACROBOT, run("Acrobot", [lucky])) == 0
    np.testing.assert_allclose(stability_tables.peaks(run("Acrobot", [lucky])), [-360.0])


def of_acrobot(done):
    """The task's row in the table of targets."""
    lines = stability_tables.target_table(REFERENCE, done).splitlines()
    return next(line for line in lines if "Acrobot" in line)


def test_a_target_is_met_by_a_share_of_seeds():
    acrobot = [[-100.0] * 4, [-90.0] * 4, [-90.0] * 4]
    done = {("default", "Acrobot"): run("Acrobot", acrobot)}
    row = of_acrobot(done)
    assert "3 of 3" in row
    assert "| met |" in row
    done = {("default", "Acrobot"): run("Acrobot", [*acrobot, [-101.0] * 4])}
    row = of_acrobot(done)
    assert "3 of 4" in row
    assert "**missed**" in row


def test_a_run_that_broke_off_has_reached_nothing():
    broken = dataclasses.replace(run("Acrobot", [[-90.0] * 4]), stopped_by=StopReason.ERROR)
    done = {("default", "Acrobot"): broken}
    assert "| diverged |" in of_acrobot(done)
    assert "met" not in of_acrobot(done)
    assert stability_tables.outcome(ACROBOT, broken) == "diverged"
    assert "diverged" in stability_tables.collapse_table({("paper", "Acrobot"): broken})


def test_what_is_asked_for_has_to_exist(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["stability", "levers", "--only", "obgd"])
    with pytest.raises(SystemExit):
        stability.main()
    assert "'ObGD'" in capsys.readouterr().err


def test_the_page_is_filled_between_its_markers(tmp_path, monkeypatch):
    page = tmp_path / "stability.md"
    page.write_text(stability.PAGE.read_text())
    monkeypatch.setattr(stability, "PAGE", page)
    monkeypatch.setattr(stability, "FIGURES", tmp_path)
    task = TRIALS[0].task
    scores = [[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]
    part = {(name, task): run(task, scores) for name in ("default", "ObGD")}
    attempts = {("default", ATTEMPTED[0].task): run(ATTEMPTED[0].task, [[0.9] * 4, [0.7] * 4])}
    stable = {(STABLE.name, task): run(task, scores)}
    done = {"targets": part, "levers": part, "paper": stable, "missed": attempts}
    stability.write(done)
    once = page.read_text()
    assert "2.17 [2.00, 2.33]" in once
    assert "| default | 1 of 2, median 0.80 | – |" in once
    stability.write(done)
    assert page.read_text() == once, "writing twice changes nothing"
    assert (tmp_path / "stability-levers.png").stat().st_size > 10_000


def test_every_part_has_runs_of_its_own():
    runs = list(everything())
    folders = {target.entry(lever).folder(FOLDER / part) for part, lever, target in runs}
    assert len(folders) == len(runs)
    assert {part for part, *_ in runs} == set(PARTS)


def test_intervals_against_known_ones():
    """Wilson's of 0 of 10, and a bootstrap that narrows as 1/√n."""
    low, high = share_interval(0, 10)[1:]
    assert low == 0.0
    assert high == pytest.approx(0.278, abs=1e-3)
    rng = np.random.default_rng(1)
    few, many = (mean_interval(rng.normal(size=n)) for n in (10, 1000))
    assert few.low < few.estimate < few.high
    assert (many.high - many.low) == pytest.approx(2 * 1.96 / 1000**0.5, rel=0.15)


def test_a_forest_has_a_row_for_each_name():
    figure = forest(
        {"A": {"one": (1.0, 0.5, 2.0), "two": (2.0, 1.0, 3.0)}, "B": {"two": (1, 0, 2)}}
    )
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one", "two"]
    assert [axes.get_title() for axes in figure.axes] == ["A", "B"]
