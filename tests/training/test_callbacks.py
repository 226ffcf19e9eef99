"""Callbacks: when they are called, how they stop a run, and the loggers that come with rtrrl."""

import importlib
import io
import json
import socket
import struct
import sys

import numpy as np
import pytest

import rtrrl
from rtrrl.errors import RtrrlError
from rtrrl.runs.run import StopReason
from rtrrl.training.callbacks import (
    LOGGERS,
    Callback,
    JSONLines,
    TensorBoard,
    WeightsAndBiases,
)
from tests.counting import CountingAgent, PaidAction
from tests.training.runs import assert_same_run, read_result, train_counting

SETTINGS = {"steps": 40, "evaluations": 4, "seeds": [2, 5]}


class Record(Callback):
    """Appends every call to `calls`; may stop the run, or raise, in a method at a step."""

    def __init__(self, calls=None, stop=None, error=None):
        self.calls = [] if calls is None else calls
        self.stop, self.error = stop, error

    def _called(self, method, step):
        self.calls.append((method, step))
        if self.error == (method, step):
            raise ValueError(f"in {method}")
        return self.stop == (method, step) or None

    def on_start(self, config, step):
        self._called("start", step)

    def on_metrics(self, metrics):
        return self._called("metrics", metrics["step"])

    def on_evaluation(self, rows):
        return self._called("evaluation", rows[0]["step"])

    def on_end(self, run):
        self._called("end", run.stopped_by)


WHOLE = [
    ("start", 0),
    *((method, step) for step in (10, 20, 30, 40) for method in ("metrics", "evaluation")),
    ("end", "budget"),
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train_counting(out=tmp_path_factory.mktemp("callbacks") / "run", **SETTINGS)


# --- the order of calls, and what they get ------------------------------------------------------


def test_callbacks_are_called_in_order():
    first = Record()
    second = Record(first.calls)
    run = train_counting(callbacks=[first, second], **SETTINGS)
    assert run.stopped_by is StopReason.BUDGET
    assert first.calls[::2] == first.calls[1::2] == WHOLE


def test_what_callbacks_get():
    given = {}

    class Keep(Callback):
        def on_start(self, config, step):
            given["config"] = config

        def on_metrics(self, metrics):
            given["metrics"] = metrics

        def on_evaluation(self, rows):
            given.setdefault("rows", []).extend(rows)

        def on_end(self, run):
            given["run"] = run

    run = train_counting(callbacks=[Keep()], **SETTINGS)
    assert given["run"] is run
    assert given["config"] == run.agents().config
    assert given["rows"] == run.metrics
    metrics = given["metrics"]
    assert metrics.pop("step") == 40
    assert metrics.pop("steps_per_second") > 0
    # the steps 31 to 40: episodes end after 33, 36 and 39 steps, paid after 31, 34 and 37
    for name, expected in {
        "episodes": 3,
        "training_return": 34,
        "td_error_rms": 2,
        "entropy": 0.5,
    }.items():
        assert metrics.pop(name).tolist() == [expected] * 2
    assert metrics == {}


# --- stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["metrics", "evaluation"])
def test_a_callback_stops_the_run_which_resumes_to_the_same_bits(method, uninterrupted, tmp_path):
    first, second = Record(stop=(method, 20)), Record()
    run = train_counting(out=tmp_path / "run", callbacks=[first, second], **SETTINGS)
    assert (run.stopped_by, run.finished) == (StopReason.CALLBACK, False)
    assert run.agents().step == 20
    assert first.calls == second.calls == [*WHOLE[:5], ("end", "callback")]
    assert read_result(tmp_path / "run")["stopped_by"] == "callback"

    after = Record()
    rtrrl.resume(tmp_path / "run", environment=PaidAction(), callbacks=[after])
    assert after.calls == [("start", 20), *WHOLE[5:]]
    assert_same_run(tmp_path / "run", uninterrupted.folder)


def test_a_run_that_is_stopped_at_its_last_step_is_finished():
    run = train_counting(callbacks=[Record(stop=("evaluation", 40))], **SETTINGS)
    assert run.stopped_by is StopReason.BUDGET


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [("metrics", 20), ("evaluation", 20)])
def test_after_an_error_of_a_callback_the_run_resumes_to_the_same_bits(
    error, uninterrupted, tmp_path
):
    failing, other = Record(error=error), Record()
    with pytest.raises(ValueError, match=f"in {error[0]}"):
        train_counting(out=tmp_path / "run", callbacks=[other, failing], **SETTINGS)
    assert read_result(tmp_path / "run")["stopped_by"] == "error"
    for callback in (failing, other):
        assert callback.calls[-1] == ("end", "error")
    rtrrl.resume(tmp_path / "run", environment=PaidAction())
    assert_same_run(tmp_path / "run", uninterrupted.folder)


def test_after_an_error_at_the_start_the_callbacks_that_started_are_ended(tmp_path):
    first, failing, last = Record(), Record(error=("start", 0)), Record()
    with pytest.raises(ValueError, match="in start"):
        train_counting(out=tmp_path / "run", callbacks=[first, failing, last], **SETTINGS)
    assert first.calls == [("start", 0), ("end", "error")]
    assert failing.calls == [("start", 0)]
    assert last.calls == []
    assert read_result(tmp_path / "run")["stopped_by"] == "error"


def test_an_error_at_the_end_leaves_the_result(uninterrupted, tmp_path):
    with pytest.raises(ValueError, match="in end"):
        train_counting(
            out=tmp_path / "run", callbacks=[Record(error=("end", "budget"))], **SETTINGS
        )
    assert_same_run(tmp_path / "run", uninterrupted.folder)


def test_an_error_at_the_end_does_not_keep_other_callbacks_from_ending():
    first, second = Record(error=("end", "budget")), Record()
    with pytest.raises(ValueError, match="in end"):
        train_counting(callbacks=[first, second], **SETTINGS)
    assert second.calls == WHOLE


# --- loggers ------------------------------------------------------------------------------------


def test_json_lines(tmp_path):
    # one step an evaluation, so that no episode ends before the first
    settings = {"steps": 3, "evaluations": 3, "seeds": [2, 5]}
    for _ in range(2):  # the second run replaces the file
        run = train_counting(callbacks=[JSONLines(tmp_path / "log.jsonl")], **settings)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[0]["training_return"] is None
    assert rows == [
        {name: None if value != value else value for name, value in row.items()}
        for row in run.metrics
    ]


def test_tensorboard(tmp_path):
    module = "tensorboard.backend.event_processing.event_accumulator"
    pytest.importorskip(module)
    settings = {"steps": 3, "evaluations": 3, "seeds": [2, 5]}
    for _ in range(2):  # the second run replaces the events
        run = train_counting(callbacks=[TensorBoard(tmp_path)], **settings)
    assert {path.name for path in tmp_path.iterdir()} == {"seed-2", "seed-5"}
    for seed in (2, 5):
        events = importlib.import_module(module).EventAccumulator(str(tmp_path / f"seed-{seed}"))
        events.Reload()
        rows = [row for row in run.metrics if row["seed"] == seed]
        names = set(events.Tags()["scalars"])
        assert names == set(rows[0]) - {"step", "seed"}
        for name in names:
            got = [(scalar.step, scalar.value) for scalar in events.Scalars(name)]
            expected = [(row["step"], np.float32(row[name])) for row in rows]
            assert got == [pair for pair in expected if np.isfinite(pair[1])]


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, and a home folder inside `tmp_path`."""

    def refuse(*arguments, **_):
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    for folder in ("home", "work"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "work")


def wandb_records(path):
    """The records of the file that wandb writes, a log in the format of LevelDB."""
    proto = importlib.import_module("wandb.proto.wandb_internal_pb2")
    content, position, payload, block = path.read_bytes(), 7, b"", 2**15
    while position + 7 <= len(content):
        if block - position % block < 7:
            position += block - position % block
        size, kind = struct.unpack_from("<HB", content, position + 4)
        payload += content[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # the whole record, or its last part
            yield proto.Record.FromString(payload)
            payload = b""


@pytest.mark.usefixtures("offline")
def test_weights_and_biases(tmp_path):
    wandb = pytest.importorskip("wandb")
    (tmp_path / "log").mkdir()
    logger = WeightsAndBiases(tmp_path / "log", mode="offline", project="tests")
    try:
        run = train_counting(callbacks=[logger], **SETTINGS)
    finally:
        wandb.teardown()  # ends its background process
    (folder,) = (tmp_path / "log").glob("wandb/offline-run-*")
    (file,) = folder.glob("*.wandb")
    records = list(wandb_records(file))
    (started,) = [record.run for record in records if record.HasField("run")]
    config = {item.key: json.loads(item.value_json) for item in started.config.update}
    assert started.project == "tests"
    assert (config["task"], config["steps"], config["seeds"]) == ("PaidAction", 40, [2, 5])
    history = [record.history for record in records if record.HasField("history")]
    assert [entry.step.num for entry in history] == [10, 20, 30, 40]
    logged = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in entry.item}
        for entry in history
    ]
    for row in run.metrics:
        for name in row.keys() - {"step", "seed"}:
            assert logged[row["step"] // 10 - 1][f"seed-{row['seed']}/{name}"] == row[name]
    assert not any((tmp_path / "work").iterdir())


@pytest.mark.parametrize(
    ("logger", "package"), [(TensorBoard, "tensorboard"), (WeightsAndBiases, "wandb")]
)
def test_a_logger_without_its_package_is_refused(logger, package, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without(package), *sys.meta_path])
    with pytest.raises(RtrrlError, match=rf"{package}.* is not installed: pip install 'rtrrl\["):
        logger(tmp_path)


class Without:
    """An importer that does not find one package."""

    def __init__(self, package):
        self._package = package

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def test_loggers_by_name(tmp_path):
    assert list(LOGGERS)[:3] == ["tensorboard", "wandb", "jsonl"]
    LOGGERS.make("jsonl", tmp_path).on_evaluation([{"step": 1, "seed": 0}])
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1, "seed": 0}\n'


# --- the progress bar ---------------------------------------------------------------------------


def test_the_progress_bar_is_silent_where_there_is_no_terminal(capfd):
    train_counting(steps=300, evaluations=3, progress=True)
    assert tuple(capfd.readouterr()) == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_shows_return_and_speed_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train_counting(CountingAgent(), steps=300, evaluations=3, progress=True)
    assert "PaidAction · CountingAgent" in terminal.getvalue()
    assert "return 300 (median)" in terminal.getvalue()
    assert "steps/s" in terminal.getvalue()
