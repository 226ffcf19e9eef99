import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

import rtrrl
from rtrrl.errors import RtrrlError
from rtrrl.runs.run import Run
from rtrrl.viz import curves
from rtrrl.viz.curves import plot, plot_intervals, plot_variance


def run(task="MemoryChain-4", agent="default", curves=((0.0, 1.0), (0.5, 0.5), (1.0, 1.0)), **kw):
    seeds = list(range(len(curves)))
    metrics = [
        {"step": 1000 * (index + 1), "seed": seed, "evaluation": value}
        for index in range(len(curves[0]))
        for seed, value in zip(seeds, [curve[index] for curve in curves], strict=True)
    ]
    config = {"task": task, "agent": agent, "steps": 2000, "seeds": seeds}
    return Run(config=config, metrics=metrics, seeds=seeds, steps_per_second=1.0, **kw)


def legend(panel) -> list[str]:
    return [text.get_text() for text in panel.get_legend().get_texts()]


def median_line(panel):
    return max(panel.lines, key=lambda line: line.get_linewidth())


def visible(figure) -> list:
    return [panel for panel in figure.axes if panel.get_visible()]


def test_a_png_is_valid_and_of_reasonable_size(tmp_path):
    path = tmp_path / "curve.png"
    figure = plot([run()], path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data.rstrip().endswith(b"IEND\xaeB`\x82")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == tuple(np.round(200 * figure.get_size_inches()))
    assert 10_000 < len(data) < 500_000
    from matplotlib.image import imread

    pixels = imread(path)[..., :3]
    assert np.ptp(pixels) > 0.5, "the image is blank"


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_suffix_selects_the_format(tmp_path, suffix, start):
    plot([run()], tmp_path / f"curve{suffix}")
    assert (tmp_path / f"curve{suffix}").read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["curve.bmp", "curve"])
def test_other_suffixes_raise(tmp_path, name):
    with pytest.raises(RtrrlError, match=r"cannot draw into .*\.png, \.svg or \.pdf"):
        plot([run()], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "curve.png"
    plot([run()], path)
    old = path.read_bytes()

    def fail(self, file, **_):
        file.write(b"half a picture")
        raise RuntimeError

    monkeypatch.setattr(curves.Figure, "savefig", fail)
    with pytest.raises(RuntimeError):
        plot([run(agent="paper")], path)
    assert path.read_bytes() == old


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
    assert panel.get_legend().get_title().get_text() == "MemoryChain-4"
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
    assert [panel.get_legend().get_title().get_text() for panel in (left, right)] == ["A", "B"]
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
    with pytest.raises(ValueError, match="argument 2"):
        plot([run(), run()], labels=["RFLO"])


def test_numbers_in_the_legend_have_three_digits():
    assert [curves._median(np.array([x])) for x in (0.979, -0.5, 12.34, 499.6)] == [
        "0.98",
        "-0.50",
        "12.3",
        "500",
    ]


def monitored(num_envs=1, task="MemoryChain-4", agent="default", values=(1.0, 2.0, 4.0)):
    """A run of three seeds with these variances in two rows, and a tenth of them as norms."""
    made = run(task, agent, curves=tuple((value, value) for value in values))
    made.config["num_envs"] = num_envs
    for row in made.metrics:
        value = row["evaluation"]
        row["gradient_variance"] = value
        row["update_norm"] = None if value is None else value / 10
    return made


def test_variance_and_update_norm_have_a_panel_each(tmp_path):
    figure = plot_variance([monitored(), monitored(16)], tmp_path / "variance.png")
    assert (tmp_path / "variance.png").read_bytes().startswith(b"\x89PNG")
    left, right = figure.axes
    assert legend(left) == ["1 environment, 3 seeds", "16 environments, 3 seeds"]
    assert left.get_legend().get_title().get_text() == "MemoryChain-4"
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


def test_intervals_have_a_row_per_name():
    figure = plot_intervals(
        {"A": {"one": (1.0, 0.5, 2.0), "two": (2.0, 1.0, 3.0)}, "B": {"two": (1, 0, 2)}}
    )
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one", "two"]
    assert [axes.get_title() for axes in figure.axes] == ["A", "B"]


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
