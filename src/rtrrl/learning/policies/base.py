"""The protocol of policies: families of distributions over actions."""

import abc

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from rtrrl.environments.spaces import Space
from rtrrl.types import Key, Scalar
from rtrrl.utils.validation import Settings

Outputs = Float[Array, "outputs"]
Action = Shaped[Array, "..."]
Noise = Float[Array, "noise"]
"""The standardised noise of an action, on which the next action may depend."""


class Policy(Settings):
    """A family of distributions π(a | y) with parameters y, the actor's outputs."""

    @property
    @abc.abstractmethod
    def action_space(self) -> Space:
        """The action space of the policy."""

    @property
    @abc.abstractmethod
    def output_size(self) -> int:
        """The number of parameters of the distribution, the length of y."""

    @property
    def num_constants(self) -> int:
        """The number of outputs, the last ones, that depend on no feature."""
        return 0

    @property
    @abc.abstractmethod
    def action_size(self) -> int:
        """The length of `encode(action)`."""

    @abc.abstractmethod
    def sample(self, key: Key, y: Outputs) -> Action:
        """a ~ π(· | y); no gradient flows through the sample."""

    @abc.abstractmethod
    def mode(self, y: Outputs) -> Action:
        """The most probable action."""

    @abc.abstractmethod
    def log_probability(self, y: Outputs, action: Action) -> Scalar:
        """log π(a | y)."""

    @abc.abstractmethod
    def entropy(self, y: Outputs) -> Scalar:
        """H(π(· | y)) in nats."""

    @abc.abstractmethod
    def encode(self, action: Action) -> Float[Array, "action_size"]:
        """The action as an input of the cell at the next step."""

    def admissible(self, action: Action) -> Action:
        """The action as it is passed to the environment."""
        return action

    @property
    @abc.abstractmethod
    def no_action(self) -> Action:
        """A placeholder of the shape and type of an action, before the first one."""

    def with_exploration(self) -> "Policy":
        """This policy with settings that keep it exploring, if it has any."""
        return self

    def score(self, y: Outputs, action: Action) -> Outputs:
        """∇_y log π(a | y)."""
        return jax.grad(self.log_probability)(y, jax.lax.stop_gradient(action))

    @property
    def no_noise(self) -> Noise:
        """The noise before an episode's first action; empty where actions are independent."""
        return jnp.zeros(0)

    def noise(self, y: Outputs, action: Action) -> Noise:
        """The noise of an action, on which the next one depends."""
        return self.no_noise

    def sample_after(self, key: Key, y: Outputs, noise: Noise) -> Action:
        """a ~ π(· | y, noise), `noise` that of the previous action."""
        return self.sample(key, y)

    def score_after(self, y: Outputs, action: Action, noise: Noise) -> Outputs:
        """∇_y log π(a | y, noise), `noise` that of the previous action."""
        return self.score(y, action)

    def entropy_gradient(self, y: Outputs) -> Outputs:
        """∇_y H(π(· | y))."""
        return jax.grad(self.entropy)(y)
