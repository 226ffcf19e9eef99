"""The folder of a run.

    config.json           the config, and the versions of the packages
    metrics.jsonl         one row per evaluation and seed
    checkpoint.rtrrl      the whole state when it was last saved
    checkpoint-best.rtrrl every seed's agent as it was at its best evaluation
    result.json           best and final score of every seed
    learning_curve.png    drawn by `rtrrl train` and `rtrrl.plot`
    variance.png          likewise, of a monitored run

An evaluation is written in the order metrics, checkpoint. A kill in between leaves rows that are
newer than the checkpoint; `rewind` removes them before the run is resumed.
"""

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rtrrl.errors import RunFolderError
from rtrrl.runs.checkpoints import read_meta
from rtrrl.runs.locking import LOCK, make_folder
from rtrrl.runs.run import CURVE, VARIANCE, Run, StopReason
from rtrrl.utils.files import write_atomic

CONFIG = "config.json"
METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint.rtrrl"
BEST_CHECKPOINT = "checkpoint-best.rtrrl"
RESULT = "result.json"

_REQUIRED = {"task": str, "agent": str, "steps": int, "seeds": list}
_PACKAGES = ("rtrrl", "jax", "jaxlib", "equinox", "optax", "numpy", "gymnax")


def create(folder: str | Path, config: dict, overwrite: bool = False) -> Path:
    """Start a run in `folder` by writing config.json with the versions added.

    The folder is empty, or holds a run that ended before it had learned anything. With `overwrite`
    it may hold any run, which loses its files first; no others are removed.

    **Raises** `RunFolderError` where `folder` holds anything else, or cannot be written.
    """
    folder = make_folder(folder)
    check_free(folder, overwrite)
    # the checkpoints first: they never lie beside another run's config
    for name in (CHECKPOINT, BEST_CHECKPOINT, METRICS, RESULT, CURVE, VARIANCE):
        (folder / name).unlink(missing_ok=True)
    _remove_temporaries(folder)
    write_config(folder, config | {"versions": _versions()})
    return folder


def check_free(folder: str | Path, overwrite: bool = False) -> None:
    """**Raises** `RunFolderError` where no run may start in `folder` (see `create`)."""
    folder = Path(folder)
    if not folder.is_dir() or not any(path.name != LOCK for path in folder.iterdir()):
        return
    if overwrite:
        _check_is_run(folder)
    elif not _is_unused(folder):
        raise RunFolderError(
            f"{folder} is not empty: choose another folder, resume the run in it, or overwrite it"
        )


def write_config(folder: Path, config: dict) -> None:
    """Write config.json."""
    text = json.dumps(config, indent=2, allow_nan=False)
    write_atomic(folder / CONFIG, text.encode() + b"\n")


def append_metrics(folder: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add `rows` to metrics.jsonl, each a mapping with at least `step` and `seed`.

    `evaluation` is the mean return that scores and curves are made of, `seconds` the wall time
    since the last evaluation (the same for all seeds). NaN and infinity are written as null.
    """
    lines = "".join(encode(row) + "\n" for row in rows)
    path = Path(folder) / METRICS
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunFolderError(
            f"cannot write {path}: {error.strerror}; free some space, then resume the run"
        ) from error


def read_metrics(folder: str | Path) -> list[dict]:
    """The rows of metrics.jsonl, without a last line that a kill left incomplete."""
    path = Path(folder) / METRICS
    if not path.exists():
        return []
    *lines, _incomplete = path.read_bytes().split(b"\n")
    return [_decode(path, number, line) for number, line in enumerate(lines, start=1)]


def open_for_resume(folder: str | Path) -> tuple[dict, dict]:
    """The config and the checkpoint's `meta` of a run; nothing is written.

    Load the checkpoint next, then call `rewind(folder, rows_before(folder, meta["evaluated"]))`.

    **Raises** `RunFolderError` where there is no folder, no run in it, or where config, result,
    metrics or checkpoint are damaged.
    """
    folder = Path(folder)
    config = _read_config(folder)
    _read_result(folder)
    if not (folder / CHECKPOINT).exists():
        raise RunFolderError(
            f"{folder} has no {CHECKPOINT}: the run ended before the first; train it again"
        )
    meta = read_meta(folder / CHECKPOINT)
    if not (isinstance(meta.get("step"), int) and isinstance(meta.get("evaluated"), int)):
        raise RunFolderError(
            f"{folder / CHECKPOINT} is not the checkpoint of a run: it does not say its step; "
            "start the run again with overwrite"
        )
    read_metrics(folder)
    return config, meta


def rows_before(folder: Path, step: int) -> list[dict]:
    """The rows of metrics up to that step."""
    return [row for row in read_metrics(folder) if row["step"] <= step]


def rewind(folder: Path, rows: list[dict]) -> None:
    """Take `folder` back to its checkpoint, before which it had these rows of metrics.

    Removes other rows, an incomplete last one, the result of a run that has ended, and temporary
    files of an interrupted write.
    """
    write_atomic(folder / METRICS, "".join(encode(row) + "\n" for row in rows).encode())
    (folder / RESULT).unlink(missing_ok=True)
    _remove_temporaries(folder)


def save_result(run: Run) -> None:
    """Write result.json into the run's folder, if it has one."""
    if run.folder is not None:
        text = json.dumps(_plain(run.result()), indent=2, allow_nan=False)
        write_atomic(run.folder / RESULT, text.encode() + b"\n")


def load_run(folder: str | Path) -> Run:
    """Read a run from its folder, finished or not.

    **Raises** `RunFolderError` where there is no run, or where one of its files is damaged.
    """
    folder = Path(folder)
    config, result, metrics = _read_config(folder), _read_result(folder), read_metrics(folder)
    speed, stopped_by = result.get("steps_per_second"), result.get("stopped_by")
    return Run(
        config=config,
        metrics=metrics,
        seeds=config["seeds"],
        steps_per_second=_speed(metrics, len(config["seeds"])) if speed is None else speed,
        stopped_by=None if stopped_by is None else StopReason(stopped_by),
        folder=folder,
    )


def _speed(metrics: list[dict], seeds: int) -> float:
    """Steps of all seeds per second; every seed's row has the time of the same evaluation."""
    seconds = sum({row["step"]: row.get("seconds") or 0.0 for row in metrics}.values())
    return seeds * metrics[-1]["step"] / seconds if seconds else math.nan


def _versions() -> dict[str, str]:
    packages = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return packages | {"python": platform.python_version(), "platform": platform.platform()}


def _is_unused(folder: Path) -> bool:
    """Whether the folder holds a run that ended before it had learned anything."""
    try:
        _check_is_run(folder)
        trained = (folder / CHECKPOINT).exists() and read_meta(folder / CHECKPOINT)["step"] != 0
        return not trained and not read_metrics(folder)
    except (RunFolderError, KeyError):
        return False


def _check_is_run(folder: Path) -> None:
    """**Raises** `RunFolderError` where config.json is not that of a run."""
    path = folder / CONFIG
    config = _read_json(path) if path.exists() else {}
    if "rtrrl" not in config.get("versions", {}):
        raise RunFolderError(
            f"{folder} is not empty and holds no run of rtrrl, so it is not overwritten: "
            "choose another folder"
        )


def _read_config(folder: Path) -> dict:
    if not folder.is_dir():
        raise RunFolderError(f"no run at {folder}: there is no such folder; check the path")
    path = folder / CONFIG
    if not path.exists():
        raise RunFolderError(f"{folder} is not a run: it has no {CONFIG}; give the folder of a run")
    config = _read_json(path)
    for name, kind in _REQUIRED.items():
        if not isinstance(config.get(name), kind):
            raise RunFolderError(
                f"{path} is not the config of a run: {name!r} should be of type {kind.__name__}; "
                "give the folder of a run"
            )
    if f"{config.get('versions', {}).get('rtrrl')}".startswith("0.1."):
        raise RunFolderError(
            f"{folder} was written by rtrrl {config['versions']['rtrrl']}, whose settings have "
            "other names: read it with that version, or train anew"
        )
    return config


def _read_result(folder: Path) -> dict:
    """The content of result.json; empty where the run has not ended or was killed."""
    path = folder / RESULT
    result = _read_json(path) if path.exists() else {}
    if result.get("stopped_by") not in (None, *StopReason):
        raise RunFolderError(
            f"{path} is damaged: stopped_by is {result['stopped_by']!r}, expected one of "
            f"{', '.join(StopReason)}; delete it to go on without"
        )
    return result


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{path} is damaged: it cannot be read as JSON ({error}); restore it from a copy"
        ) from error
    if not isinstance(content, dict):
        raise RunFolderError(f"{path} is damaged: it holds no JSON object; restore it from a copy")
    return content


def _decode(path: Path, number: int, line: bytes) -> dict:
    try:
        row = json.loads(line)
        if isinstance(row["step"], int) and isinstance(row["seed"], int):
            return row
    except (ValueError, TypeError, KeyError):
        pass
    raise RunFolderError(
        f"{path} is damaged: line {number} is not a row of metrics with a step and a seed; restore "
        "it from a copy, or delete that line"
    )


def encode(row: Mapping[str, Any]) -> str:
    """A row of metrics as one line of JSON, with null for NaN and infinity."""
    return json.dumps(_plain(row), allow_nan=False)


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: arrays as numbers and lists, None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _remove_temporaries(folder: Path) -> None:
    for name in (CONFIG, METRICS, CHECKPOINT, BEST_CHECKPOINT, RESULT, CURVE, VARIANCE):
        for leftover in folder.glob(f".{name}.*.tmp"):
            leftover.unlink()
