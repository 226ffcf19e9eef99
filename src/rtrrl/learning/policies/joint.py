"""Policies over integers and real numbers at once."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl.environments.spaces import Product
from rtrrl.learning.policies.base import Noise, Outputs, Policy
from rtrrl.learning.policies.categorical import Factored
from rtrrl.learning.policies.gaussian import Gaussian
from rtrrl.types import Key, Scalar

Vector = Float[Array, "entries"]


class Joint(Policy):
    """π(a | y) = π_c(c | y_c) π_n(x | y_n): integers c and real numbers x, independent given y.

    The action is one vector of floats, a = [c, x], and y = [y_c, y_n].
    """

    choices: Factored
    """π_c, of the integers."""
    numbers: Gaussian
    """π_n, of the real numbers."""

    def with_exploration(self) -> "Joint":
        return Joint(self.choices.with_exploration(), self.numbers.with_exploration())

    @property
    def action_space(self) -> Product:
        return Product(self.choices.action_space, self.numbers.action_space)

    @property
    def output_size(self) -> int:
        return self.choices.output_size + self.numbers.output_size

    @property
    def num_constants(self) -> int:
        return self.numbers.num_constants  # the last outputs of both

    @property
    def action_size(self) -> int:
        return self.choices.action_size + self.numbers.action_size

    def _outputs(self, y: Outputs) -> tuple[Float[Array, "choices"], Float[Array, "numbers"]]:
        return y[: self.choices.output_size], y[self.choices.output_size :]

    def sample(self, key: Key, y: Outputs) -> Vector:
        (key_c, key_n), (y_c, y_n) = jax.random.split(key), self._outputs(y)
        return self.action_space.join(
            self.choices.sample(key_c, y_c), self.numbers.sample(key_n, y_n)
        )

    def mode(self, y: Outputs) -> Vector:
        y_c, y_n = self._outputs(y)
        return self.action_space.join(self.choices.mode(y_c), self.numbers.mode(y_n))

    def log_probability(self, y: Outputs, action: Vector) -> Scalar:
        """log π_c + log π_n."""
        (y_c, y_n), (c, x) = self._outputs(y), self.action_space.split(action)
        return self.choices.log_probability(y_c, c) + self.numbers.log_probability(y_n, x)

    def entropy(self, y: Outputs) -> Scalar:
        """H(π_c) + H(π_n)."""
        y_c, y_n = self._outputs(y)
        return self.choices.entropy(y_c) + self.numbers.entropy(y_n)

    def encode(self, action: Vector) -> Float[Array, "action_size"]:
        """Those of the integers and the real numbers, concatenated."""
        c, x = self.action_space.split(action)
        return jnp.concatenate([self.choices.encode(c), self.numbers.encode(x)])

    def admissible(self, action: Vector) -> Vector:
        c, x = self.action_space.split(action)
        return self.action_space.join(c, self.numbers.admissible(x))

    @property
    def no_action(self) -> Vector:
        return self.action_space.join(self.choices.no_action, self.numbers.no_action)

    def score(self, y: Outputs, action: Vector) -> Outputs:
        (y_c, y_n), (c, x) = self._outputs(y), self.action_space.split(action)
        return jnp.concatenate([self.choices.score(y_c, c), self.numbers.score(y_n, x)])

    @property
    def no_noise(self) -> Noise:
        return self.numbers.no_noise

    def noise(self, y: Outputs, action: Vector) -> Noise:
        """That of the real numbers."""
        _, x = self.action_space.split(action)
        return self.numbers.noise(self._outputs(y)[1], x)

    def sample_after(self, key: Key, y: Outputs, noise: Noise) -> Vector:
        (key_c, key_n), (y_c, y_n) = jax.random.split(key), self._outputs(y)
        x = self.numbers.sample_after(key_n, y_n, noise)
        return self.action_space.join(self.choices.sample(key_c, y_c), x)

    def score_after(self, y: Outputs, action: Vector, noise: Noise) -> Outputs:
        (y_c, y_n), (c, x) = self._outputs(y), self.action_space.split(action)
        score = self.numbers.score_after(y_n, x, noise)
        return jnp.concatenate([self.choices.score(y_c, c), score])
