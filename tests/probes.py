"""Tiny environments that isolate one ability each, with values known exactly.

A learner that fails in one of them is broken in the way that the probe tests.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rtrrl.environments.base import Environment
from rtrrl.environments.memory.delayed_recall import DelayedRecall
from rtrrl.environments.spaces import Box, Discrete
from rtrrl.errors import RtrrlError
from rtrrl.types import Key, TimeStep


class ConstantValue(Environment):
    """Reward 1 and termination, whatever the action: the value is 1. Isolates the critic.

    The observation is always [1]. Every step terminates, so v = 1 for every γ; a critic that
    bootstraps past a termination tends to 1/(1 − γ) instead.
    """

    @property
    def observation_space(self) -> Box:
        return Box.of(1, 1, (1,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(2)

    def reset(self, key: Key) -> tuple[None, Float[Array, "1"]]:
        return None, jnp.ones(1, jnp.float32)

    def step(self, key: Key, state: None, action: Int[Array, ""]) -> tuple[None, TimeStep]:
        return state, _terminal(1.0)


class OneStepReward(Environment):
    """Reward 1 for naming the context. Isolates the actor, and the path from the observation to it.

    The observation is one of `contexts` one-hots. Reward 1 if the action is its index, else 0, and
    every step terminates: value 1 under the best policy, 1/contexts under the uniform one and under
    any that ignores the observation.
    """

    contexts: int = eqx.field(static=True, default=2)

    @property
    def observation_space(self) -> Box:
        return Box.of(0, 1, (self.contexts,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(self.contexts)

    def reset(self, key: Key) -> tuple[Int[Array, ""], Float[Array, " {self.contexts}"]]:
        context = jax.random.randint(key, (), 0, self.contexts, jnp.int32)
        return context, jax.nn.one_hot(context, self.contexts, dtype=jnp.float32)

    def step(
        self, key: Key, state: Int[Array, ""], action: Int[Array, ""]
    ) -> tuple[Int[Array, ""], TimeStep]:
        return state, _terminal(action == state, jnp.zeros(self.contexts, jnp.float32))


class TruncatedValue(Environment):
    """Reward 1 for ever, truncated every `steps` steps. Isolates the bootstrap at a truncation.

    The observation is always [1] and discount is 1 throughout, so the value is 1/(1 − γ)
    (`value`) at every time and for every λ. A learner that treats truncation as termination finds
    another value: without memory and with λ = 0, the fixed point of v = 1 + γ(1 − 1/steps)v
    (`value_if_terminal`); if it can tell the time, (1 − γ^(steps − k))/(1 − γ) at step k.

    >>> environment = TruncatedValue(steps=4)
    >>> round(environment.value(0.9), 6), round(environment.value_if_terminal(0.9), 6)
    (10.0, 3.076923)
    """

    steps: int = eqx.field(static=True, default=4)

    def __check_init__(self):
        if self.steps < 1:
            raise RtrrlError(f"an episode has at least 1 step, not {self.steps}")

    @property
    def observation_space(self) -> Box:
        return Box.of(1, 1, (1,))

    @property
    def action_space(self) -> Discrete:
        return Discrete(2)

    def value(self, gamma: float) -> float:
        """The value that a critic must learn: 1/(1 − γ)."""
        return 1 / (1 - gamma)

    def value_if_terminal(self, gamma: float) -> float:
        """What a memoryless critic learns by TD(0) if it treats truncation as termination."""
        return 1 / (1 - gamma * (1 - 1 / self.steps))

    def reset(self, key: Key) -> tuple[Int[Array, ""], Float[Array, "1"]]:
        return jnp.zeros((), jnp.int32), jnp.ones(1, jnp.float32)

    def step(
        self, key: Key, state: Int[Array, ""], action: Int[Array, ""]
    ) -> tuple[Int[Array, ""], TimeStep]:
        one = jnp.ones((), jnp.float32)
        return state + 1, TimeStep(jnp.ones(1, jnp.float32), one, one, last=state + 1 >= self.steps)


class ContinuousBandit(Environment):
    """Reward −(a − target)². Isolates the gradient of a Gaussian's mean.

    One action in [−1, 1], the observation is always [1], every step terminates. A Gaussian policy
    (unclipped) has value −(μ − target)² − σ²: largest, −σ², at μ = target, so a mean that stays
    at its initial value (0, value −target² − σ²) does not learn.
    """

    target: float = eqx.field(static=True, default=0.5)

    @property
    def observation_space(self) -> Box:
        return Box.of(1, 1, (1,))

    @property
    def action_space(self) -> Box:
        return Box.of(-1, 1, (1,))

    def reset(self, key: Key) -> tuple[None, Float[Array, "1"]]:
        return None, jnp.ones(1, jnp.float32)

    def step(self, key: Key, state: None, action: Float[Array, "1"]) -> tuple[None, TimeStep]:
        return state, _terminal(-((action[0] - self.target) ** 2))


def five_step_recall() -> DelayedRecall:
    """Two cues, a delay of five steps, the query: value 1 with memory, 0 without."""
    return DelayedRecall(delay=5, cues=2)


PROBES: tuple[Environment, ...] = (
    ConstantValue(),
    OneStepReward(),
    five_step_recall(),
    TruncatedValue(),
    ContinuousBandit(),
)


def _terminal(reward, observation: Float[Array, " observed"] | None = None) -> TimeStep:
    return TimeStep(
        observation=jnp.ones(1, jnp.float32) if observation is None else observation,
        reward=jnp.asarray(reward, jnp.float32),
        discount=jnp.zeros((), jnp.float32),
        last=jnp.ones((), bool),
    )
