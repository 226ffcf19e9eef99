"""The same work as `floor.c` as plain, hand-written JAX: a few flat arrays, no abstractions.

One learner is (C, R, P, E_C, E_R, M_C, M_R, V_C, V_R, h, y, v, t): the cell's parameters C are
[weight, τ] by columns, transposed; R holds the actor's rows and then the critic's.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from rtrrl.agents import RTRRL, RTRRLState
from rtrrl.updates import Adam

Learner = tuple[Array, ...]


def learner(state: RTRRLState) -> tuple[Learner, Array]:
    """A new learner and its fixed feedback matrix, from a newborn agent."""
    cell, actor, critic = state.parameters.cell, state.parameters.actor, state.parameters.critic
    C = jnp.concatenate([cell.weight, cell.tau[None]])
    P = jnp.concatenate([state.influence.weight[0], state.influence.tau])
    R = jnp.concatenate([actor.weight, critic.weight])
    h, zero = state.now.h[0], jnp.zeros(())
    y = R[:-1, :-1] @ h + R[:-1, -1]
    rest = [jnp.zeros_like(like) for like in (C, R, C, R, C, R)]
    return (C, R, P, *rest, h, y, state.value, zero), jnp.concatenate(
        [actor.feedback.value, critic.feedback.value]
    )


def recur(C: Array, P: Array, h: Array, xi: Array) -> tuple[Array, Array]:
    """h' and P' of a CT-RNN under RFLO."""
    rate, ahead = 1 / C[-1], jnp.tanh(jnp.sum(C[:-1] * xi[:, None], axis=0))
    immediate = [rate * (1 - ahead**2) * xi[:, None], (-(rate**2) * (ahead - h))[None]]
    return h + rate * (ahead - h), (1 - rate) * P + jnp.concatenate(immediate)


def step(
    agent: RTRRL, feedback: Array, s: Learner, o: Array, a: Array, r: Array, d: Array
) -> tuple[Learner, Array, Array]:
    """One step of learning, δ and the entropy."""
    C, R, P, E_C, E_R, M_C, M_R, V_C, V_R, h, y, v, t = s
    adam, n, one = agent.optimizer, len(y), jnp.ones(1)
    assert isinstance(adam, Adam)
    log_p = jax.nn.log_softmax(y)
    p, taken = jnp.exp(log_p), (jnp.arange(n) == a).astype(jnp.float32)
    entropy = -jnp.sum(p * log_p)
    score = jnp.concatenate([taken - p, one])
    calm = jnp.concatenate([-agent.entropy_rate * p * (log_p + entropy), 0 * one])
    weight = jnp.array([agent.actor_influence] * n + [1.0])
    told = jnp.sum((weight * score)[:, None] * feedback, axis=0)
    calmed = jnp.sum(calm[:, None] * feedback, axis=0)

    f, xi = jnp.concatenate([h, one]), jnp.concatenate([o, taken, r[None], h, one])
    decay_C = agent.discount * agent.trace_decay_recurrent
    decay_R = [agent.discount * agent.trace_decay_actor] * n
    decay_R = jnp.array([*decay_R, agent.discount * agent.trace_decay_critic])
    E_C = decay_C * E_C + told * P
    E_R = decay_R[:, None] * E_R + score[:, None] * f
    bonus_C, bonus_R = calmed * P, calm[:, None] * f

    h, P = recur(C, P, h, xi)
    v_next = jnp.sum(R[-1, :-1] * h) + R[-1, -1]
    delta = r + agent.discount * d * v_next - v

    u_C, u_R = delta * E_C + bonus_C, delta * E_R + bonus_R
    norm = jnp.sqrt(jnp.sum(u_C**2) + jnp.sum(u_R**2))
    scale, t = adam.clip / jnp.maximum(adam.clip, norm), t + 1
    fix_M, fix_V = 1 / (1 - adam.b1**t), 1 / (1 - adam.b2**t)

    def update(theta: Array, M: Array, V: Array, u: Array, rate: Any) -> tuple[Array, ...]:
        M = adam.b1 * M + (1 - adam.b1) * (scale * u)
        V = adam.b2 * V + (1 - adam.b2) * (scale * u) ** 2
        return theta + rate * fix_M * M / (jnp.sqrt(fix_V * V) + adam.epsilon), M, V

    multiple = jnp.array([adam.actor_multiple] * n + [1.0])[:, None]
    C, M_C, V_C = update(C, M_C, V_C, u_C, adam.learning_rate * adam.recurrent_multiple)
    R, M_R, V_R = update(R, M_R, V_R, u_R, adam.learning_rate * multiple)
    is_tau = jnp.arange(len(C))[:, None] == len(C) - 1
    C = jnp.where(is_tau, jnp.maximum(C, 1), C)
    y = jnp.sum(R[:-1, :-1] * h, axis=1) + R[:-1, -1]
    return (C, R, P, E_C, E_R, M_C, M_R, V_C, V_R, h, y, v_next, t), delta, entropy


def replay(agent: RTRRL, feedback: Array, s: Learner, steps: Array, tape: Any) -> Any:
    """`steps` steps along the tape, with the sums of δ² and of the entropy."""
    tape = tuple(map(jnp.asarray, tape))

    def turn(i: Array, carry: Any) -> Any:
        s, squares, entropies = carry
        o, a, r, d = (column[i % len(column)] for column in tape)
        s, delta, entropy = step(agent, feedback, s, o, a, r, d)
        return s, squares + delta**2, entropies + entropy

    return jax.lax.fori_loop(0, steps, turn, (s, jnp.zeros(()), jnp.zeros(())))


def cartpole(agent: RTRRL, feedback: Array, s: Learner, steps: Array, noise: Array) -> Any:
    """`steps` steps of CartPole-pos; `noise` [n, 5] holds uniform numbers drawn beforehand."""

    def act(y: Array, u: Array) -> Array:
        return (u > jax.nn.softmax(y)[0]).astype(jnp.int32)

    def begin(carry: Any, u: Array) -> Any:
        s, _, _, _, *tally = carry
        C, R, P, E_C, E_R, *moments, h, _, _, t = s
        world = 0.1 * u[:4] - 0.05
        xi = jnp.concatenate([world[::2], jnp.zeros(3 + len(h)), jnp.ones(1)])
        h, P = recur(C, 0 * P, 0 * h, xi)
        out = R[:, :-1] @ h + R[:, -1]
        s = (C, R, P, 0 * E_C, 0 * E_R, *moments, h, out[:-1], out[-1], t)
        return s, world, jnp.zeros((), jnp.int32), act(out[:-1], u[4]), *tally

    def turn(i: Array, carry: Any) -> Any:
        s, world, time, a, squares, entropies = carry
        u = noise[i % len(noise)]
        world, failed = _cartpole(world, a)
        d = 1 - failed.astype(jnp.float32)
        s, delta, entropy = step(agent, feedback, s, world[::2], a, jnp.ones(()), d)
        carry = s, world, time + 1, act(s[10], u[4]), squares + delta**2, entropies + entropy
        over = failed | (time + 1 >= 500)
        return jax.lax.cond(over, lambda carry: begin(carry, u), lambda carry: carry, carry)

    zero = jnp.zeros(())
    carry = begin((s, None, None, None, zero, zero), noise[0])
    return jax.lax.fori_loop(0, steps, turn, carry)


def _cartpole(world: Array, a: Array) -> tuple[Array, Array]:
    """Barto, Sutton & Anderson 1983, with Euler steps of 0.02 s."""
    _, dx, angle, spin = world
    cos, sin, force = jnp.cos(angle), jnp.sin(angle), jnp.where(a == 1, 10.0, -10.0)
    push = (force + 0.05 * spin**2 * sin) / 1.1
    twist = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    change = jnp.stack([dx, push - 0.05 * twist * cos / 1.1, spin, twist])
    world = world + 0.02 * change
    failed = (jnp.abs(world[0]) > 2.4) | (jnp.abs(world[2]) > 12 * 2 * jnp.pi / 360)
    return world, failed
