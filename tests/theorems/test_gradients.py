"""Each gradient rule against backpropagation through the unrolled sequence."""

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.cells import CELLS, CTRNN, Memoryless, recurrent_parameters
from rtrrl.gradients import (
    RFLO,
    RTRL,
    TBPTT,
    UORO,
    DiagonalRTRL,
    Frozen,
    Immediate,
    SnAp1,
    certificates,
)
from rtrrl.gradients.certificates import Episodes, online_gradient
from rtrrl.types import parameters
from tests.members import (
    WIRINGS,
    assert_same,
    cell,
    diagonal_cells,
    each_cell,
    quick_jit,
)

pytestmark = pytest.mark.usefixtures("x64")

# 12 steps each, so that they share one compiled program
LENGTHS = [(12,), (1, 11), (5, 1, 6), (1,) * 12]

unrolled_gradient = quick_jit(certificates.unrolled_gradient)
online = quick_jit(
    lambda model, rule, episodes: online_gradient(model, rule, rule.init(model), episodes)
)


def random(model, lengths=LENGTHS[2]):
    return Episodes.random(model, lengths, jax.random.key(len(lengths)))


@each_cell
def test_unrolled_gradient_is_that_of_finite_differences(cell_name):
    """The reference of all other tests, against a plain loop over the cell."""
    model = cell(cell_name)
    episodes = random(model)
    flat, rebuild = jax.flatten_util.ravel_pytree(parameters(model))
    direction = jax.random.normal(jax.random.key(5), flat.shape)
    initial = model.initial_state()

    @quick_jit
    def step(theta, h, x, features_bar):
        cell = eqx.combine(rebuild(theta), model)
        h = cell(h, x)
        return h, features_bar @ cell.features(h, x)

    def loss(theta):
        total, h = 0.0, initial
        for start, *data in zip(episodes.start, episodes.x, episodes.features_bar, strict=True):
            h, term = step(theta, initial if start else h, *data)
            total += term
        return total

    slope = (loss(flat + 1e-5 * direction) - loss(flat - 1e-5 * direction)) / 2e-5
    gradient, _ = jax.flatten_util.ravel_pytree(unrolled_gradient(model, episodes))
    assert gradient @ direction == pytest.approx(float(slope), rel=1e-6)


@each_cell
def test_rtrl_is_backpropagation_through_time(cell_name):
    model = cell(cell_name)
    for lengths in LENGTHS:
        episodes = random(model, lengths)
        assert_same(online(model, RTRL(), episodes), unrolled_gradient(model, episodes))


@pytest.mark.parametrize("cell_name", diagonal_cells)
@pytest.mark.parametrize("rule", [SnAp1(), DiagonalRTRL()], ids=["snap1", "diagonal"])
def test_local_influence_is_exact_where_no_unit_reads_another(cell_name, rule):
    model = cell(cell_name)
    assert not set(diagonal_cells).isdisjoint({"rtu", "lru", "ctrnn-diagonal-dt0.25"})
    episodes = random(model)
    assert_same(online(model, rule, episodes), unrolled_gradient(model, episodes))


def test_snap1_is_not_exact_where_units_read_each_other():
    model = cell("ctrnn")
    with pytest.raises(AssertionError):
        assert_same(
            online(model, SnAp1(), random(model)), unrolled_gradient(model, random(model)), 1e-2
        )


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_rflo_is_snap1_without_self_weights(dt):
    model = CTRNN(2, 4, key=jax.random.key(0), dt=dt)
    own = jnp.arange(4)
    without = eqx.tree_at(lambda m: m.weight, model, model.weight.at[2 + own, own].set(0.0))
    assert_same(online(without, RFLO(), random(without)), online(without, SnAp1(), random(without)))
    with pytest.raises(AssertionError):
        assert_same(
            online(model, RFLO(), random(model)), online(model, SnAp1(), random(model)), 1e-2
        )


@pytest.mark.parametrize("cell_name", [*CELLS, "ctrnn-sparse-dt0.25"])
def test_window_longer_than_the_episodes_is_backpropagation_through_time(cell_name):
    model = cell(cell_name)
    for lengths in LENGTHS[:3]:
        episodes = random(model, lengths)
        assert_same(online(model, TBPTT(12), episodes), unrolled_gradient(model, episodes))


@pytest.mark.parametrize("cell_name", ["ctrnn-full-dt0.25", "gru", "rtu"])
def test_window_is_rtrl_over_its_last_steps(cell_name):
    """The pullback is that of RTRL without influence at t − 3, and ∂hₜ/∂θ with hₜ₋₃ fixed."""
    model, window = cell(cell_name), TBPTT(3)
    trained = recurrent_parameters(model)
    xs = jax.random.normal(jax.random.key(1), (7, 2))
    h_bar = jax.random.normal(jax.random.key(2), (model.components, 4))

    @quick_jit
    def restricted(h, xs):
        def end(p):
            state = h
            for x in xs:
                state = eqx.combine(p, model)(state, x)
            return jnp.vdot(h_bar, state)

        state, influence = h, RTRL().init(model)
        for x in xs:
            state, influence = RTRL().step(model, influence, state, x)
        return RTRL().pullback(model, influence, h_bar), jax.grad(end)(trained)

    @quick_jit
    def step(influence, h, x):
        h, influence = window.step(model, influence, h, x)
        return h, influence, window.pullback(model, influence, h_bar)

    states, influence, pulled = [model.initial_state()], window.init(model), []
    for x in xs:
        h, influence, gradient = step(influence, states[-1], x)
        states.append(h)
        pulled.append(gradient)
    for first, last in [(0, 2), (1, 4), (4, 7)]:  # after two steps, then the last three of many
        for exact in restricted(states[first], xs[first:last]):
            assert_same(pulled[last - 1], exact)


@pytest.mark.parametrize("cell_name", ["ctrnn-full-dt0.25", "gru", "nonlinear-rtu"])
def test_uoro_is_rtrl_on_average(cell_name):
    model = cell(cell_name)
    episodes = random(model, (1, 3))
    draws = 20_000
    draw = lambda key: online_gradient(model, UORO(), UORO().init(model, key), episodes)  # noqa: E731
    sampled = quick_jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), draws))
    for got, exact in zip(
        jax.tree.leaves(sampled),
        jax.tree.leaves(unrolled_gradient(model, episodes)),
        strict=True,
    ):
        error, standard = got.mean(0) - exact, got.std(0) / draws**0.5
        assert jnp.linalg.norm(standard) < 0.2 * jnp.linalg.norm(exact), "the bound is too loose"
        assert (jnp.abs(error) <= 4.5 * standard + 1e-12).all()


@pytest.mark.parametrize("name", ["ctrnn", "ctrnn-full-dt0.25"])
def test_immediate_is_rflo_of_the_last_step(name):
    """P = ∂h'/∂θ of the last step by the leak alone, whatever came before."""
    model = cell(name)
    h, influence = model.initial_state(), Immediate().init(model)
    for x in jax.random.normal(jax.random.key(1), (3, 2)):
        before = h
        h, influence = Immediate().step(model, influence, h, x)
    _, one_step = RFLO().step(model, RFLO().init(model), before, x)
    assert_same(influence, one_step)


def test_immediate_is_exact_without_memory():
    model = Memoryless(2, 4, key=jax.random.key(0))
    assert_same(online(model, Immediate(), random(model)), unrolled_gradient(model, random(model)))


@each_cell
def test_frozen_recurrence_has_no_gradient_and_feedforward_parameters_keep_theirs(cell_name):
    model = cell(cell_name)
    gradient = online(model, Frozen(), random(model))
    exact = unrolled_gradient(model, random(model))
    for field in ("weight", "tau", "nu", "theta_log", "gamma_log", "recurrent_bias"):
        if hasattr(model, field):
            assert not getattr(gradient, field).any()
            assert getattr(exact, field).any()
    for field in model.feedforward:
        assert_same(getattr(gradient, field), getattr(exact, field))


@pytest.mark.parametrize("wiring", [name for name in WIRINGS if name != "full"])
def test_absent_weights_have_no_influence_and_no_gradient(wiring):
    model = cell(f"ctrnn-{wiring}-dt0.25")
    # with a value, so that zero is due to the mask
    model = eqx.tree_at(lambda m: m.weight, model, jnp.where(model.mask, model.weight, 7.0))
    absent = np.asarray(~model.mask)
    assert absent.any()
    for rule in (RTRL(), UORO(), TBPTT(12), SnAp1()):
        gradient = np.asarray(online(model, rule, random(model)).weight)
        assert not gradient[absent].any()
        assert gradient[~absent].any()

    @quick_jit
    def influences(h, x):
        return [rule.step(model, rule.init(model), h, x)[1].weight for rule in (RTRL(), RFLO())]

    dense, local = influences(jnp.ones((1, 4)), jnp.ones(2))
    assert not np.asarray(dense)[..., absent].any()
    assert not np.asarray(local)[0][absent].any()
    assert np.asarray(local)[0][~absent].any()
