"""PPO's gradient and advantages against their definitions, written out without its helpers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.agents import PPO
from rtrrl.agents.rollout_buffer import Sequences, Transition
from rtrrl.cells import CELLS
from rtrrl.learning.policies import Categorical, Gaussian
from rtrrl.learning.returns import generalized_advantages, lambda_returns
from rtrrl.types import parameters
from tests.members import MEMBERS, assert_same, quick_jit

pytestmark = pytest.mark.usefixtures("x64")
POLICIES = {"discrete": Categorical(3), "continuous": Gaussian((-1.0, -2.0), (1.0, 3.0))}
CASES = [
    *((cell, list(POLICIES)[i % 2]) for i, cell in enumerate(CELLS)),
    ("ctrnn-ncp-dt0.25", "discrete"),
]
SEQUENCES, TIME = 2, 4


def random_minibatch(agent: PPO, cell) -> Sequences:
    """Random numbers, with first steps of episodes within sequences and at the start of one."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=(SEQUENCES, *shape)))  # noqa: E731
    is_first = np.zeros((SEQUENCES, TIME), bool)
    is_first[0, 2] = is_first[1, 0] = is_first[1, 3] = True
    if isinstance(agent.policy, Categorical):
        action = jnp.asarray(rng.integers(0, 3, (SEQUENCES, TIME)))
    else:
        action = draw(TIME, 2)
    return Sequences(
        h=draw(cell.components, cell.hidden_size),
        transitions=Transition(
            x=draw(TIME, cell.input_size),
            is_first=jnp.asarray(is_first),
            action=action,
            log_probability=-1.0 + 0.3 * draw(TIME),
            value=draw(TIME),
            reward=draw(TIME),
            discount=jnp.full((SEQUENCES, TIME), 0.9),
            next_value=draw(TIME),
        ),
        advantage=draw(TIME),
        target=draw(TIME),
    )


def unrolled_loss(agent: PPO, params, minibatch: Sequences):
    """Step by step, one sequence after the other; the clipped loss by cases."""
    W_A, W_C, policy = params.actor.weight, params.critic.weight, agent.policy
    steps, advantage = minibatch.transitions, np.asarray(minibatch.advantage)
    is_first = np.asarray(steps.is_first)

    @jax.jit
    def step(params, h, x):
        h = params.cell(h, x)
        return h, jnp.append(params.cell.features(h, x), 1.0)

    total, clipped = 0.0, 0
    for n in range(SEQUENCES):
        h = minibatch.h[n]
        for t in range(TIME):
            if is_first[n, t]:
                h = jnp.zeros_like(h)
            h, phi = step(params, h, steps.x[n, t])
            y, v = W_A @ phi, W_C[0] @ phi
            log_ratio = policy.log_probability(y, steps.action[n, t])
            ratio = jnp.exp(log_ratio - steps.log_probability[n, t])
            A = (advantage[n, t] - advantage.mean()) / (advantage.std() + 0.1)
            bound = 1.2 if A > 0 else 0.8
            beyond = ratio > bound if A > 0 else ratio < bound
            clipped = clipped + beyond
            gain = jnp.where(beyond, bound * A, ratio * A)
            total += gain - 0.5 * (v - minibatch.target[n, t]) ** 2 + 0.01 * policy.entropy(y)
    return -total / (SEQUENCES * TIME), clipped


@pytest.mark.parametrize(("cell_name", "kind"), CASES, ids=["-".join(case) for case in CASES])
def test_gradient_is_that_of_the_loss_unrolled_by_hand(cell_name, kind):
    """Through time within a sequence from its stored state, not across the start of an episode."""
    agent = PPO(task="none", observation_size=2, policy=POLICIES[kind], cell=MEMBERS[cell_name])
    params = agent.init(jax.random.key(0)).params
    given = random_minibatch(agent, params.cell)

    def ours(learned):
        return agent.loss(eqx.combine(learned, params), given)

    def by_hand(learned):
        return unrolled_loss(agent, eqx.combine(learned, params), given)

    @quick_jit
    def both(learned):
        own = jax.value_and_grad(ours)(learned)
        return own, jax.value_and_grad(by_hand, has_aux=True)(learned)

    (loss, gradient), ((expected, clipped), expected_gradient) = both(parameters(params))
    assert loss == pytest.approx(float(expected), rel=1e-10)
    assert_same(gradient, expected_gradient)
    assert 0 < clipped < SEQUENCES * TIME, "some ratios are clipped, and not all"


STEPS = 9
LAST = np.array([0, 0, 0, 1, 0, 0, 1, 0, 0], bool)  # then the edge of the rollout
DISCOUNT = np.where(np.arange(STEPS) == 3, 0.0, 0.9)  # a termination, then a truncation


@pytest.mark.parametrize("lambda_", [0.0, 0.7, 1.0])
def test_generalized_advantage_is_its_closed_form(lambda_):
    """Aₜ = Σₖ (γλ)ᵏ δₜ₊ₖ up to the end of the episode or of the rollout."""
    rng = np.random.default_rng(1)
    reward, v, v_next = rng.normal(size=(3, STEPS))
    # within an episode a step's next value is the value that the next step starts from
    v_next[:-1] = np.where(LAST[:-1], v_next[:-1], v[1:])
    advantage = generalized_advantages(
        *map(jnp.asarray, (reward, DISCOUNT, v_next, v, LAST)), lambda_
    )
    delta = reward + DISCOUNT * v_next - v
    ends = [4, 4, 4, 4, 7, 7, 7, 9, 9]
    closed = [
        sum((0.9 * lambda_) ** k * delta[t + k] for k in range(ends[t] - t)) for t in range(STEPS)
    ]
    np.testing.assert_allclose(advantage, closed, rtol=1e-12)
    for first, end in [(0, 4), (4, 7), (7, 9)]:
        episode = slice(first, end)
        returns = lambda_returns(
            *map(jnp.asarray, (reward[episode], DISCOUNT[episode], v_next[episode])), lambda_
        )
        np.testing.assert_allclose(advantage[episode] + v[episode], returns, rtol=1e-12)
