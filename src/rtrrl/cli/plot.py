"""`rtrrl plot`: learning curves, or the variance of updates, of one or several runs."""

from collections.abc import Sequence
from pathlib import Path

from rtrrl import viz
from rtrrl.cli.parsing import Parser, add_common, print_json
from rtrrl.errors import RtrrlError, UnknownNameError
from rtrrl.runs.run import CURVE, VARIANCE
from rtrrl.runs.storage import load_run
from rtrrl.viz.bands import BANDS


def run(args: Sequence[str]) -> int:
    """Write the figure and print its path."""
    parser = _parser()
    given = parser.parse(args)
    count, odd = divmod(len(given.labels or ()), 2)
    if count and not odd and not given.dirs:  # --labels A B DIR DIR takes all four
        given.labels, given.dirs = given.labels[:count], given.labels[count:]
    if not given.dirs:
        parser.error("the following arguments are required: DIR")
    if given.band not in (None, *BANDS):
        raise UnknownNameError("argument of --band", given.band, BANDS)
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
    band = {} if given.band is None else {"band": BANDS[given.band]}
    draw(runs, path, labels=given.labels, by=given.by and given.by.replace("-", "_"), **band)
    if given.json:
        print_json({"figure": str(path), "runs": given.dirs})
    else:
        print(path)
    return 0


def _parser() -> Parser:
    parser = Parser(
        "plot",
        "Draw learning curves: a panel for each task, a curve for each run.",
        usage="rtrrl plot DIR [DIR ...] [options]",
    )
    parser.add_argument("dirs", metavar="DIR", nargs="*", help="folders of runs")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="a .png, .svg or .pdf (default: DIR/learning_curve.png for one run, "
        "./comparison.png for several)",
    )
    names = parser.add_mutually_exclusive_group()
    names.add_argument(
        "--labels",
        metavar="NAME",
        nargs="+",
        help="names of the runs, as many as folders; runs of one name are one curve over all seeds",
    )
    names.add_argument(
        "--by",
        metavar="SETTING",
        help="one curve for each value of a setting, over all seeds that have it: agent, "
        "agent.cell, agent.cell.hidden_size, num_envs, seed, ...",
    )
    parser.add_argument(
        "--band",
        metavar="NAME",
        help=f"what is shaded around the median over seeds: {', '.join(BANDS)} (default: "
        "quartiles; with --variance, range)",
    )
    parser.add_argument(
        "--variance",
        action="store_true",
        help="draw gradient variance and update norm (default: DIR/variance.png for one run)",
    )
    add_common(parser)
    return parser
