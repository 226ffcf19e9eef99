"""`rtrrl plot`: learning curves, or the variance of updates, of one or several runs."""

from collections.abc import Sequence
from pathlib import Path

from rtrrl import viz
from rtrrl.cli.parsing import Parser, add_common, print_json
from rtrrl.errors import RtrrlError
from rtrrl.runs.run import CURVE, VARIANCE
from rtrrl.runs.storage import load_run


def run(args: Sequence[str]) -> int:
    """Write the figure and print its path."""
    given = _parser().parse(args)
    runs = [load_run(folder) for folder in given.dirs]
    for folder, each in zip(given.dirs, runs, strict=True):
        if not each.metrics:
            raise RtrrlError(f"{folder} has no evaluation yet: there is nothing to draw")
        if given.variance and not each.monitored:
            raise RtrrlError(
                f"{folder} did not record the variance of its updates: train with --variance"
            )
    draw, name = (viz.plot_variance, VARIANCE) if given.variance else (viz.plot, CURVE)
    default = Path(given.dirs[0]) / name if len(runs) == 1 else Path("comparison.png")
    path = Path(given.out) if given.out else default
    draw(runs, path)
    if given.json:
        print_json({"figure": str(path), "runs": given.dirs})
    else:
        print(path)
    return 0


def _parser() -> Parser:
    parser = Parser("plot", "Draw learning curves: a panel for each task, a color for each run.")
    parser.add_argument("dirs", metavar="DIR", nargs="+", help="folders of runs")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="a .png, .svg or .pdf (default: DIR/learning_curve.png for one run, "
        "./comparison.png for several)",
    )
    parser.add_argument(
        "--variance",
        action="store_true",
        help="draw gradient variance and update norm (default: DIR/variance.png for one run)",
    )
    add_common(parser)
    return parser
