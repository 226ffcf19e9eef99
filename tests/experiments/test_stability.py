"""The stability study: its runs, its tables, and the page between its markers."""

import dataclasses

import numpy as np
import pytest

from rtrrl.experiments import stability, stability_tables
from rtrrl.experiments.stability import FOLDER, PARTS, all_runs
from rtrrl.experiments.statistics import mean_interval, proportion_interval
from rtrrl.experiments.targets import MISSED, REPORTED_SEEDS, TARGETS, TRIALS, TUNING_SEEDS
from rtrrl.experiments.variants import CANDIDATES, PAPER_VARIANTS, REFERENCE, STABLE, VARIANTS
from rtrrl.runs.run import Run, StopReason


def run(task, evaluations, agent="default"):
    """A finished run with these evaluations of each seed."""
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
    return Run(config=config, metrics=metrics, seeds=config["seeds"], steps_per_second=1.0)


def test_every_variant_builds_a_different_agent():
    variants = (REFERENCE, *VARIANTS, *PAPER_VARIANTS)
    for trial in TRIALS:
        fit = [each for each in variants if each.continuous in (None, trial.continuous)]
        built = {str(trial.entry(variant).build()) for variant in fit}
        assert len(built) == len(fit)
    trial = TRIALS[0]
    folders = {trial.entry(variant).folder(FOLDER) for variant in (REFERENCE, *VARIANTS)}
    assert len(folders) == 1 + len(VARIANTS)


def test_candidates_are_variants():
    assert {variant.name for variant in CANDIDATES} < {variant.name for variant in VARIANTS}
    assert len(CANDIDATES) == 3


def test_tuning_seeds_are_not_reported():
    assert not set(TUNING_SEEDS) & set(REPORTED_SEEDS)
    for target in TARGETS:
        assert set(target.seeds) <= set(REPORTED_SEEDS)


ACROBOT = next(target for target in TARGETS if target.task == "Acrobot")


def test_collapse_is_relative_to_chance():
    """Peak −80, chance −500: a final of −170 loses more than a fifth of the gain of 420."""
    kept = [-300.0, -80.0, -80.0, -80.0, -100.0, -100.0, -100.0]
    lost = [-300.0, -80.0, -80.0, -80.0, -170.0, -170.0, -170.0]
    never = [-499.0, -301.0, -301.0, -301.0, -499.0, -499.0, -499.0]
    assert stability_tables.collapsed(ACROBOT, run("Acrobot", [kept])) == 0
    assert stability_tables.collapsed(ACROBOT, run("Acrobot", [kept, lost])) == 1
    assert stability_tables.collapsed(ACROBOT, run("Acrobot", [never])) == 0, (
        "its peak is below half of the target"
    )


def test_a_single_high_evaluation_is_no_peak():
    lucky = [-500.0, -80.0, -500.0, -500.0, -500.0, -500.0, -500.0]
    assert stability_tables.collapsed(ACROBOT, run("Acrobot", [lucky])) == 0
    np.testing.assert_allclose(stability_tables.peaks(run("Acrobot", [lucky])), [-360.0])


def acrobot_row(runs):
    """The task's row in the table of targets."""
    lines = stability_tables.target_table(REFERENCE, runs).splitlines()
    return next(line for line in lines if "Acrobot" in line)


def test_a_target_is_met_by_a_proportion_of_seeds():
    acrobot = [[-100.0] * 4, [-90.0] * 4, [-90.0] * 4]
    runs = {("default", "Acrobot"): run("Acrobot", acrobot)}
    row = acrobot_row(runs)
    assert "3 of 3" in row
    assert "| met |" in row
    runs = {("default", "Acrobot"): run("Acrobot", [*acrobot, [-101.0] * 4])}
    row = acrobot_row(runs)
    assert "3 of 4" in row
    assert "**missed**" in row


def test_a_diverged_run_has_no_score():
    broken = dataclasses.replace(run("Acrobot", [[-90.0] * 4]), stopped_by=StopReason.ERROR)
    runs = {("default", "Acrobot"): broken}
    assert "| diverged |" in acrobot_row(runs)
    assert "met" not in acrobot_row(runs)
    assert "| diverged |" in stability_tables.variant_table(runs)
    assert stability_tables.variant_intervals(runs)["Acrobot"] == {}
    assert "diverged" in stability_tables.paper_table({("paper", "Acrobot"): broken})


def test_unknown_variants_are_rejected(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["stability", "variants", "--only", "obgd"])
    with pytest.raises(SystemExit):
        stability.main()
    assert "'ObGD'" in capsys.readouterr().err


def test_only_the_tables_between_markers_are_written(tmp_path, monkeypatch):
    page = tmp_path / "stability.md"
    page.write_text(stability.PAGE.read_text())
    monkeypatch.setattr(stability, "PAGE", page)
    monkeypatch.setattr(stability, "FIGURES", tmp_path)
    task = TRIALS[0].task
    scores = [[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]
    part = {(name, task): run(task, scores) for name in ("default", "ObGD")}
    missed = {("default", MISSED[0].task): run(MISSED[0].task, [[0.9] * 4, [0.7] * 4])}
    stable = {(STABLE.name, task): run(task, scores)}
    runs = {"targets": part, "variants": part, "paper": stable, "missed": missed}
    stability.update_page(runs)
    once = page.read_text()
    assert "2.17 [2.00, 2.33]" in once
    assert "| default | 1 of 2, median 0.80 | – |" in once
    stability.update_page(runs)
    assert page.read_text() == once, "writing twice changes nothing"
    assert (tmp_path / "stability-variants.png").stat().st_size > 10_000


def test_every_run_has_its_own_folder():
    runs = list(all_runs())
    folders = {target.entry(variant).folder(FOLDER / part) for part, variant, target in runs}
    assert len(folders) == len(runs)
    assert {part for part, *_ in runs} == set(PARTS)


def test_intervals_against_known_ones():
    """Wilson's for 0 of 10; the bootstrap interval shrinks as 1/√n."""
    low, high = proportion_interval(0, 10)[1:]
    assert low == 0.0
    assert high == pytest.approx(0.278, abs=1e-3)
    rng = np.random.default_rng(1)
    few, many = (mean_interval(rng.normal(size=n)) for n in (10, 1000))
    assert few.low < few.estimate < few.high
    assert (many.high - many.low) == pytest.approx(2 * 1.96 / 1000**0.5, rel=0.15)
