import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl import PPO, RTRRL
from rtrrl.agents import ModelBased
from rtrrl.learning.exploration_bonus import NoBonus, Novelty
from tests.helpers import run_steps


def after(novelty, observations):
    statistics = novelty.init(observations.shape[1])
    for observation in jnp.asarray(observations):
        statistics = novelty.update(statistics, observation)
    return statistics


@pytest.mark.parametrize("count", [1, 4, 20])
def test_novelty_of_a_one_hot_state_is_one_over_its_visits(x64, count):
    """A state visited `count` times among a hundred others."""
    visits = np.append(np.repeat(np.arange(1, 101), 10), np.zeros(count, int))
    states = np.eye(101)
    novelty = Novelty(scale=1.0, forgetting=0.0)
    bonus = novelty(after(novelty, states[visits]), jnp.asarray(states[0]))
    # the prior counts as one visit more; the entries of the other states bring a little
    np.testing.assert_allclose(bonus, 1 / (1 + count), rtol=0.1)


def test_novelty_fades_as_one_over_time(x64):
    """For independent observations of any scale it is Σ z² / t."""
    numbers = [3.0, 50.0] * np.random.default_rng(0).normal(size=(4000, 2))
    novelty = Novelty(scale=1.0, forgetting=0.0)
    early, late = after(novelty, numbers[:2000]), after(novelty, numbers)
    mean = lambda statistics: jax.vmap(novelty, (None, 0))(statistics, numbers).mean()  # noqa: E731
    np.testing.assert_allclose(mean(early) / mean(late), 2.0, rtol=0.05)
    np.testing.assert_allclose(mean(late), 2 / 4000, rtol=0.05)


def test_the_bonus_is_zero_on_average(x64):
    """So that neither long episodes nor short ones are rewarded as such."""
    numbers = np.random.default_rng(0).normal(size=(3000, 3))
    novelty = Novelty(scale=10.0, forgetting=0.01)
    statistics = novelty.init(3)
    bonuses = []
    for number in jnp.asarray(numbers):
        statistics = novelty.update(statistics, number)
        bonuses.append(novelty(statistics, number))
    late = np.array(bonuses[1000:])
    assert abs(late.mean()) < 0.1 * late.std()


@pytest.mark.parametrize("kind", [RTRRL, PPO, ModelBased])
def test_the_bonus_is_part_of_the_td_error_and_not_of_the_cells_input(kind):
    found = []
    for bonus in (NoBonus(), Novelty()):
        agent = kind.default("CartPole-pos", bonus=bonus)
        states, infos = run_steps(
            agent, agent.init(jax.random.key(0)), np.array([[0.0, 0.0], [1.0, 1.0]]), [1.0]
        )
        found.append((states[-1], infos[-1]))
    (plain, without), (explored, including) = found
    np.testing.assert_array_equal(plain.last.x, explored.last.x)
    bonus = Novelty()(explored.input_stats.bonus, jnp.ones(2))
    assert bonus > 0
    np.testing.assert_allclose(including.td_error - without.td_error, bonus, rtol=1e-5)


def test_forgetting_must_be_a_rate():
    with pytest.raises(ValueError, match="forgetting is 2"):
        Novelty(forgetting=2.0)
