"""Statistics of updates against NumPy, and that recording them changes nothing."""

import dataclasses
import functools
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from rtrrl import RTRRL
from rtrrl.agents import PPO, ModelBased, Random
from rtrrl.agents.monitoring import is_monitored, measured, monitored, unmonitored
from rtrrl.cells import RTUConfig
from rtrrl.cli import main
from rtrrl.environments import make
from rtrrl.errors import RtrrlError
from rtrrl.learning.optimizers import (
    ENVS_AXIS,
    OPTIMIZERS,
    Adam,
    MeanOverEnvs,
    MonitoredOptimizer,
    ObGD,
)
from rtrrl.runs import serialization, storage
from rtrrl.types import parameters
from tests.helpers import scan_steps
from tests.learning.optimizers.steps import (
    KINDS,
    apply_step,
    flat,
    history,
    init_params,
    td_updates,
)
from tests.members import quick_jit

HORIZON = 6


def after_steps(optimizer, params, given):
    """The optimizer's state after these TD updates."""
    state, step = optimizer.init(params), quick_jit(functools.partial(apply_step, optimizer))
    for td_update in given:
        params, state = step(td_update, state, params)
    return state


def of_one_seed(state):
    return {
        name: value.item()
        for name, value in measured(jax.tree.map(lambda leaf: leaf[None], state)).items()
    }


def weights(count):
    """Of each of `count` updates in the statistics: w of the newest, the others times 1 − w."""
    each = np.zeros(count)
    for index in range(count):
        w = 1 / min(index + 1, HORIZON)
        each *= 1 - w
        each[index] = w
    return each


@pytest.mark.parametrize("count", [1, HORIZON, 5 * HORIZON])
def test_statistics_are_those_of_numpy(count, x64):
    params, optimizer = init_params(), Adam(0.1)
    given = list(td_updates(params, count, sizes=(1.0, 3.0)))
    got = of_one_seed(after_steps(MonitoredOptimizer(optimizer, HORIZON), params, given))
    w = weights(count)
    assert w.sum() == pytest.approx(1)
    variance = {}
    for kind in KINDS:
        ascents = np.array([flat(getattr(td_update.ascent(), kind)) for td_update in given])
        variance[kind] = (w @ (ascents - w @ ascents) ** 2).sum()
        assert got[f"gradient_variance_{kind}"] == pytest.approx(variance[kind], rel=1e-9)
    assert got["gradient_variance"] == pytest.approx(sum(variance.values()), rel=1e-9)
    ascents = np.array([flat(td_update.ascent()) for td_update in given])
    assert got["gradient_norm"] == pytest.approx(np.linalg.norm(w @ ascents), rel=1e-9)
    steps = np.diff([flat(each) for each in history(optimizer, params, given)], axis=0)
    assert got["update_norm"] == pytest.approx(np.sqrt(w @ (steps**2).sum(axis=1)), rel=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_recording_statistics_changes_no_bit(name):
    """To the bit, where XLA compiles both in the same way."""
    params, optimizer = init_params(), OPTIMIZERS[name]
    given = list(td_updates(params, 3))
    with jax.disable_jit():
        plain, recorded = (
            history(each, params, given) for each in (optimizer, MonitoredOptimizer(optimizer))
        )
    for before, after in zip(plain, recorded, strict=True):
        np.testing.assert_array_equal(flat(before), flat(after))
    assert (flat(plain[0]) != flat(plain[-1])).any()


def agent(**changes):
    return RTRRL.default("CartPole-pos", cell=RTUConfig(hidden_size=4), **changes)


def test_a_monitored_agent_learns_the_same(x64):
    """Compiled, where XLA may round the last bits differently: in float64."""

    def after(agent):
        key = jax.random.key(0)
        numbers = jax.random.normal(key, (50, 3))
        state, _ = quick_jit(functools.partial(scan_steps, agent))(key, numbers)
        return flat(parameters(state.params)), of_one_seed(state)

    (plain, nothing), (recorded, statistics) = after(agent()), after(monitored(agent()))
    np.testing.assert_allclose(recorded, plain, rtol=1e-9, atol=1e-12)
    assert nothing == {}
    assert all(value > 0 for value in statistics.values())


def test_the_variance_falls_as_one_over_the_number_of_environments(x64):
    """Independent TD updates of one distribution; nothing is learned."""
    params, count = init_params(), 2_000
    optimizer = MonitoredOptimizer(MeanOverEnvs(Adam(learning_rate=0.0)), count)
    template = next(td_updates(params))

    def td_update(key):
        leaves, structure = jax.tree.flatten(template.traces)
        drawn = [
            jax.random.normal(k, leaf.shape)
            for k, leaf in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
        ]
        return dataclasses.replace(template, traces=jax.tree.unflatten(structure, drawn))

    def variance(num_envs):
        def body(state, key):
            own = jax.vmap(td_update)(jax.random.split(key, num_envs))
            step = lambda td_update: optimizer.update(td_update, state, params)[1]  # noqa: E731
            return jax.vmap(step, out_axes=None, axis_name=ENVS_AXIS)(own), None

        keys = jax.random.split(jax.random.key(num_envs), count)
        state, _ = quick_jit(lambda state: jax.lax.scan(body, state, keys))(optimizer.init(params))
        return of_one_seed(state)["gradient_variance"]

    alone = variance(1)
    for num_envs in (4, 16):
        assert num_envs * variance(num_envs) == pytest.approx(alone, rel=0.05)


def test_several_environments_are_recorded_as_their_mean():
    """The refusal names the inner optimizer."""
    shared = monitored(agent()).share_over_envs()
    assert shared.optimizer == MonitoredOptimizer(MeanOverEnvs(agent().optimizer))
    with pytest.raises(RtrrlError, match=r"^ObGD learns from one environment at a time"):
        monitored(agent(optimizer=ObGD())).share_over_envs()


def test_unmonitored_undoes_monitored():
    plain = agent()
    recorded = monitored(plain)
    assert recorded.optimizer == MonitoredOptimizer(plain.optimizer)
    assert (is_monitored(recorded), is_monitored(plain)) == (True, False)
    assert monitored(recorded) is recorded
    assert (unmonitored(recorded), unmonitored(plain)) == (plain, plain)
    assert serialization.from_dict(serialization.to_dict(recorded)) == recorded
    environment = make("CartPole-pos")
    labels = [serialization.label(each, environment) for each in (recorded, plain)]
    assert labels[0] == labels[1]


@pytest.mark.parametrize("kind", [PPO.default, ModelBased.default, Random.uniform])
def test_an_agent_without_td_updates_is_refused(kind):
    with pytest.raises(
        RtrrlError, match=r"cannot be monitored: .* without the record of its variance"
    ):
        monitored(kind("TMaze-3"))


SHORT = [
    "--num-envs",
    "2",
    "--steps",
    "40",
    "--seeds",
    "2",
    "--evaluations",
    "2",
    "--episodes",
    "2",
]
COMMAND = ["train", "TMaze-3", *SHORT, "--variance", "--agent.cell.hidden-size", "3", "--out"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """By the command, in a process of its own."""
    folder = tmp_path_factory.mktemp("monitored") / "run"
    program = [sys.executable, "-m", "rtrrl", *COMMAND, str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(folder / storage.VARIANCE) in done.stdout
    return folder


def rows(folder):
    return [row | {"seconds": None} for row in storage.load_run(folder).metrics]


def test_the_command_records_and_plots(finished):
    run = storage.load_run(finished)
    assert run.monitored
    assert run.config["agent"] == "default, cell.hidden_size=3"
    assert (finished / storage.VARIANCE).read_bytes().startswith(b"\x89PNG")
    assert len(run.metrics) == 4
    for row in run.metrics:
        total = sum(row[f"gradient_variance_{kind}"] for kind in KINDS)
        assert row["gradient_variance"] == pytest.approx(total)
        assert row["gradient_norm"] > 0
        assert row["update_norm"] > 0


def test_a_config_keeps_monitoring_unless_overridden(finished, tmp_path, monkeypatch):
    asked = []

    def refuse(_, agent, **settings):
        asked.append(agent)
        raise ZeroDivisionError

    monkeypatch.setattr("rtrrl.cli.train.train", refuse)
    for flags in ([], ["--no-variance"], ["--agent.optimizer.learning-rate", "0.5"]):
        with pytest.raises(ZeroDivisionError):
            main(["train", "--config", str(finished), *flags, "--out", str(tmp_path / "else")])
    assert [is_monitored(agent) for agent in asked] == [True, False, True]
    assert asked[1] == unmonitored(asked[0])
    assert asked[2].optimizer.inner.learning_rate == 0.5


def test_a_resumed_run_has_the_same_numbers(finished, tmp_path, monkeypatch):
    append, folder = storage.append_metrics, tmp_path / "run"

    def interrupted(where, new):
        append(where, new)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "append_metrics", interrupted)
        assert main([*COMMAND, str(folder)]) == 130
    assert main(["train", "--resume", str(folder)]) == 0
    assert rows(folder) == rows(finished)


def test_runs_are_plotted_side_by_side(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", "--variance", str(finished), str(finished)]) == 0
    assert capsys.readouterr().out == "comparison.png\n"
    copy = shutil.copytree(finished, tmp_path / "copy")
    kept = [{k: v for k, v in row.items() if "gradient" not in k} for row in rows(finished)]
    (copy / storage.METRICS).unlink()
    storage.append_metrics(copy, kept)
    assert main(["plot", "--variance", str(copy)]) == 2
    assert "did not record the variance of its updates: train with" in capsys.readouterr().err
