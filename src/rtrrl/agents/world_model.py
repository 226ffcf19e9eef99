"""A learnt model of the world: what the features of a recurrent state say an action will bring."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from rtrrl.cells import Cell
from rtrrl.cells.base import Input, State
from rtrrl.learning.readouts import Features, Readout
from rtrrl.types import Scalar

Choice = Int[Array, ""]
"""A discrete action."""


class Prediction(eqx.Module):
    """What an action brings, foreseen or seen."""

    observation: Float[Array, "observations"]
    reward: Scalar
    discount: Scalar
    """0 at a true terminal and 1 otherwise; foreseen, the probability of going on."""


class PredictionHeads(eqx.Module):
    """[Δo; r; ℓ] = Wₐ [f; 1] for each action a, and the episode goes on with probability σ(ℓ).

    With a matrix for each action, what it brings may depend on action and memory together, as
    a recall task's reward does; a linear function of the two side by side could not say that.
    """

    weight: Float[Array, "actions outputs columns"]

    @classmethod
    def newborn(cls, num_actions: int, observations: int, features: int) -> "Heads":
        """Zeros: nothing changes, nothing is earned, and the end is as likely as not."""
        return cls(jnp.zeros((num_actions, observations + 2, features + 1)))

    @property
    def num_actions(self) -> int:
        """How many actions there are to choose from."""
        return self.weight.shape[0]

    @property
    def observation_size(self) -> int:
        """The length of an observation."""
        return self.weight.shape[1] - 2

    def __call__(
        self, features: Features, observation: Float[Array, "observations"], action: Choice
    ) -> Prediction:
        """What the action is expected to bring, from the observation at hand."""
        change, reward, logit = self._outputs(features, action)
        return Prediction(observation + change, reward, jax.nn.sigmoid(logit))

    def loss(
        self,
        features: Features,
        observation: Float[Array, "observations"],
        action: Choice,
        seen: Prediction,
    ) -> Scalar:
        """½ ‖o' − ô'‖² + ½ (r − r̂)² − d log σ(ℓ) − (1 − d) log(1 − σ(ℓ)), d the discount seen."""
        change, reward, logit = self._outputs(features, action)
        missed = seen.observation - observation - change
        squares = jnp.sum(missed**2) + (seen.reward - reward) ** 2
        return 0.5 * squares + optax.sigmoid_binary_cross_entropy(logit, seen.discount)

    def _outputs(
        self, features: Features, action: Choice
    ) -> tuple[Float[Array, "observations"], Scalar, Scalar]:
        weight = self.weight[action]
        y = weight[:, :-1] @ features + weight[:, -1]
        return y[:-2], y[-2], y[-1]


class Predictions(eqx.Module):
    """All that is read off the features about the future."""

    value: Readout
    """The return: the critic."""
    heads: PredictionHeads
    """What each action brings next."""


class LatentState(eqx.Module):
    """A moment, lived or imagined: the recurrent state and the input that led to it."""

    h: State
    x: Input


class WorldModel(eqx.Module):
    """A cell and what its features let expect: a world to live in without acting.

    The cell reads x = [o, a, r]; in imagination what is foreseen.
    """

    cell: Cell
    expected: Predictions

    def features(self, now: LatentState) -> Features:
        """f(h)."""
        return self.cell.features(now.h, now.x)

    def value(self, now: LatentState) -> Scalar:
        """v̂(h)."""
        return self.expected.value(self.features(now))[0]

    def step(self, now: LatentState, action: Choice) -> tuple[LatentState, Prediction]:
        """h' = RNN([ô', a, r̂], h): where the action is expected to lead, and what it brings."""
        heads = self.expected.heads
        outcome = heads(self.features(now), now.x[: heads.observation_size], action)
        chosen = jax.nn.one_hot(action, heads.num_actions, dtype=now.x.dtype)
        x = jnp.concatenate([outcome.observation, chosen, jnp.reshape(outcome.reward, 1)])
        return LatentState(self.cell(now.h, x), x), outcome
