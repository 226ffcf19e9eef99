"""Sizes, legends and files of figures, of any number of runs."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.transforms import Bbox

from rtrrl.errors import RtrrlError
from rtrrl.viz import layout
from rtrrl.viz.colors import line_style
from rtrrl.viz.curves import plot, plot_variance
from rtrrl.viz.layout import text_width, wrap
from tests.viz.synthetic import monitored, noisy, run

pytestmark = pytest.mark.filterwarnings("error")

LONG = "default, cell=CTRNN, cell.hidden_size=128, optimizer.learning_rate=0.0003, rule=RFLO, x=1"
UNBROKEN = "runs/" + "a_long_name_without_spaces" * 4


def check(figure: Figure) -> None:
    """Panels are large enough; titles and legends lie in the figure, and upon no panel."""
    figure.draw_without_rendering()
    panels = [panel for panel in figure.axes if panel.get_visible()]
    boxes = [panel.get_window_extent() for panel in panels]
    for panel, box in zip(panels, boxes, strict=True):
        width, height = box.width / figure.dpi, box.height / figure.dpi
        assert width > 3.0, "the panel is narrow"
        assert height > 2.4, "the panel is low"
        assert 1.0 < width / height < 2.2
        if panel.get_legend():
            legend = panel.get_legend().get_window_extent()
            title = panel._left_title.get_window_extent()
            for part in (legend, title):
                assert Bbox.union([part, figure.bbox]).bounds == figure.bbox.bounds, "it is cut"
                assert not any(part.overlaps(other) for other in boxes)
            assert title.y0 > legend.y1


def names(figure: Figure) -> list[str]:
    texts = [
        text.get_text()
        for panel in figure.axes
        if panel.get_legend()
        for text in panel.get_legend().get_texts()
    ]
    return [text.replace("\n", "").replace(" ", "") for text in texts]


@pytest.mark.parametrize("count", [1, 6, 7, 12, 30])
def test_any_number_of_runs_of_a_task_fits(count, tmp_path):
    runs = [noisy(number) for number in range(count)]
    figure = plot(runs, tmp_path / "curve.png")
    check(figure)
    (panel,) = figure.axes
    lines = {
        (line.get_color(), str(line._unscaled_dash_pattern))
        for line in panel.get_legend().get_lines()
    }
    assert len(lines) == count
    assert [name.split(",")[0] for name in names(figure)] == [f"agent{i}" for i in range(count)]


@pytest.mark.parametrize(("count", "tasks"), [(6, 2), (30, 3), (24, 12)])
def test_runs_of_several_tasks_fit(count, tasks):
    runs = [
        noisy(i, task=f"gymnasium/Task{i % tasks}-v5-pos", agent=f"agent {i // tasks}")
        for i in range(count)
    ]
    figure = plot(runs)
    check(figure)
    assert len(names(figure)) == count


@pytest.mark.parametrize("count", [6, 18])
def test_labels_of_any_length_fit(count):
    labels = [LONG, UNBROKEN, "$", "a$\\foo$", "_hidden", "%s {x}, δ"]
    labels = [f"{label}{number}" for number in range(count // 6) for label in labels]
    figure = plot([noisy(number, seeds=1) for number in range(count)], labels=labels)
    check(figure)
    shown = zip(labels, names(figure), strict=True)
    assert all(name.startswith(given.replace(" ", "")) for given, name in shown)


def test_long_names_of_tasks_fit():
    figure = plot(
        [noisy(0, task="x" * 100), noisy(0, task="two words " * 10), noisy(0, task="$y$")]
    )
    check(figure)


@pytest.mark.parametrize("count", [1, 30])
def test_any_number_of_monitored_runs_fits(count):
    figure = plot_variance([noisy(number, agent=f"{LONG} {number}") for number in range(count)])
    check(figure)
    assert len(names(figure)) == count


def test_monitored_runs_of_several_tasks_fit():
    runs = [monitored(2**i, task=f"task {i % 3}", agent=f"agent {i}") for i in range(12)]
    check(plot_variance(runs))


@pytest.mark.parametrize("draw", [plot, plot_variance])
def test_runs_of_different_lengths_seeds_and_gaps_fit(draw, tmp_path):
    runs = [
        noisy(0, seeds=30),
        noisy(1, seeds=1, evaluations=1),
        noisy(2, evaluations=40, every=7),
        noisy(3, evaluations=1),
        run(agent="none", curves=((None, None), (float("nan"), None))),
        run(agent="some", curves=((1.0, None), (float("nan"), 2.0))),
    ]
    check(draw(runs, tmp_path / "figure.png"))
    check(draw(runs, tmp_path / "figure.png", labels=["all"] * 6))


def test_no_two_of_35_curves_look_the_same():
    styles = [line_style(index) for index in range(35)]
    assert len({(style["color"], style["linestyle"]) for style in styles}) == 35
    assert {style["linestyle"] for style in styles[:7]} == {"-"}


def test_wrapped_text_is_as_narrow_as_asked_and_loses_nothing():
    for text in (LONG, UNBROKEN, "W" * 100, "i" * 100, "", "short"):
        wrapped = wrap(text, 200.0, 9.5)
        assert text_width(wrapped, 9.5) <= 200.0
        assert wrapped.replace("\n", "").replace(" ", "") == text.replace(" ", "")
    assert wrap("short", 200.0, 9.5) == "short"
    assert wrap("two", 0.0, 9.5) == "t\nw\no"
    assert wrap("two\nwords\there", 200.0, 9.5) == "two words here"


# ---------------------------------------------------------------- files


def test_a_png_is_valid_and_of_reasonable_size(tmp_path):
    path = tmp_path / "curve.png"
    figure = plot([run()], path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data.rstrip().endswith(b"IEND\xaeB`\x82")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    np.testing.assert_allclose((width, height), 200 * figure.get_size_inches(), atol=1)
    assert 10_000 < len(data) < 500_000
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

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(RuntimeError):
        plot([run(agent="paper")], path)
    assert path.read_bytes() == old


def test_a_png_is_reduced_in_colors_then_in_size_until_it_is_small_enough(tmp_path, monkeypatch):
    path, widths = tmp_path / "curve.png", []
    figure = plot([noisy(number) for number in range(3)], path)
    size = len(path.read_bytes())
    for fraction in (1.0, 0.5, 0.2):
        monkeypatch.setattr(layout, "MAX_BYTES", fraction * size)
        layout.write(figure, path)
        assert len(path.read_bytes()) <= fraction * size
        widths.append(imread(path).shape[1])
    assert widths[0] == widths[1] == round(200 * figure.get_figwidth()) > widths[2]
