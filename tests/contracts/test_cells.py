"""The contract of cells, tested on every cell."""

import dataclasses
import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.cells import (
    CTRNN,
    LRU,
    LSTM,
    NCP,
    RTU,
    Cell,
    Diagonal,
    LeakyCell,
    LogUniformTimescales,
    LRUConfig,
    NonlinearRTUConfig,
    RTUConfig,
    SparseRandom,
    UniformRing,
    recurrent_parameters,
)
from rtrrl.types import parameters
from tests.members import HIDDEN, INPUTS, MEMBERS, cell, each_cell, quick_jit

STEP = quick_jit(lambda cell, h, x: cell(h, x))
X = jnp.array([0.5, -1.0])


@each_cell
def test_a_config_builds_its_cell(cell_name):
    config, model = MEMBERS[cell_name], cell(cell_name)
    assert isinstance(model, config.cell)
    assert (model.input_size, model.hidden_size) == (INPUTS, HIDDEN)
    for field in dataclasses.fields(config):
        if hasattr(model, field.name):
            assert getattr(model, field.name) == getattr(config, field.name)
    other = cell(cell_name, seed=1)
    assert not np.allclose(model.weight, other.weight)


@each_cell
def test_state_and_features_have_the_declared_shapes(cell_name):
    model = cell(cell_name)
    h = model.initial_state()
    assert h.shape == (model.components, HIDDEN)
    assert not h.any()
    new = STEP(model, h, X)
    assert (new.shape, new.dtype) == (h.shape, h.dtype)
    for features in (model.features(new), model.features(new, X)):
        assert (features.shape, features.dtype) == ((model.feature_size,), h.dtype)


@each_cell
def test_the_units_are_the_last_axis_of_every_array(cell_name):
    for leaf in jax.tree.leaves(eqx.filter(cell(cell_name), eqx.is_array)):
        assert leaf.shape[-1] == HIDDEN


@each_cell
def test_a_units_parameters_act_on_that_unit_alone(cell_name):
    """What the local rules rely on."""
    model = cell(cell_name)
    h = jax.random.normal(jax.random.key(3), (model.components, HIDDEN))
    trained = recurrent_parameters(model)
    one_unit = jax.tree.map(lambda leaf: leaf.at[..., 1].add(0.1), trained)
    micro_step = quick_jit(lambda cell: cell.micro_step(h, X))
    moved = micro_step(model) != micro_step(eqx.combine(one_unit, model))
    assert moved[:, 1].any()
    assert not moved[:, jnp.array([0, 2, 3])].any()


@each_cell
def test_features_depend_on_feedforward_parameters_alone(cell_name):
    """A parameter that a rule carries must have no immediate effect on the features."""
    model = cell(cell_name)
    h = jax.random.normal(jax.random.key(3), (model.components, HIDDEN))

    def total(trained):
        return eqx.combine(trained, model).features(h, X).sum()

    gradient = quick_jit(jax.grad(total))(parameters(model))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert bool(leaf.any()) == (path[0].name in model.feedforward), path


@each_cell
def test_vmap_over_cells_and_scan_over_time(cell_name):
    models = [cell(cell_name, seed) for seed in (0, 1)]
    arrays, static = eqx.partition(models, eqx.is_array)
    stacked = eqx.combine(jax.tree.map(lambda *a: jnp.stack(a), *arrays), static[0])
    xs = jax.random.normal(jax.random.key(0), (3, INPUTS))

    def run(model):
        return jax.lax.scan(lambda h, x: (model(h, x), None), model.initial_state(), xs)[0]

    run_both = quick_jit(lambda one, all: (run(one), eqx.filter_vmap(run)(all)))
    single, batch = run_both(models[0], stacked)
    np.testing.assert_allclose(single, batch[0], rtol=1e-5, atol=1e-6)
    for model, h in zip(models, batch, strict=True):
        expected = model.initial_state()
        for x in xs:
            expected = STEP(model, expected, x)
        np.testing.assert_allclose(h, expected, rtol=1e-5, atol=1e-6)


@each_cell
def test_gradient_reaches_every_parameter(cell_name):
    model = cell(cell_name)

    def loss(trained):
        cell = eqx.combine(trained, model)
        h = cell.initial_state()
        for _ in range(4):  # an NCP's motor units depend on the input from the third step on
            h = cell(h, X)
        return cell.features(h, X) @ jnp.arange(1.0, model.feature_size + 1)

    gradient = quick_jit(jax.grad(loss))(parameters(model))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert jnp.isfinite(leaf).all(), path
        units = np.asarray(leaf).reshape(-1, HIDDEN)
        assert units.any(axis=0).all(), f"{path}: a unit has no gradient"


@each_cell
def test_projection_is_idempotent_and_does_not_change_an_initial_cell(cell_name):
    model = cell(cell_name)
    assert eqx.tree_equal(model.project(), model)
    inadmissible = eqx.combine(jax.tree.map(lambda leaf: leaf - 20.0, parameters(model)), model)
    once = inadmissible.project()
    assert eqx.tree_equal(once.project(), once)
    assert jnp.isfinite(STEP(once, once.initial_state(), X)).all()


@each_cell
def test_diagonal_is_true_where_no_unit_reads_another(cell_name):
    model = cell(cell_name)
    h = jax.random.normal(jax.random.key(3), (model.components, HIDDEN))
    jacobian = np.asarray(quick_jit(jax.jacrev(lambda h: model(h, X)))(h))
    other = ~np.eye(HIDDEN, dtype=bool)
    assert model.diagonal == (not jacobian.transpose(1, 3, 0, 2)[other].any())


@each_cell
def test_the_leak_does_not_depend_on_state_or_input(cell_name):
    model = cell(cell_name)
    if not isinstance(model, LeakyCell):
        pytest.skip("no leak")
    first = jax.tree.map(lambda leaf: leaf[..., 0], model)

    @quick_jit
    def leak(own, h, x):
        return jax.jacrev(first.unit)(own, h, x)

    h = jax.random.normal(jax.random.key(3), (1, HIDDEN))
    np.testing.assert_allclose(
        leak(jnp.ones(1), h, X), leak(-2 * jnp.ones(1), 3 * h, -X), rtol=1e-6
    )


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Cell()


@pytest.mark.parametrize("dt", [0.0, -1.0, 0.3, 2.0])
def test_dt_is_one_over_a_whole_number(dt):
    with pytest.raises(ValueError, match=f"dt is {dt}: it must be 1/k"):
        CTRNN(2, 3, key=jax.random.key(0), dt=dt)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (functools.partial(LogUniformTimescales, 0.0, 10.0), "0 < shortest ≤ longest"),
        (functools.partial(LogUniformTimescales, 10.0, 1.0), "0 < shortest ≤ longest"),
        (functools.partial(LogUniformTimescales, 1.0, math.inf), "longest < ∞"),
        (functools.partial(UniformRing, -0.1, 1.0), "0 ≤ r_min < r_max ≤ 1"),
        (functools.partial(UniformRing, 0.5, 0.5), "0 ≤ r_min < r_max ≤ 1"),
        (functools.partial(UniformRing, 0.0, 1.1), "0 ≤ r_min < r_max ≤ 1"),
        *(
            (functools.partial(wiring, density), r"it must lie in \(0, 1\]")
            for wiring in (SparseRandom, NCP)
            for density in (0.0, 1.5, math.nan)
        ),
        *(
            (functools.partial(build, max_phase=phase), f"max_phase is {phase}: it must be pos")
            for build in (
                RTUConfig,
                NonlinearRTUConfig,
                LRUConfig,
                functools.partial(RTU, 2, 3, key=jax.random.key(0)),
                functools.partial(LRU, 2, 3, key=jax.random.key(0)),
            )
            for phase in (0.0, -1.0)
        ),
    ],
)
def test_a_setting_out_of_range_is_refused(build, says):
    with pytest.raises(ValueError, match=says):
        build()


def test_a_setting_at_the_end_of_its_range_is_accepted():
    UniformRing(0.0, 1.0), LogUniformTimescales(5.0, 5.0), SparseRandom(1.0), NCP(1.0)


def test_diagonal_and_sparse_masks():
    key, inputs, hidden = jax.random.key(0), 5, 16
    diagonal = np.asarray(Diagonal().mask(inputs, hidden, key))
    assert diagonal[:inputs].all()
    np.testing.assert_array_equal(diagonal[inputs:-1], np.eye(hidden))
    sparse = np.asarray(SparseRandom(0.3).mask(inputs, hidden, key))
    assert 0.2 < sparse[:-1].mean() < 0.4
    assert sparse[-1].all()
    none = np.asarray(SparseRandom(1e-9).mask(inputs, hidden, key))
    assert (none[:-1].sum(axis=0) == 1).all(), "every unit has one input"


def test_ncp_layers_drive_only_the_next():
    mask = np.asarray(NCP(1.0).mask(3, 16, jax.random.key(0)))
    inter, command, motor = slice(0, 8), slice(8, 12), slice(12, 16)
    assert mask[:3, inter].all()
    assert not mask[:3, command].any()
    assert not mask[:3, motor].any()
    between_units = mask[3:-1]
    expected = np.zeros((16, 16), bool)
    expected[inter, command] = expected[command, motor] = expected[command, command] = True
    np.testing.assert_array_equal(between_units, expected)


def test_an_lstm_obeys_its_equations():
    """Gate by gate in NumPy; the features are h, and units read each other's h alone."""
    model = LSTM(INPUTS, HIDDEN, key=jax.random.key(0))
    W_i, W_f, W_g, W_o = np.asarray(model.weight).transpose(0, 2, 1)
    np.testing.assert_array_equal(W_f[:, -1], 1.0)
    assert not any(W[:, -1].any() for W in (W_i, W_g, W_o))
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    h, c, state = np.zeros(HIDDEN), np.zeros(HIDDEN), model.initial_state()
    for x in ([0.5, -1.0], [2.0, 0.0], [-1.0, 1.0]):
        xi = np.concatenate([x, h, [1.0]])
        c = sigmoid(W_f @ xi) * c + sigmoid(W_i @ xi) * np.tanh(W_g @ xi)
        h = sigmoid(W_o @ xi) * np.tanh(c)
        state = STEP(model, state, jnp.array(x))
        np.testing.assert_allclose(state, np.stack([h, c]), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(model.features(state), state[0])


def test_the_last_axis_of_an_lrus_readout_and_skip_is_the_feature():
    model = LRU(input_size=2, hidden_size=HIDDEN, key=jax.random.key(0))
    h, x = jax.random.normal(jax.random.key(1), (2, HIDDEN)), jnp.ones(2)
    before = model.features(h, x)
    for name in ("readout", "skip"):
        value = getattr(model, name).at[..., 0].add(1.0)
        changed = eqx.tree_at(lambda m, name=name: getattr(m, name), model, value)
        np.testing.assert_array_equal(
            changed.features(h, x) != before, [True] + [False] * (HIDDEN - 1)
        )
