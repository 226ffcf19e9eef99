import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl import RTRRL
from rtrrl.learning.exploration_bonus import NoBonus, Novelty


def after(novelty, observations):
    statistics = novelty.init(observations.shape[1])
    for observation in jnp.asarray(observations):
        statistics = novelty.update(statistics, observation)
    return statistics


@pytest.mark.parametrize("count", [1, 4, 20])
def test_novelty_of_a_named_state_is_one_over_its_visits(x64, count):
    """A state visited `count` times among a hundred others."""
    visits = np.append(np.repeat(np.arange(1, 101), 10), np.zeros(count, int))
    names = np.eye(101)
    novelty = Novelty(scale=1.0, forgetting=0.0)
    bonus = novelty(after(novelty, names[visits]), jnp.asarray(names[0]))
    # the prior counts as one visit more; the entries of the other states bring a little
    np.testing.assert_allclose(bonus, 1 / (1 + count), rtol=0.1)


def test_novelty_fades_as_one_over_time(x64):
    """Of independent observations of any size, Σ z² / t: twice the time, half of it."""
    numbers = [3.0, 50.0] * np.random.default_rng(0).normal(size=(4000, 2))
    novelty = Novelty(scale=1.0, forgetting=0.0)
    early, late = after(novelty, numbers[:2000]), after(novelty, numbers)
    mean = lambda statistics: jax.vmap(novelty, (None, 0))(statistics, numbers).mean()  # noqa: E731
    np.testing.assert_allclose(mean(early) / mean(late), 2.0, rtol=0.05)
    np.testing.assert_allclose(mean(late), 2 / 4000, rtol=0.05)


def test_what_is_as_novel_as_usual_earns_nothing(x64):
    """Neither for an episode that goes on nor for one that ends."""
    numbers = np.random.default_rng(0).normal(size=(3000, 3))
    novelty = Novelty(scale=10.0, forgetting=0.01)
    statistics = novelty.init(3)
    earned = []
    for number in jnp.asarray(numbers):
        statistics = novelty.update(statistics, number)
        earned.append(novelty(statistics, number))
    late = np.array(earned[1000:])
    assert abs(late.mean()) < 0.1 * late.std()


def test_an_agent_hears_of_novelty_in_its_td_error_alone():
    """Its network reads the world's reward: what it remembers does not depend on the bonus."""
    states = []
    for intrinsic in (NoBonus(), Novelty()):
        agent = RTRRL.default("CartPole-pos", exploration_bonus=intrinsic)
        state, _ = agent.begin(agent.init(jax.random.key(0)), jnp.zeros(2))
        states.append(agent.step(state, jnp.ones(2), jnp.ones(()), jnp.ones(())))
    (plain, _, before), (drawn, _, after) = states
    np.testing.assert_array_equal(plain.now.x, drawn.now.x)
    novelty = Novelty()
    bonus = novelty(drawn.bonus_statistics, jnp.ones(2))
    assert bonus > 0
    np.testing.assert_allclose(after.td_error - before.td_error, bonus, rtol=1e-5)


def test_forgetting_has_to_be_a_rate():
    with pytest.raises(ValueError, match="forgetting is 2"):
        Novelty(forgetting=2.0)
