"""Seeds side by side: alone or among others, on one worker or two, with settings of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rtrrl
from rtrrl.errors import NonFiniteError, RtrrlError
from rtrrl.learning.optimizers import Adam
from tests.helpers import element
from tests.training.runs import STEPS, assert_params_close, read_result, small_agent, train_small

# Another program rounds differently, and after one different action everything differs: what is
# compared here is short.
SHORT = {"steps": 100, "evaluations": 1}


@pytest.fixture(scope="module")
def together():
    """Seeds 1 and 3."""
    return train_small(**SHORT)


@pytest.fixture(scope="module")
def alone():
    """Seed 3 by itself."""
    return train_small(seeds=[3], **SHORT)


def train_with(gammas: list[float], rates: list[float], **changes):
    """A γ and a learning rate of its own for each of seeds 1 and 3, on two workers."""
    agent = small_agent(gamma=jnp.array(gammas), optimizer=Adam(learning_rate=jnp.array(rates)))
    return train_small(agent, workers=2, **changes)


def test_a_seed_does_not_depend_on_the_others(together, alone):
    ours, theirs = alone.agents().states, together.agents().states
    assert_params_close(element(ours, 0), element(theirs, 1))
    np.testing.assert_allclose(alone.final, together.final[1:], rtol=1e-5)


@pytest.mark.usefixtures("alone")  # which compiles what a worker of one seed runs
def test_results_do_not_depend_on_the_number_of_workers(together):
    run = train_small(workers=2, **SHORT)
    assert_params_close(run.agents().states, together.agents().states)
    np.testing.assert_allclose(run.best, together.best, rtol=1e-5)
    columns = [[(row["step"], row["seed"]) for row in each.metrics] for each in (run, together)]
    assert columns[0] == columns[1]


def test_seeds_differ(together):
    a, b = (element(together.agents().states.params, i) for i in range(2))
    assert (a.actor.weight != b.actor.weight).any()
    assert (a.cell.weight != b.cell.weight).all()


def test_settings_that_are_arrays_have_one_entry_per_seed(together):
    states = train_with([0.99, 0.5], [1e-3, 1e-2], **SHORT).agents().states
    assert_params_close(element(states, 0), element(together.agents().states, 0))
    other = small_agent(gamma=0.5, optimizer=Adam(learning_rate=1e-2))
    other = train_small(other, seeds=[3], **SHORT).agents().states
    assert_params_close(element(states, 1), element(other, 0))
    weights = (element(s, 1).params.actor.weight for s in (states, together.agents().states))
    assert np.abs(np.subtract(*weights)).max() > 0.01, "the settings must matter"


@pytest.mark.parametrize("gammas", [[0.9], [0.9, 0.8, 0.7]])
def test_an_array_of_another_length_is_refused(gammas):
    with pytest.raises(
        RtrrlError, match=f"shape \\({len(gammas)},\\).*for each seed, of which there are 2"
    ):
        train_small(small_agent(gamma=jnp.array(gammas)))


def test_the_seed_that_diverges_is_named(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(NonFiniteError, match=r"seed 3 diverged.*learning rate") as caught:
        train_with([0.99, 0.99], [1e-3, 1e38], out=folder)
    assert "\n" not in str(caught.value)
    assert read_result(folder)["stopped_by"] == "error"
    with pytest.raises(RtrrlError, match="the run holds no agents"):
        rtrrl.load_run(folder).agents()
    saved = rtrrl.load(folder)
    assert saved.step < STEPS
    for leaf in jax.tree.leaves(saved.states.params):
        assert leaf.dtype == bool or np.isfinite(leaf).all()
