"""The folder of a run, and the run that is read from it."""

import json
import math
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.errors import RtrrlError, RunFolderError
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.run import CURVE, VARIANCE, Run, StopReason, score

CONFIG = {"task": "MemoryChain-4", "agent": "default", "steps": 1000, "seeds": [7, 8]}


def rows(*steps: int, seeds=(7, 8)) -> list[dict]:
    return [
        {"step": step, "seed": seed, "evaluation": step / 1000 + seed, "seconds": 0.5}
        for step in steps
        for seed in seeds
    ]


def make_run(metrics: list[dict], **changes) -> Run:
    settings = {"config": CONFIG, "seeds": [7, 8], "steps_per_second": 1.0}
    return Run(metrics=metrics, **settings | changes)


def run_in(folder: Path, *steps: int, stopped_by: StopReason | None = None) -> Run:
    """A run as training leaves it; result.json only if it ended."""
    storage.create(folder, CONFIG)
    for step in steps:
        storage.append_metrics(folder, rows(step))
        checkpoints.save(
            folder / storage.CHECKPOINT, jnp.ones(2), {"step": step, "evaluated": step}
        )
    run = make_run(rows(*steps), steps_per_second=4e3, stopped_by=stopped_by, folder=folder)
    if stopped_by is not None:
        storage.save_result(run)
    return run


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestScore:
    def test_final_is_the_mean_over_the_last_tenth(self):
        steps = list(range(10, 1010, 10))
        values = [5.0] * 90 + [0.0, 1.0] * 5  # the last ten lie at 910, 920, ..., 1000
        assert score(steps, values, 1000) == (5.0, 0.5)

    def test_final_takes_at_least_three(self):
        assert score([250, 500, 750, 1000], [9.0, 1.0, 2.0, 6.0], 1000) == (9.0, 3.0)

    def test_final_takes_fewer_where_there_are_no_more(self):
        assert score([500, 1000], [1.0, 2.0], 1000) == (2.0, 1.5)
        assert score([500], [4.0], 1000) == (4.0, 4.0)

    def test_a_run_stopped_early_counts_the_steps_it_ran(self):
        steps = list(range(10, 510, 10))
        values = [0.0] * 45 + [6.0, 1.0, 1.0, 1.0, 1.0]  # a tenth of 500 steps, not of 1000
        assert score(steps, values, 1000) == (6.0, 2.0)

    def test_steps_beyond_the_budget_belong_to_the_last_tenth(self):
        steps = [800, 910, 920, 930, 1024]
        assert score(steps, [0.0, 1.0, 1.0, 1.0, 5.0], 1000).final == 2.0

    @pytest.mark.parametrize("gap", [None, math.nan, math.inf, -math.inf])
    def test_missing_and_non_finite_evaluations_are_left_out(self, gap):
        steps = [100, 200, 300, 400, 1000]
        assert score(steps, [1.0, 2.0, gap, 6.0, gap], 1000) == (6.0, 3.0)

    def test_without_evaluations_scores_are_nan(self):
        for steps, values in (([], []), ([1], [None])):
            assert all(math.isnan(value) for value in score(steps, values, 10))


class TestRun:
    def test_scores_follow_the_order_of_seeds(self):
        run = make_run(rows(250, 500, 1000), seeds=[8, 7])
        np.testing.assert_allclose(run.best, [9.0, 8.0])
        np.testing.assert_allclose(run.final, [8 + 1.75 / 3, 7 + 1.75 / 3])

    def test_the_budget_is_that_of_the_config(self):
        metrics = [
            {"step": step, "seed": 0, "evaluation": float(step > 900)}
            for step in (*range(10, 1010, 10), 1200)
        ]
        run = make_run(metrics, seeds=[0])
        assert run.final.tolist() == [1.0]

    def test_result(self):
        run = make_run(rows(250, 500), steps_per_second=4e3, stopped_by=StopReason.PATIENCE)
        assert run.result() == {
            "task": "MemoryChain-4",
            "agent": "default",
            "steps": 500,
            "seeds": [7, 8],
            "per_seed": {},
            "best": [7.5, 8.5],
            "final": [7.375, 8.375],
            "steps_per_second": 4e3,
            "finished": True,
            "stopped_by": "patience",
        }

    @pytest.mark.parametrize(
        ("stop", "finished"),
        [
            (StopReason.BUDGET, True),
            (StopReason.PATIENCE, True),
            (StopReason.CALLBACK, False),
            (StopReason.INTERRUPT, False),
            (StopReason.ERROR, False),
            (None, False),
        ],
    )
    def test_a_run_is_finished_after_budget_or_patience(self, stop, finished):
        assert make_run([], stopped_by=stop).result()["finished"] is finished

    def test_a_table_of_the_metrics(self):
        pytest.importorskip("pandas")
        table = make_run([{"step": 5, "seed": 7, "evaluation": 1.5}]).to_dataframe()
        assert table.to_dict("records") == [
            {"task": "MemoryChain-4", "agent": "default", "step": 5, "seed": 7, "evaluation": 1.5}
        ]

    def test_without_pandas_a_table_is_refused(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(RtrrlError, match="pandas is not installed: pip install pandas"):
            make_run(rows(5)).to_dataframe()

    @pytest.mark.parametrize(
        ("folder", "message"),
        [(None, "it ended in an error"), (Path("runs/1"), r"rtrrl\.load\('runs/1'\)")],
    )
    def test_a_run_without_agents_refuses_to_give_them(self, folder, message):
        with pytest.raises(RtrrlError, match=message):
            make_run(rows(5), folder=folder).agents()


class TestCreate:
    def test_config_can_be_read_back_with_versions(self, tmp_path):
        config = CONFIG | {"clip": "inf", "settings": {"rate": 0.1}}
        folder = storage.create(tmp_path / "new" / "run", config)
        written = json.loads((folder / "config.json").read_text())
        versions = written.pop("versions")
        assert written == config
        assert versions["jax"].count(".") == 2
        assert versions["rtrrl"]
        assert set(versions) >= {"python", "platform", "jaxlib", "equinox", "optax", "numpy"}

    def test_an_empty_folder_is_used(self, tmp_path):
        storage.create(tmp_path, CONFIG)
        assert snapshot(tmp_path).keys() == {"config.json"}

    def test_a_folder_in_use_is_refused(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("text")
        with pytest.raises(RunFolderError, match="is not empty: choose another folder, resume"):
            storage.create(tmp_path, CONFIG)
        assert snapshot(tmp_path) == {"thesis.tex": b"text"}

    @pytest.mark.parametrize("config", [None, '{"model": 1}', "{torn", "[]", '{"versions": {}}'])
    def test_overwrite_refuses_what_is_no_run(self, tmp_path, config):
        (tmp_path / "metrics.jsonl").write_text("another program's")
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        before = snapshot(tmp_path)
        with pytest.raises(RunFolderError, match=r"holds no run of rtrrl|is damaged"):
            storage.create(tmp_path, CONFIG, overwrite=True)
        assert snapshot(tmp_path) == before

    def test_overwrite_removes_a_run_and_nothing_else(self, tmp_path):
        run = run_in(tmp_path, 500, 1000, stopped_by=StopReason.BUDGET)
        for name in (CURVE, VARIANCE):
            (run.folder / name).write_bytes(b"")
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / ".checkpoint.rtrrl.123.tmp").write_text("killed")
        storage.create(tmp_path, CONFIG | {"agent": "paper"}, overwrite=True)
        assert snapshot(tmp_path).keys() == {"config.json", "notes.txt"}
        assert storage.load_run(tmp_path).config["agent"] == "paper"

    def test_a_file_of_that_name(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(RunFolderError, match=r"cannot make a run in .*File exists"):
            storage.create(tmp_path / "file", CONFIG)


class TestMetrics:
    def test_rows_return_as_they_were(self, tmp_path):
        storage.append_metrics(tmp_path, rows(100))
        storage.append_metrics(tmp_path, rows(200))
        assert storage.read_metrics(tmp_path) == rows(100, 200)

    def test_nan_and_infinity_become_null(self, tmp_path):
        values = [math.nan, np.float32(np.inf), jnp.array(-jnp.inf), np.array([1.0, np.nan])]
        storage.append_metrics(tmp_path, [{"step": 1, "seed": 0, "values": values}])
        text = (tmp_path / "metrics.jsonl").read_text()
        assert text == '{"step": 1, "seed": 0, "values": [null, null, null, [1.0, null]]}\n'

    def test_numbers_of_numpy_and_jax_are_written_exactly(self, tmp_path):
        row = {"step": np.int64(3), "seed": jnp.array(1), "evaluation": np.float32(0.1)}
        storage.append_metrics(tmp_path, [row])
        assert storage.read_metrics(tmp_path) == [
            {"step": 3, "seed": 1, "evaluation": float(np.float32(0.1))}
        ]

    def test_an_incomplete_last_row_is_left_out(self, tmp_path):
        storage.append_metrics(tmp_path, rows(100))
        with open(tmp_path / "metrics.jsonl", "a") as file:
            file.write('{"step": 200, "se')
        assert storage.read_metrics(tmp_path) == rows(100)

    @pytest.mark.parametrize("line", ["torn", "[1]", '{"step": 1}', '{"step": "1", "seed": 0}', ""])
    def test_a_damaged_row_is_named(self, tmp_path, line):
        storage.append_metrics(tmp_path, rows(100))
        with open(tmp_path / "metrics.jsonl", "a") as file:
            file.write(line + "\n")
        with pytest.raises(RunFolderError, match=r"metrics\.jsonl is damaged: line 3 "):
            storage.read_metrics(tmp_path)

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(RunFolderError, match=r"cannot write .*No such file"):
            storage.append_metrics(tmp_path / "missing", rows(1))


class TestResume:
    def test_an_unfinished_run_is_opened(self, tmp_path):
        run_in(tmp_path, 250, 500)
        before = snapshot(tmp_path)
        config, meta = storage.open_for_resume(tmp_path)
        assert {name: config[name] for name in CONFIG} == CONFIG
        assert meta == {"step": 500, "evaluated": 500}
        assert snapshot(tmp_path) == before

    def test_an_interrupted_run_is_opened(self, tmp_path):
        run_in(tmp_path, 250, stopped_by=StopReason.INTERRUPT)
        assert storage.open_for_resume(tmp_path)[1] == {"step": 250, "evaluated": 250}

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("config.json", None, "is not a run: it has no config.json"),
            ("config.json", b"{torn", "config.json is damaged: it cannot be read as JSON"),
            ("config.json", b"\xff", "config.json is damaged: it cannot be read as JSON"),
            ("config.json", b"[]", "config.json is damaged: it holds no JSON object"),
            (
                "config.json",
                b'{"task": "X"}',
                "not the config of a run: 'agent' should be of type str",
            ),
            ("result.json", b"{torn", "result.json is damaged"),
            ("result.json", b'{"stopped_by": "x"}', "stopped_by is 'x', expected one of budget"),
            ("metrics.jsonl", b"torn\n", "metrics.jsonl is damaged: line 1"),
            ("checkpoint.rtrrl", None, "has no checkpoint.rtrrl"),
            ("checkpoint.rtrrl", b"", "checkpoint.rtrrl is damaged"),
            ("checkpoint.rtrrl", b"foreign", "is not a checkpoint of rtrrl"),
        ],
    )
    def test_a_damaged_run_is_refused_and_not_changed(self, tmp_path, name, content, message):
        run_in(tmp_path, 250)
        (tmp_path / name).unlink(missing_ok=True)
        if content is not None:
            (tmp_path / name).write_bytes(content)
        before = snapshot(tmp_path)
        with pytest.raises(RunFolderError, match=message):
            storage.open_for_resume(tmp_path)
        assert snapshot(tmp_path) == before

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(RunFolderError, match="there is no such folder"):
            storage.open_for_resume(tmp_path / "missing")
        assert not (tmp_path / "missing").exists()

    def test_a_checkpoint_without_a_step(self, tmp_path):
        run_in(tmp_path, 250)
        checkpoints.save(tmp_path / storage.CHECKPOINT, jnp.ones(2), {})
        with pytest.raises(RunFolderError, match="it does not say its step"):
            storage.open_for_resume(tmp_path)


class TestRewind:
    def test_rows_after_the_checkpoint_are_removed(self, tmp_path):
        run_in(tmp_path, 250, 500)
        untouched = (tmp_path / storage.METRICS).read_bytes()
        storage.append_metrics(tmp_path, rows(750, seeds=[7]))
        with open(tmp_path / storage.METRICS, "a") as file:
            file.write('{"step": 750, "seed": 8, "eval')
        storage.rewind(tmp_path, storage.rows_before(tmp_path, 500))
        assert storage.read_metrics(tmp_path) == rows(250, 500)
        assert (tmp_path / storage.METRICS).read_bytes() == untouched

    def test_an_incomplete_row_does_not_damage_the_next(self, tmp_path):
        run_in(tmp_path, 250)
        with open(tmp_path / storage.METRICS, "a") as file:
            file.write('{"step": 500')
        storage.rewind(tmp_path, storage.rows_before(tmp_path, 250))
        storage.append_metrics(tmp_path, rows(500))
        assert storage.read_metrics(tmp_path) == rows(250, 500)

    def test_result_and_temporary_files_are_removed_and_others_stay(self, tmp_path):
        run_in(tmp_path, 250, stopped_by=StopReason.INTERRUPT)
        (tmp_path / ".checkpoint.rtrrl.99.tmp").write_bytes(b"half")
        (tmp_path / "notes.tmp").write_text("mine")
        storage.rewind(tmp_path, storage.rows_before(tmp_path, 250))
        assert snapshot(tmp_path).keys() == {
            "config.json",
            "metrics.jsonl",
            "checkpoint.rtrrl",
            "notes.tmp",
        }


class TestLoad:
    def test_a_finished_run(self, tmp_path):
        written = run_in(tmp_path, 250, 500, 1000, stopped_by=StopReason.BUDGET)
        loaded = storage.load_run(tmp_path)
        assert loaded.result() == written.result()
        assert loaded.metrics == written.metrics
        assert loaded.stopped_by is StopReason.BUDGET
        assert loaded.folder == tmp_path

    def test_result_json_is_the_result(self, tmp_path):
        run = run_in(tmp_path, 250, stopped_by=StopReason.INTERRUPT)
        assert json.loads((tmp_path / "result.json").read_text()) == run.result()

    def test_a_killed_run(self, tmp_path):
        run_in(tmp_path, 250, 500)
        loaded = storage.load_run(tmp_path)
        assert loaded.stopped_by is None
        assert loaded.result()["finished"] is False
        assert loaded.best.tolist() == [7.5, 8.5]
        assert loaded.steps_per_second == 1000.0  # two seeds, 500 steps each, in two half seconds

    def test_a_run_before_its_first_evaluation(self, tmp_path):
        storage.create(tmp_path, CONFIG)
        loaded = storage.load_run(tmp_path)
        assert np.isnan(loaded.final).tolist() == [True, True]
        assert loaded.steps == 0
        storage.save_result(loaded)
        result = json.loads((tmp_path / "result.json").read_text())
        assert result["final"] == [None, None]
        assert result["steps_per_second"] is None

    def test_scores_are_the_same_in_memory_and_from_a_folder(self, tmp_path):
        metrics = [
            {"step": step, "seed": 7, "evaluation": value}
            for step, value in ((100, 1.0), (200, math.nan), (300, math.inf), (400, 0.1))
        ]
        config = CONFIG | {"seeds": [7]}
        storage.create(tmp_path, config)
        storage.append_metrics(tmp_path, metrics)
        in_memory, on_disk = make_run(metrics, seeds=[7]), storage.load_run(tmp_path)
        assert in_memory.best.tolist() == on_disk.best.tolist() == [1.0]
        assert in_memory.final.tolist() == on_disk.final.tolist() == [0.55]

    @pytest.mark.parametrize("read", [storage.load_run, storage.open_for_resume])
    def test_a_run_of_version_0_1_is_refused(self, tmp_path, read):
        run_in(tmp_path, 250)
        config = json.loads((tmp_path / "config.json").read_text())
        config["versions"]["rtrrl"] = "0.1.3"
        (tmp_path / "config.json").write_text(json.dumps(config))
        before = snapshot(tmp_path)
        message = r"was written by rtrrl 0\.1\.3, whose settings have other names: read it with"
        with pytest.raises(RunFolderError, match=message) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)
        assert snapshot(tmp_path) == before

    def test_a_folder_without_a_run(self, tmp_path):
        with pytest.raises(RunFolderError, match="is not a run"):
            storage.load_run(tmp_path)

    def test_nothing_is_written_for_a_run_in_memory(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        storage.save_result(make_run(rows(1), stopped_by=StopReason.BUDGET))
        assert snapshot(tmp_path) == {}
