import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

import rtrrl
from rtrrl.errors import RtrrlError
from rtrrl.viz import curves
from rtrrl.viz.bands import Bootstrap
from rtrrl.viz.curves import plot, plot_variance
from tests.viz.synthetic import monitored, noisy, run


def legend(panel) -> list[str]:
    """The labels, with ordinary spaces."""
    texts = [text.get_text() for text in panel.get_legend().get_texts()]
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts]


def median_line(panel):
    return max(panel.lines, key=lambda line: line.get_linewidth())


def visible(figure) -> list:
    return [panel for panel in figure.axes if panel.get_visible()]


def test_line_band_and_faint_lines_are_median_quartiles_and_seeds():
    (panel,) = plot([run(curves=((0.0,) * 2, (1.0,) * 2, (5.0,) * 2))]).axes
    assert median_line(panel).get_xydata().tolist() == [[1000, 1.0], [2000, 1.0]]
    corners = panel.collections[0].get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (0.5, 3.0)
    faint = [line.get_ydata()[0] for line in panel.lines if line is not median_line(panel)]
    assert faint == [0.0, 1.0, 5.0]


def test_missing_evaluations_are_skipped(recwarn):
    curves = ((0.0, None, 2.0), (float("nan"), None, 4.0))
    (panel,) = plot([run(curves=curves)]).axes
    assert median_line(panel).get_xydata().tolist() == [[1000, 0.0], [3000, 3.0]]
    assert not recwarn.list


def test_a_run_without_evaluations_can_be_drawn(tmp_path, recwarn):
    (panel,) = plot([run(curves=((None, None),))], tmp_path / "curve.png").axes
    assert legend(panel) == ["default, 1 seed: best – / final –"]
    assert panel.get_xlim()[1] >= 2000
    assert not recwarn.list


def test_a_single_evaluation_is_drawn_as_a_point():
    (panel,) = plot([run(curves=((0.5,),))]).axes
    assert median_line(panel).get_marker() == "o"


def test_one_task_is_one_panel_with_a_color_per_agent():
    (panel,) = plot([run(), run(agent="paper")]).axes
    assert panel.get_title(loc="left") == "MemoryChain-4"
    assert legend(panel) == [
        "default, 3 seeds: best 1.00 / final 0.50",
        "paper, 3 seeds: best 1.00 / final 0.50",
    ]
    assert len({to_hex(line.get_color()) for line in panel.lines}) == 2
    assert panel.get_xlabel() == "environment steps"
    assert panel.get_ylabel() == "evaluation return"


def test_an_agent_has_the_same_color_in_all_panels():
    pairs = [(task, agent) for task in ("A", "B") for agent in ("default", "paper")]
    left, right = plot([run(task, agent) for task, agent in pairs[:-1]]).axes
    assert [panel.get_title(loc="left") for panel in (left, right)] == ["A", "B"]
    assert (len(legend(left)), len(legend(right))) == (2, 1)
    assert left.lines[0].get_color() == right.lines[0].get_color()


@pytest.mark.parametrize("count", range(1, 8))
def test_there_is_a_panel_for_each_of_up_to_seven_tasks(count):
    figure = plot([run(str(task)) for task in range(count)])
    assert len(visible(figure)) == count


def test_runs_of_the_same_agent_are_labelled_by_folder():
    twice = [run(folder=Path("runs/a")), run(folder=Path("runs/b"))]
    (panel,) = plot(twice).axes
    assert [label.split(",")[0] for label in legend(panel)] == ["default (a)", "default (b)"]


def test_labels_can_be_given():
    (panel,) = plot([run(), run()], labels=["RFLO", "RTRL"]).axes
    assert [label.split(",")[0] for label in legend(panel)] == ["RFLO", "RTRL"]


def test_runs_can_be_pooled_by_a_setting():
    runs = [run(config={"num_envs": count}) for count in (16, 2, 16)]
    (panel,) = plot(runs, by="num_envs").axes
    assert legend(panel) == [
        "num_envs=2, 3 seeds: best 1.00 / final 0.50",
        "num_envs=16, 6 seeds: best 1.00 / final 0.50",
    ]
    left, _ = plot_variance([monitored(16), monitored(2), monitored(16)], by="num_envs").axes
    assert legend(left) == ["num_envs=2, 3 seeds", "num_envs=16, 6 seeds"]


def test_the_band_is_of_choice_and_named_in_the_figure():
    curves = ((0.0,) * 2, (1.0,) * 2, (5.0,) * 2)
    band = Bootstrap()
    figure = plot([run(curves=curves)], band=band)
    corners = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    (low, _), (high, _) = band(np.array(curves).T)
    assert (corners.min(), corners.max()) == (low, high)
    assert figure.get_supxlabel() == (
        "line: median over seeds; band: 95 % bootstrap interval of the median"
    )
    assert "percentiles 25 to 75" in plot([run()]).get_supxlabel()
    assert "percentiles 0 to 100" in plot_variance([monitored()]).get_supxlabel()
    assert plot([run(curves=((0.0, 1.0),))]).get_supxlabel() == ""


@pytest.mark.parametrize("draw", [plot, plot_variance])
def test_what_is_no_run_or_no_band_is_refused(draw):
    draw = inspect.unwrap(draw)  # without the tests' own check of types
    for runs in ("runs/a", Path("runs/a"), [run(), "runs/a"]):
        with pytest.raises(RtrrlError, match=r"runs/a.* is not a Run: pass what rtrrl.train or"):
            draw(runs)
    with pytest.raises(RtrrlError, match=r"band is 'bootstrap': expected a rtrrl.viz.bands.Band"):
        draw([run()], band="bootstrap")


def test_seeds_are_drawn_faintly_where_there_are_few_curves():
    (panel,) = plot([noisy(0), noisy(1)]).axes
    assert len(panel.lines) == 2 * (3 + 1)
    (panel,) = plot([noisy(number) for number in range(7)]).axes
    assert len(panel.lines) == 7


def test_numbers_in_the_legend_have_three_digits():
    assert [curves._median([x]) for x in (0.979, -0.5, 12.34, 499.6)] == [
        "0.98",
        "-0.50",
        "12.3",
        "500",
    ]


def test_variance_and_update_norm_have_a_panel_each(tmp_path):
    figure = plot_variance([monitored(), monitored(16)], tmp_path / "variance.png")
    assert (tmp_path / "variance.png").read_bytes().startswith(b"\x89PNG")
    left, right = figure.axes
    assert legend(left) == ["1 environment, 3 seeds", "16 environments, 3 seeds"]
    assert left.get_title(loc="left") == "MemoryChain-4"
    assert [panel.get_ylabel() for panel in (left, right)] == ["gradient variance", "update norm"]
    for panel, unit in ((left, 1.0), (right, 0.1)):
        assert panel.get_yscale() == "log"
        assert panel.lines[0].get_xydata().tolist() == [[1000, 2 * unit], [2000, 2 * unit]]
        corners = panel.collections[0].get_paths()[0].vertices[:, 1]
        assert (corners.min(), corners.max()) == pytest.approx((unit, 4 * unit))


def test_variances_of_several_tasks_and_agents_are_labelled():
    runs = [monitored(task="A"), monitored(4, task="A", agent="paper"), monitored(task="B")]
    above, _, below, _ = plot_variance(runs).axes
    assert legend(above) == ["default, 1 environment, 3 seeds", "paper, 4 environments, 3 seeds"]
    assert legend(below) == ["default, 1 environment, 3 seeds"]
    assert above.lines[0].get_color() == below.lines[0].get_color()


def test_zero_variance_is_not_drawn_on_a_logarithmic_axis(recwarn):
    left, _ = plot_variance([monitored(values=(0.0, None, 3.0))]).axes
    assert left.lines[0].get_ydata().tolist() == [3.0, 3.0]
    assert not recwarn.list


def test_a_run_is_drawn_into_its_folder(tmp_path):
    plot(run(folder=tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["learning_curve.png"]
    single = dataclasses.replace(monitored(), folder=tmp_path)
    plot_variance(single)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "learning_curve.png",
        "variance.png",
    ]


def test_nothing_is_written_without_a_path_or_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    assert len(plot(run()).axes) == 1
    plot([run(folder=folder), run(agent="paper", folder=folder)])
    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == []


def test_a_path_takes_precedence_over_the_folder(tmp_path):
    plot(run(folder=tmp_path), tmp_path / "curve.svg")
    assert [file.name for file in tmp_path.iterdir()] == ["curve.svg"]


def test_plot_is_public():
    assert rtrrl.plot is rtrrl.viz.plot is plot
    assert rtrrl.viz.plot_variance is plot_variance
    with pytest.raises(AttributeError, match="no attribute 'learning_curve'"):
        rtrrl.viz.learning_curve  # noqa: B018


def test_pyplot_is_not_imported():
    code = "import sys, rtrrl.viz.curves; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", ["rtrrl.viz", "rtrrl.runs.storage"])
def test_matplotlib_is_not_imported_before_a_figure_is_drawn(module):
    code = f"import sys, {module}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
