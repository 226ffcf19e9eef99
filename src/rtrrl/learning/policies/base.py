"""What a distribution over actions is."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from rtrrl.environments.spaces import Space
from rtrrl.types import Key, Scalar

Outputs = Float[Array, "outputs"]
Action = Shaped[Array, "..."]
Carried = Float[Array, "noise"]
"""What of a draw the next one goes on from."""


class Policy(eqx.Module):
    """A family of distributions π(a | y) with parameters y, the actor's outputs."""

    @property
    @abc.abstractmethod
    def action_space(self) -> Space:
        """The space that the policy is made for."""

    @property
    @abc.abstractmethod
    def output_size(self) -> int:
        """How many numbers parametrise the distribution."""

    @property
    def num_constants(self) -> int:
        """How many of the outputs, the last ones, are to depend on no feature."""
        return 0

    @property
    @abc.abstractmethod
    def action_size(self) -> int:
        """The length of `encode(action)`."""

    @abc.abstractmethod
    def sample(self, key: Key, y: Outputs) -> Action:
        """a ~ π(· | y). The draw carries no gradient."""

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
        """The action as the network reads it at the next step."""

    @abc.abstractmethod
    def admissible(self, action: Action) -> Action:
        """The action as the environment receives it."""

    @property
    @abc.abstractmethod
    def no_action(self) -> Action:
        """A placeholder of the action's type, for before the first one."""

    def exploring(self) -> "Policy":
        """This family, made to find things out in one long life: itself, where draws differ."""
        return self

    def score(self, y: Outputs, action: Action) -> Outputs:
        """∇_y log π(a | y)."""
        return jax.grad(self.log_probability)(y, jax.lax.stop_gradient(action))

    @property
    def no_noise(self) -> Carried:
        """What a first draw goes on from: nothing, unless draws depend on the ones before."""
        return jnp.zeros(0)

    def noise(self, y: Outputs, action: Action) -> Carried:
        """What of this draw the next one goes on from."""
        del y, action
        return self.no_noise

    def sample_after(self, key: Key, y: Outputs, noise: Carried) -> Action:
        """a ~ π(· | y, noise)."""
        del noise
        return self.sample(key, y)

    def score_after(self, y: Outputs, action: Action, noise: Carried) -> Outputs:
        """∇_y log π(a | y, noise)."""
        del noise
        return self.score(y, action)

    def entropy_gradient(self, y: Outputs) -> Outputs:
        """∇_y H(π(· | y))."""
        return jax.grad(self.entropy)(y)
