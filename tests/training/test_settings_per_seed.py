"""Settings that differ from seed to seed: in rows, results, labels, and for copies of one seed."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import rtrrl
from rtrrl.agents.monitoring import monitored
from rtrrl.cli import main
from rtrrl.errors import NonFiniteError, RtrrlError
from rtrrl.learning.optimizers import Adam
from rtrrl.runs.config import RunConfig
from rtrrl.runs.run import Run
from rtrrl.training.callbacks import Callback, TensorBoard
from tests.counting import CountingAgent, PaidAction
from tests.helpers import assert_same_bits, element
from tests.training.runs import TASK, assert_same_run, small_agent, train_counting, train_small

SHORT = {"steps": 90, "evaluations": 3, "episodes": 2}
SEEDS = [0, 0, 1, 1]
CAPS = (5.0, 25.0, 5.0, 25.0)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Run:
    """Two seeds with each of two settings; the score of a seed is its setting."""
    agent = CountingAgent(cap=jnp.array(CAPS))
    folder = tmp_path_factory.mktemp("sweep") / "run"
    return train_counting(agent, seeds=SEEDS, steps=60, evaluations=3, out=folder)


def test_a_row_holds_the_settings_of_its_seed(sweep):
    assert [(row["seed"], row["cap"]) for row in sweep.metrics] == [
        *zip(SEEDS, CAPS, strict=True)
    ] * 3
    assert sweep.per_seed == {"cap": CAPS}
    assert sweep.best.tolist() == list(CAPS)


def test_a_run_knows_the_settings_after_it_is_read_again(sweep):
    run = rtrrl.load_run(sweep.folder)
    assert run.per_seed == sweep.per_seed
    assert run.metrics == sweep.metrics
    assert run.best.tolist() == list(CAPS)
    assert json.loads((sweep.folder / "result.json").read_text())["per_seed"] == {"cap": [*CAPS]}
    assert rtrrl.load(sweep.folder, environment=PaidAction()).config.per_seed == sweep.per_seed


def test_a_run_without_such_settings_has_none():
    run = train_counting(steps=3, evaluations=1)
    assert run.per_seed == run.config["per_seed"] == {}
    config = {name: value for name, value in run.config.items() if name != "per_seed"}
    assert Run(config=config, metrics=[], seeds=[0], steps_per_second=1.0).per_seed == {}


def test_the_column_of_a_repeated_seed_is_asked_for_by_its_place(sweep):
    assert sweep.column("evaluation", index=2) == ([20, 40, 60], [5.0] * 3)
    assert sweep.column("evaluation", index=3) == ([20, 40, 60], [20.0, 25.0, 25.0])
    with pytest.raises(
        RtrrlError, match=r"seed 1 2 times.* run\.column\('cap', index=2\)"
    ) as caught:
        sweep.column("cap", 1)
    assert "\n" not in str(caught.value)
    run = train_counting(steps=3, evaluations=1, seeds=[4, 7])
    assert run.column("evaluation", 7) == run.column("evaluation", index=1) == ([3], [3.0])
    with pytest.raises(RtrrlError, match="seed 5 0 times"):
        run.column("evaluation", 5)


def test_copies_of_a_seed_have_the_same_random_numbers():
    agent = small_agent(gamma=jnp.array([0.99, 0.5]))
    run = train_small(agent, seeds=[3, 3], **SHORT | {"steps": 1, "evaluations": 1})
    first, second = (element(run.agents().states, i) for i in range(2))
    assert_same_bits(first.key, second.key)
    assert_same_bits(first.last, second.last)
    run = train_small(agent, seeds=[3, 3], **SHORT)
    weights = run.agents().states.params.actor.weight
    assert (weights[0] != weights[1]).any(), "the settings must matter"


def test_copies_of_a_seed_are_resumed(tmp_path):
    agent = small_agent(gamma=jnp.array([0.99, 0.5]))

    class Stop(Callback):
        def on_evaluation(self, rows):
            return rows[0]["step"] == 30

    whole = train_small(agent, seeds=[3, 3], out=tmp_path / "whole", **SHORT)
    train_small(agent, seeds=[3, 3], out=tmp_path / "run", callbacks=[Stop()], **SHORT)
    resumed = rtrrl.resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert_same_bits(resumed.agents(best=True).states, whole.agents(best=True).states)


def test_patience_waits_for_every_copy_of_a_seed():
    caps = CountingAgent(cap=jnp.array([2.0, 6.0]))
    run = train_counting(caps, seeds=[0, 0], steps=20, evaluations=20, patience=3)
    assert run.steps == 9  # the later copy improves up to step 6


def test_a_seed_with_the_same_settings_twice_is_refused():
    for cap in (1e9, jnp.array([5.0, 7.0, 5.0])):
        with pytest.raises(RtrrlError, match="seed 3 is given twice with the same settings"):
            train_counting(CountingAgent(cap=cap), seeds=[3, 4, 3])


def test_a_seed_that_diverges_is_named_with_its_settings():
    rates = Adam(learning_rate=jnp.array([1e-3, 1e38]))
    with pytest.raises(NonFiniteError, match=r"seed 1, optimizer\.learning_rate=1e\+38 diverged"):
        train_small(small_agent(optimizer=rates), seeds=[1, 1])


def config(**changes) -> RunConfig:
    environment = rtrrl.make(TASK)
    agent = rtrrl.RTRRL.default(environment, **changes)
    return RunConfig(agent=agent, environment=environment, steps=1, seeds=(0, 0))


def test_the_label_and_the_names_of_seeds_show_the_values():
    rates = Adam(jnp.array([1e-3, 0.5]), 2.0, 0.3, jnp.inf, epsilon=1e-3)
    assert config(gamma=jnp.array([0.9, 0.99])).label == "default, gamma=[0.9, 0.99]"
    assert config(optimizer=rates).label == "default, optimizer.learning_rate=[0.001, 0.5]"
    assert config(gamma=jnp.array([0.9, 0.1])).seed_names == ("0, gamma=0.9", "0, gamma=0.1")


@pytest.mark.usefixtures("unchecked")
def test_a_numpy_array_is_an_array_of_settings():
    both = [config(gamma=kind([0.9, 0.1])) for kind in (np.array, jnp.array)]
    assert both[0].per_seed == both[1].per_seed == {"gamma": (0.9, 0.1)}


@pytest.mark.parametrize("scalar", [np.float64, np.float32, jnp.array])
def test_a_scalar_of_numpy_or_jax_is_one_number_for_all_seeds(scalar):
    run = train_counting(CountingAgent(cap=scalar(1.75)), seeds=2, steps=4, evaluations=1)
    assert run.best.tolist() == [1.75, 1.75]
    assert run.per_seed == {}
    assert run.agents().agent == CountingAgent(cap=1.75)


def test_monitoring_is_no_part_of_the_path_of_a_setting():
    rates = Adam(jnp.array([1e-3, 0.5]))
    agents = (change(small_agent(optimizer=rates)) for change in (lambda agent: agent, monitored))
    seeds, environment = (0, 1), rtrrl.make(TASK)
    paths = [
        RunConfig(agent=agent, environment=environment, steps=1, seeds=seeds).per_seed
        for agent in agents
    ]
    assert paths[0] == paths[1] == {"optimizer.learning_rate": (0.001, 0.5)}


def test_tables_show_the_settings_beside_the_seeds(tmp_path, capsys):
    agent = small_agent(gamma=jnp.array([0.9, 0.5]))
    run = train_small(agent, seeds=[1, 1], out=tmp_path / "run", **SHORT)
    assert main(["eval", str(run.folder), "--episodes", "2"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["seed", "gamma", "steps", "return"] in rows
    assert [row[:3] for row in rows if row[:1] == ["1"]] == [["1", "0.9", "90"], ["1", "0.5", "90"]]
    assert main(["eval", str(run.folder), "--episodes", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["per_seed"] == {"gamma": [0.9, 0.5]}
    again = tmp_path / "again"
    command = ["train", "--config", str(run.folder), "--steps", "9", "--evaluations", "1"]
    assert main([*command, "--out", str(again)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["seed", "gamma", "best", "final"] in rows
    assert [row[:2] for row in rows if row[:1] == ["1"]] == [["1", "0.9"], ["1", "0.5"]]


def test_loggers_tell_copies_of_a_seed_apart(tmp_path):
    caps = CountingAgent(cap=jnp.array([2.0, 6.0, 2.0]))
    log = TensorBoard(tmp_path / "log")
    train_counting(caps, seeds=[0, 0, 1], steps=8, evaluations=2, callbacks=[log])
    names = {path.name for path in (tmp_path / "log").iterdir()}
    assert names == {"seed-0, cap=2.0", "seed-0, cap=6.0", "seed-1"}


def test_everything_that_is_written_is_strict_json(tmp_path):
    def fail(constant):
        raise AssertionError(f"{constant} is no JSON")

    caps = CountingAgent(cap=jnp.array([2.0, jnp.inf]))
    run = train_counting(caps, seeds=[0, 0], steps=8, evaluations=2, out=tmp_path / "run")
    texts = [(run.folder / name).read_text() for name in ("config.json", "result.json")]
    texts += (run.folder / "metrics.jsonl").read_text().splitlines()
    texts += [path.read_bytes().partition(b"\n")[0] for path in run.folder.glob("*.rtrrl")]
    assert len(texts) == 2 + 4 + 2
    for text in texts:
        json.loads(text, parse_constant=fail)
    assert rtrrl.load_run(run.folder).per_seed == {"cap": (2.0, np.inf)}
    agents = rtrrl.load(run.folder, environment=PaidAction())
    np.testing.assert_array_equal(agents.agent.cap, caps.cap)
