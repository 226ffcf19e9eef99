"""The random draws of the POPGym environments, and the arguments they refuse."""

import operator
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.environments import popgym
from rtrrl.errors import RtrrlError
from tests.members import quick_jit

DRAWS = 4000
MANY = jax.random.split(jax.random.key(2), DRAWS)


def drawn(environment):
    return jax.tree.map(np.asarray, quick_jit(jax.vmap(environment.reset))(MANY))


def assert_share(events, probability):
    """Each column of `events` is true in the given share of rows, within five standard errors."""
    share = np.mean(events, axis=0)
    error = np.sqrt(probability * (1 - probability) / len(events))
    assert np.abs(share - probability).max() < 5 * error


DECKS = {
    "RepeatFirst": (popgym.RepeatFirst(2), "deck", 4),
    "RepeatPrevious": (popgym.RepeatPrevious(2), "deck", 4),
    "Autoencode": (popgym.Autoencode(1), "deck", 4),
    "HigherLower": (popgym.HigherLower(1), "deck", 13),
    "CountRecall-values": (popgym.CountRecall(2, 4), "values", 4),
    "CountRecall-queries": (popgym.CountRecall(2, 4), "queries", 4),
    "Concentration": (popgym.Concentration(1, 13), "table", 13),
}


@pytest.mark.parametrize("game", DECKS)
def test_a_pack_is_complete_and_shuffled(game):
    environment, field, kinds = DECKS[game]
    packs = getattr(drawn(environment)[0], field)
    size = packs.shape[1]
    counts = (packs[:, :, None] == np.arange(kinds)).sum(1)
    np.testing.assert_array_equal(counts, size // kinds)
    for kind in range(kinds):
        assert_share(packs == kind, 1 / kinds)
    # without replacement, and places are independent
    for apart in (1, 7, size // 2):
        assert_share(packs[:, apart:] == packs[:, :-apart], (size / kinds - 1) / (size - 1))


def test_queries_are_independent_of_values():
    state, _ = drawn(popgym.CountRecall(2, 4))
    assert_share(state.values == state.queries, 1 / 4)


@pytest.mark.parametrize(("size", "mines"), [((4, 4), 2), ((3, 5), 12)])
def test_mines_are_uniform(size, mines):
    mined = drawn(popgym.Minesweeper(size, mines))[0].mined
    squares = mined.shape[1]
    assert (mined.sum(1) == mines).all()
    assert_share(mined, mines / squares)
    both = mines / squares * (mines - 1) / (squares - 1)
    assert_share(mined[:, 1:] & mined[:, :-1], both)


def test_arms_have_independent_uniform_probabilities():
    chances = drawn(popgym.MultiArmedBandit(10))[0].probabilities
    for quantile in (0.05, 0.5, 0.95):
        assert_share(chances < quantile, quantile)
    assert_share((chances[:, 1:] < 0.5) & (chances[:, :-1] < 0.5), 0.25)


def test_an_arm_pays_with_its_probability():
    environment = popgym.MultiArmedBandit(10)
    state, _ = environment.reset(MANY[0])
    for arm in range(3):
        _, timestep = jax.vmap(environment.step, (0, None, None))(MANY, state, jnp.int32(arm))
        assert_share(np.asarray(timestep.reward) > 0, float(state.probabilities[arm]))


def test_cart_and_pole_start_uniformly_near_rest():
    physics = drawn(popgym.StatelessCartPole())[0].physics
    assert np.abs(physics).max() <= 0.05
    for quantile in (0.05, 0.5, 0.95):
        assert_share(physics < 0.1 * quantile - 0.05, quantile)
    assert_share((physics[:, 1:] < 0) & (physics[:, :-1] < 0), 0.25)


def test_noise_is_normal_and_only_in_the_observation():
    environment = popgym.NoisyStatelessCartPole(0.1)
    states, firsts = drawn(environment)
    step = quick_jit(jax.vmap(environment.step, (0, None, None)))
    start = jax.tree.map(operator.itemgetter(0), states)
    after, timestep = jax.tree.map(np.asarray, step(MANY, start, jnp.int32(0)))
    assert (after.physics == after.physics[0]).all()
    for noise in (
        firsts - states.physics[:, [0, 2]],
        timestep.observation - after.physics[:, [0, 2]],
    ):
        for deviations, share in ((-1, 0.158655), (0, 0.5), (2, 0.977250)):
            assert_share(noise < 0.1 * deviations, share)
        assert_share((noise[:, 0] < 0) & (noise[:, 1] < 0), 0.25)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: popgym.RepeatFirst(0), "at least 1 deck of 52 cards, not 0"),
        (lambda: popgym.RepeatPrevious(1, 52), "k from 1 to 51, not 52"),
        (lambda: popgym.RepeatPrevious(1, 0), "k from 1 to 51, not 0"),
        (lambda: popgym.Autoencode(-1), "not -1"),
        (lambda: popgym.HigherLower(0), "not 0"),
        (lambda: popgym.Concentration(0), "not 0"),
        (lambda: popgym.Concentration(1, 4), "of 2 or 13 kinds, not 4"),
        (lambda: popgym.CountRecall(0), "not 0"),
        (lambda: popgym.CountRecall(1, 3), "of 2 or 4 or 13 kinds, not 3"),
        (lambda: popgym.Minesweeper((4, 4), 0), "4×4 squares has from 1 to 13 mines, not 0"),
        (lambda: popgym.Minesweeper((4, 4), 14), "not 14"),
        (lambda: popgym.MultiArmedBandit(1), "at least 2 arms, not 1"),
        (lambda: popgym.MultiArmedBandit(2, 0), "at least 1 step, not 0"),
        (lambda: popgym.StatelessCartPole(0), "at least 1 step, not 0"),
        (lambda: popgym.NoisyStatelessCartPole(-0.1), "at least 0, not -0.1"),
        (lambda: popgym.NoisyStatelessCartPole(0.1, 0), "at least 1 step, not 0"),
    ],
)
def test_invalid_arguments_are_refused(build, expected):
    with pytest.raises(RtrrlError, match=re.escape(expected)):
        build()
