"""The actions of current episodes: compact, bounded, and saved as they are."""

import jax
import numpy as np
import pytest

from rtrrl.training import action_record
from rtrrl.training.action_record import FORGOTTEN, ActionRecord

INTEGER = jax.ShapeDtypeStruct((2,), np.int32)


def test_each_seed_has_the_actions_of_its_own_episode():
    record = ActionRecord(2, INTEGER, replayable=True)
    for time in range(200):
        record.append(np.array([time, -time], np.int32))
        if time == 150:
            record.restart(np.array([False, True]))
    actions, lengths = record.saved()
    assert lengths.tolist() == [200, 49]
    np.testing.assert_array_equal(actions[0], np.arange(200))
    np.testing.assert_array_equal(actions[1, :49], -np.arange(151, 200))
    again = ActionRecord(2, INTEGER, replayable=True)
    again.load(actions, lengths)
    for each in (record, again):
        each.append(np.array([7, 8], np.int32))
    np.testing.assert_array_equal(again.saved()[0][0], record.saved()[0][0])
    assert again.saved()[0][1, 49] == 8


def test_what_is_saved_does_not_change_later():
    record = ActionRecord(2, INTEGER, replayable=True)
    record.append(np.array([1, 2], np.int32))
    actions, lengths = record.saved()
    record.restart(np.ones(2, bool))
    record.append(np.array([3, 4], np.int32))
    assert (actions.tolist(), lengths.tolist()) == ([[1], [2]], [1, 1])


def test_a_vector_is_an_action():
    record = ActionRecord(2, jax.ShapeDtypeStruct((2, 3), np.float32), replayable=True)
    record.append(np.ones((2, 3), np.float32))
    assert record.saved()[0].shape == (2, 1, 3)


def test_an_episode_beyond_the_bound_is_forgotten_until_the_next(monkeypatch):
    monkeypatch.setattr(action_record, "LONGEST", 100)
    record = ActionRecord(2, INTEGER, replayable=True)
    for time in range(1000):
        record.append(np.array([time, time], np.int32))
        record.restart(np.array([False, time % 50 == 49]))
    assert record.lengths.tolist() == [FORGOTTEN, 0]
    actions, _ = record.saved()
    assert actions.shape == (2, 0)
    record.restart(np.array([True, False]))
    record.append(np.array([5, 6], np.int32))
    assert record.saved()[0].tolist() == [[5], [6]]


@pytest.mark.parametrize("steps", [0, 3])
def test_nothing_of_an_environment_that_cannot_be_replayed_is_kept(steps):
    record = ActionRecord(2, INTEGER, replayable=False)
    for _ in range(steps):
        record.append(np.array([1, 2], np.int32))
        record.restart(np.array([True, False]))
    actions, lengths = record.saved()
    assert (actions.shape, lengths.tolist()) == ((2, 0), [FORGOTTEN] * 2)
