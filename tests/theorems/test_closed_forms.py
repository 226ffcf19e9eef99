"""The influence against hand-derived sensitivities, in NumPy."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.cells import (
    CTRNN,
    LRU,
    RTU,
    LRUConfig,
    NonlinearRTU,
    RTUConfig,
    SaturatingRTU,
)
from rtrrl.cells.eigenvalues import MAX_MODULUS
from rtrrl.gradients import RFLO, DiagonalRTRL
from rtrrl.types import parameters
from tests.members import quick_jit

pytestmark = pytest.mark.usefixtures("x64")
STEPS, INPUTS, HIDDEN = 6, 2, 3


def pulled_back(cell, rule, xs, h_bar):
    """The rule's pullback of h̄ after every step."""

    @quick_jit
    def step(influence, h, x):
        h, influence = rule.step(cell, influence, h, x)
        return h, influence, rule.pullback(cell, influence, h_bar)

    influence, h, gradients = rule.init(cell), cell.initial_state(), []
    for x in xs:
        h, influence, gradient = step(influence, h, x)
        gradients.append(gradient)
    return h, gradients


def sequence(components):
    keys = jax.random.split(jax.random.key(3))
    xs = jax.random.normal(keys[0], (STEPS, INPUTS))
    return np.asarray(xs), np.asarray(jax.random.normal(keys[1], (components, HIDDEN)))


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_rflo_obeys_its_closed_form(dt):
    """J_W' = (1 − dt/τ) J_W + (dt/τ) φ' ξᵀ,  J_τ' = (1 − dt/τ) J_τ + (dt/τ²)(h − φ)."""
    cell = CTRNN(INPUTS, HIDDEN, key=jax.random.key(0), dt=dt)
    xs, h_bar = sequence(1)
    h_end, gradients = pulled_back(cell, RFLO(), xs, jnp.asarray(h_bar))
    W, tau = np.asarray(cell.weight).T, np.asarray(cell.tau)
    h, J_W, J_tau = np.zeros(HIDDEN), np.zeros_like(W), np.zeros(HIDDEN)
    for x, gradient in zip(xs, gradients, strict=True):
        for _ in range(round(1 / dt)):
            xi = np.concatenate([x, h, [1.0]])
            phi = np.tanh(W @ xi)
            J_W = (1 - dt / tau)[:, None] * J_W + (dt / tau * (1 - phi**2))[:, None] * xi
            J_tau = (1 - dt / tau) * J_tau + dt / tau**2 * (h - phi)
            h = h + dt / tau * (phi - h)
        np.testing.assert_allclose(gradient.weight, (h_bar.T * J_W).T, rtol=1e-11)
        np.testing.assert_allclose(gradient.tau, h_bar[0] * J_tau, rtol=1e-11)
    np.testing.assert_allclose(h_end[0], h, rtol=1e-12)


def complex_sensitivities(cell, xs):
    """h and ∂h/∂(ν, ϑ, B_re, B_im, γ) after every step, complex, one unit a row."""
    r, phase = np.exp(-np.exp(cell.nu)), np.exp(cell.theta_log)
    Lambda = (r * np.exp(1j * phase))[:, None]
    B = np.asarray(cell.weight[0] + 1j * cell.weight[1]).T
    linear = not isinstance(cell, NonlinearRTU)
    free = isinstance(cell, LRU)
    g = np.exp(cell.gamma_log) if free else np.sqrt(1 - r**2)
    dg_dnu = 0 * r if free else np.exp(cell.nu) * r**2 / g
    gain = cell.gain if isinstance(cell, SaturatingRTU) else None
    h = np.zeros((HIDDEN, 1), complex)
    S = dict.fromkeys(("nu", "theta", "B_re", "B_im", "gamma"), 0j)
    for x in xs:
        u, slope = (B @ x)[:, None], (1.0, 1.0)
        if gain is not None:  # tanh of each component
            u = np.tanh(gain * u.real) + 1j * np.tanh(gain * u.imag)
            slope = gain * (1 - u.real**2), gain * (1 - u.imag**2)
        S = {
            "nu": Lambda * S["nu"] - np.exp(cell.nu)[:, None] * Lambda * h + dg_dnu[:, None] * u,
            "theta": Lambda * S["theta"] + 1j * phase[:, None] * Lambda * h,
            "B_re": Lambda * S["B_re"] + g[:, None] * slope[0] * x,
            "B_im": Lambda * S["B_im"] + 1j * g[:, None] * slope[1] * x,
            "gamma": Lambda * S["gamma"] + g[:, None] * u,
        }
        h = Lambda * h + g[:, None] * u
        if not linear:  # tanh of each component, whose slope multiplies each sensitivity
            h = np.tanh(h.real) + 1j * np.tanh(h.imag)
            slope = (1 - h.real**2), (1 - h.imag**2)
            S = {name: slope[0] * s.real + 1j * slope[1] * s.imag for name, s in S.items()}
        yield h, S


@pytest.mark.parametrize("kind", [RTU, NonlinearRTU, SaturatingRTU, LRU])
def test_complex_cells_obey_their_recursion_and_finite_differences(kind):
    cell = kind(INPUTS, HIDDEN, key=jax.random.key(1))
    xs, h_bar = sequence(2)
    h_end, gradients = pulled_back(cell, DiagonalRTRL(), xs, jnp.asarray(h_bar))
    real, imaginary = h_bar.T[:, :1], h_bar.T[:, 1:]
    sensitivities = list(complex_sensitivities(cell, xs))
    for (_, S), gradient in zip(sensitivities, gradients, strict=True):
        bar = {name: real * s.real + imaginary * s.imag for name, s in S.items()}
        np.testing.assert_allclose(gradient.nu, bar["nu"][:, 0], rtol=1e-10)
        np.testing.assert_allclose(gradient.theta_log, bar["theta"][:, 0], rtol=1e-10)
        np.testing.assert_allclose(gradient.weight[0], bar["B_re"].T, rtol=1e-10)
        np.testing.assert_allclose(gradient.weight[1], bar["B_im"].T, rtol=1e-10)
        if kind is LRU:
            np.testing.assert_allclose(gradient.gamma_log, bar["gamma"][:, 0], rtol=1e-10)
    end, _ = sensitivities[-1]
    np.testing.assert_allclose(h_end[0] + 1j * h_end[1], end[:, 0], rtol=1e-12)

    @quick_jit
    def objective(cell):
        h = cell.initial_state()
        for x in xs:
            h = cell(h, jnp.asarray(x))
        return jnp.vdot(h_bar, h)

    for field in dataclasses.fields(parameters(gradients[-1])):
        expected = getattr(gradients[-1], field.name)
        if not eqx.is_inexact_array(expected):
            continue
        value = getattr(cell, field.name)
        for index in np.ndindex(value.shape):

            def at(step, index=index, name=field.name, value=value):
                return eqx.tree_at(lambda c: getattr(c, name), cell, value.at[index].add(step))

            slope = (objective(at(1e-5)) - objective(at(-1e-5))) / 2e-5
            assert float(expected[index]) == pytest.approx(float(slope), rel=1e-6, abs=1e-9)


def test_projection_keeps_parameters_admissible():
    leaky = CTRNN(INPUTS, HIDDEN, key=jax.random.key(0))
    fast = eqx.tree_at(lambda c: c.tau, leaky, jnp.array([-3.0, 0.5, 2.0]))
    np.testing.assert_array_equal(fast.project().tau, [1.0, 1.0, 2.0])
    for kind in (RTU, NonlinearRTU, SaturatingRTU, LRU):
        cell = kind(INPUTS, HIDDEN, key=jax.random.key(0))
        slow = eqx.tree_at(lambda c: c.nu, cell, jnp.array([-50.0, -10.0, 0.3]))
        eigenvalues = np.exp(-np.exp(slow.project().nu))
        np.testing.assert_allclose(eigenvalues[:2], MAX_MODULUS, rtol=1e-12)
        assert eigenvalues[0] < 1
        assert slow.project().nu[2] == 0.3


@pytest.mark.parametrize("kind", [RTU, NonlinearRTU, SaturatingRTU, LRU])
def test_the_lr_scale_scales_the_gradient_of_the_eigenvalues_alone(kind):
    """From one key: the same Λ for every scale c, and c times the gradient of its parameters."""
    plain, scaled = (
        kind(INPUTS, HIDDEN, key=jax.random.key(0), eigenvalue_lr_scale=c) for c in (1.0, 0.1)
    )
    rule, h_bar = DiagonalRTRL(), jnp.ones((2, HIDDEN))
    gradients = []
    for cell in (plain, scaled):
        h, influence = cell.initial_state(), rule.init(cell)
        for x in jax.random.normal(jax.random.key(1), (5, INPUTS)):
            h, influence = rule.step(cell, influence, h, x)
        gradients.append((h, rule.pullback(cell, influence, h_bar)))
    (h, gradient), (h_scaled, scaled_gradient) = gradients
    np.testing.assert_allclose(h_scaled, h, rtol=1e-12)
    np.testing.assert_allclose(scaled_gradient.nu, 0.1 * gradient.nu, rtol=1e-11)
    np.testing.assert_allclose(scaled_gradient.theta_log, 0.1 * gradient.theta_log, rtol=1e-11)
    np.testing.assert_allclose(scaled_gradient.weight, gradient.weight, rtol=1e-12)
    endless = eqx.tree_at(lambda cell: cell.nu, scaled, jnp.full(HIDDEN, -500.0)).project()
    np.testing.assert_allclose(np.exp(-np.exp(0.1 * endless.nu)), MAX_MODULUS, rtol=1e-12)


@pytest.mark.parametrize("kind", [RTUConfig, LRUConfig])
def test_the_lr_scale_is_positive(kind):
    with pytest.raises(ValueError, match=r"eigenvalue_lr_scale is 0\.0: it must be positive"):
        kind(eigenvalue_lr_scale=0.0)
