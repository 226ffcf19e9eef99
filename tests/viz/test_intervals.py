import itertools
import math

import pytest

from rtrrl.errors import RtrrlError
from rtrrl.viz.intervals import plot_intervals

pytestmark = pytest.mark.filterwarnings("error")


def test_intervals_have_a_row_per_name():
    figure = plot_intervals(
        {"A": {"one": (1.0, 0.5, 2.0), "two": (2.0, 1.0, 3.0)}, "B": {"two": (1.0, 0.0, 2.0)}}
    )
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one", "two"]
    assert [axes.get_title() for axes in figure.axes] == ["A", "B"]


@pytest.mark.parametrize(
    ("groups", "rows", "name"),
    [
        (0, 0, ""),
        (1, 1, "$x" * 60),
        (2, 30, "optimizer.learning_rate=0.001, " * 4),
        (5, 30, "name "),
        (13, 3, ""),
    ],
)
def test_any_number_of_rows_with_names_of_any_length_fits(groups, rows, name, tmp_path):
    estimates = {f"{name}{row}": (row / 10, row / 10 - 1, math.nan) for row in range(rows)}
    named = {f"gymnasium/MountainCarContinuous-v{group}-pos": estimates for group in range(groups)}
    figure = plot_intervals(named, tmp_path / "intervals.png")
    figure.draw_without_rendering()
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert len(panels) == groups
    for panel in panels:
        box = panel.get_window_extent()
        assert box.width / figure.dpi > 1.8
        assert box.height / figure.dpi > 0.2 * rows
        title = panel.title.get_window_extent()
        assert figure.bbox.x0 <= title.x0 < title.x1 <= figure.bbox.x1
    labels = panels[0].get_yticklabels() if panels else []
    boxes = [label.get_window_extent() for label in labels]
    assert all(box.x0 >= 0 for box in boxes)
    assert not any(above.overlaps(below) for above, below in itertools.pairwise(boxes))


def test_other_suffixes_raise(tmp_path):
    with pytest.raises(RtrrlError, match=r"cannot draw into .*\.png, \.svg or \.pdf"):
        plot_intervals({}, tmp_path / "intervals.gif")
