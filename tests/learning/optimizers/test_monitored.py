"""What is measured of the updates, against NumPy; and that measuring changes nothing."""

import dataclasses
import shutil
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
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
from tests.learning.optimizers.lives import KINDS, credits, flat, history, newborn
from tests.members import quick_jit

HORIZON = 6


def lived(update, groups, given):
    """The state of an update after these credits."""
    state, step = update.init(groups), quick_jit(update.__call__)
    for credit in given:
        groups, state = step(state, groups, credit)
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
def test_the_statistics_are_numpys(count, x64):
    groups, update = newborn(), Adam(0.1)
    given = list(credits(groups, count, sizes=(1.0, 3.0)))
    got = of_one_seed(lived(MonitoredOptimizer(update, HORIZON), groups, given))
    w = weights(count)
    assert w.sum() == pytest.approx(1)
    variance = {}
    for kind in KINDS:
        ascents = np.array([flat(getattr(credit.ascent(), kind)) for credit in given])
        variance[kind] = (w @ (ascents - w @ ascents) ** 2).sum()
        assert got[f"gradient_variance_{kind}"] == pytest.approx(variance[kind], rel=1e-9)
    assert got["gradient_variance"] == pytest.approx(sum(variance.values()), rel=1e-9)
    ascents = np.array([flat(credit.ascent()) for credit in given])
    assert got["gradient_norm"] == pytest.approx(np.linalg.norm(w @ ascents), rel=1e-9)
    steps = np.diff([flat(each) for each in history(update, groups, given)], axis=0)
    assert got["update_norm"] == pytest.approx(np.sqrt(w @ (steps**2).sum(axis=1)), rel=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_being_measured_changes_nothing(name):
    """To the bit, where XLA compiles both in the same way."""
    groups, update = newborn(), OPTIMIZERS[name]
    given = list(credits(groups, 3))
    with jax.disable_jit():
        alone, watched = (
            history(each, groups, given) for each in (update, MonitoredOptimizer(update))
        )
    for before, after in zip(alone, watched, strict=True):
        np.testing.assert_array_equal(flat(before), flat(after))
    assert (flat(alone[0]) != flat(alone[-1])).any()


def agent(**changes):
    return RTRRL.default("CartPole-pos", cell=RTUConfig(hidden_size=4), **changes)


def test_a_life_that_is_measured_is_the_same_life(x64):
    """Compiled, where XLA may round otherwise: in float64, so that this stays small."""

    def after(agent):
        def turn(state, now):
            return agent.step(state, now[:2], now[2], jnp.ones(()))[0], None

        @quick_jit
        def life(key):
            state, _ = agent.begin(agent.init(key), jnp.ones(2))
            return jax.lax.scan(turn, state, jax.random.normal(key, (50, 3)))[0]

        state = life(jax.random.key(0))
        return flat(parameters(state.parameters)), of_one_seed(state)

    (alone, nothing), (watched, something) = after(agent()), after(monitored(agent()))
    np.testing.assert_allclose(watched, alone, rtol=1e-9, atol=1e-12)
    assert nothing == {}
    assert all(value > 0 for value in something.values())


def test_the_variance_of_independent_streams_falls_as_one_over_their_number(x64):
    """Credits of one distribution, drawn for each stream and step anew; nothing is learnt."""
    groups, count = newborn(), 2_000
    update = MonitoredOptimizer(MeanOverEnvs(Adam(learning_rate=0.0)), count)
    template = next(credits(groups))

    def credit(key):
        leaves, structure = jax.tree.flatten(template.traces)
        drawn = [
            jax.random.normal(k, leaf.shape)
            for k, leaf in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
        ]
        return dataclasses.replace(template, traces=jax.tree.unflatten(structure, drawn))

    def variance(num_envs):
        def turn(state, key):
            own = jax.vmap(credit)(jax.random.split(key, num_envs))
            step = lambda credit: update(state, groups, credit)[1]  # noqa: E731
            return jax.vmap(step, out_axes=None, axis_name=ENVS_AXIS)(own), None

        keys = jax.random.split(jax.random.key(num_envs), count)
        state, _ = quick_jit(lambda state: jax.lax.scan(turn, state, keys))(update.init(groups))
        return of_one_seed(state)["gradient_variance"]

    alone = variance(1)
    for num_envs in (4, 16):
        assert num_envs * variance(num_envs) == pytest.approx(alone, rel=0.05)


def test_many_streams_are_measured_as_their_mean():
    """And an agent whose update cannot be shared is named, not the one that measures it."""
    sharing = monitored(agent()).sharing()
    assert sharing.optimizer == MonitoredOptimizer(MeanOverEnvs(agent().optimizer))
    with pytest.raises(RtrrlError, match=r"^ObGD learns from one stream at a time"):
        monitored(agent(optimizer=ObGD())).sharing()


def test_it_is_put_on_and_taken_off():
    plain = agent()
    watched = monitored(plain)
    assert watched.optimizer == MonitoredOptimizer(plain.optimizer)
    assert (is_monitored(watched), is_monitored(plain)) == (True, False)
    assert monitored(watched) is watched
    assert (unmonitored(watched), unmonitored(plain)) == (plain, plain)
    assert serialization.from_dict(serialization.to_dict(watched)) == watched
    world = make("CartPole-pos")
    assert serialization.label(watched, world) == serialization.label(plain, world)


@pytest.mark.parametrize("kind", [PPO.default, ModelBased.default, Random.uniform])
def test_an_agent_without_such_an_update_is_refused(kind):
    with pytest.raises(RtrrlError, match=r"cannot be monitored: .* leave --variance out"):
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
WATCHED = ["train", "TMaze-3", *SHORT, "--variance", "--agent.cell.hidden-size", "3", "--out"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """By the command, in a process of its own."""
    folder = tmp_path_factory.mktemp("monitored") / "run"
    program = [sys.executable, "-m", "rtrrl", *WATCHED, str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(folder / storage.VARIANCE) in done.stdout
    return folder


def rows(folder):
    return [row | {"seconds": None} for row in storage.load_run(folder).metrics]


def test_the_command_records_and_draws(finished):
    run = storage.load_run(finished)
    assert run.monitored
    assert run.config["agent"] == "default, cell.hidden_size=3"
    assert (finished / storage.VARIANCE).read_bytes().startswith(b"\x89PNG")
    assert len(run.metrics) == 4
    for row in run.metrics:
        groups = sum(row[f"gradient_variance_{kind}"] for kind in KINDS)
        assert row["gradient_variance"] == pytest.approx(groups)
        assert row["gradient_norm"] > 0
        assert row["update_norm"] > 0


def test_a_config_brings_it_along_unless_told(finished, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "rtrrl.training.train.train", lambda agent, **_: asked.append(agent) or 1 / 0
    )
    for flags in ([], ["--no-variance"], ["--agent.optimizer.learning-rate", "0.5"]):
        with pytest.raises(ZeroDivisionError):
            main(["train", "--config", str(finished), *flags, "--out", str(tmp_path / "else")])
    assert [is_monitored(agent) for agent in asked] == [True, False, True]
    assert asked[1] == unmonitored(asked[0])
    assert asked[2].optimizer.update.learning_rate == 0.5


def test_an_interrupted_run_goes_on_to_the_same_numbers(finished, tmp_path, monkeypatch):
    append, folder = storage.append_metrics, tmp_path / "run"

    def interrupted(where, new):
        append(where, new)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "append_metrics", interrupted)
        assert main([*WATCHED, str(folder)]) == 130
    assert main(["train", "--resume", str(folder)]) == 0
    assert rows(folder) == rows(finished)


def test_runs_are_drawn_side_by_side(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", "--variance", str(finished), str(finished)]) == 0
    assert capsys.readouterr().out == "comparison.png\n"
    copy = shutil.copytree(finished, tmp_path / "copy")
    kept = [{k: v for k, v in row.items() if "gradient" not in k} for row in rows(finished)]
    (copy / storage.METRICS).unlink()
    storage.append_metrics(copy, kept)
    assert main(["plot", "--variance", str(copy)]) == 2
    assert "did not record the variance of its updates: train with" in capsys.readouterr().err
