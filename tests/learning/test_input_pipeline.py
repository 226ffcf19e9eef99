"""The input pipeline: which statistics are updated when, and what comes out."""

import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.learning.exploration_bonus import Novelty
from rtrrl.learning.input_pipeline import InputPipeline
from rtrrl.learning.normalizers import ReturnScaledRewards, RunningObservations
from rtrrl.learning.optimizers import Adam

PIPELINE = InputPipeline(RunningObservations(), ReturnScaledRewards(decay=0.5), Novelty())
FIRST, SECOND, REWARD = jnp.array([1.0, 2.0]), jnp.array([3.0, -2.0]), jnp.array(4.0)


def test_a_step_normalises_by_statistics_that_include_it():
    stats, first = PIPELINE.begin(PIPELINE.init(2), FIRST)
    stats, inputs = PIPELINE.step(stats, SECOND, REWARD)
    np.testing.assert_array_equal(first, [0.0, 0.0])
    np.testing.assert_array_equal(stats.observations.mean, [2.0, 0.0])
    np.testing.assert_array_equal(
        inputs.observation, PIPELINE.observations(stats.observations, SECOND)
    )
    assert inputs.reward == PIPELINE.rewards(stats.rewards, REWARD) == 1.0
    assert inputs.bonus == PIPELINE.bonus(stats.bonus, SECOND) > 0


def test_begin_restarts_the_reward_statistics_alone():
    stats, _ = PIPELINE.begin(PIPELINE.init(2), FIRST)
    stats, _ = PIPELINE.step(stats, SECOND, REWARD)
    stats, _ = PIPELINE.begin(stats, FIRST)
    assert (stats.rewards.u, stats.rewards.count) == (0.0, 1.0)
    assert stats.observations.count == stats.bonus.moments.count == 3


def test_the_default_changes_nothing():
    plain = InputPipeline()
    stats, first = plain.begin(plain.init(2), FIRST)
    _, inputs = plain.step(stats, SECOND, REWARD)
    np.testing.assert_array_equal(first, FIRST)
    np.testing.assert_array_equal(inputs.observation, SECOND)
    assert (inputs.reward, inputs.bonus) == (REWARD, 0.0)


def test_a_part_of_another_family_is_refused():
    with pytest.raises(Exception, match="rewards") as refusal:
        InputPipeline(rewards=Adam())
    assert "RewardNormalizer" in str(refusal.value)
