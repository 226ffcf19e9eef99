"""A learned model of the environment, as linear predictions from the features of a cell."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from rtrrl.cells import Cell
from rtrrl.cells.base import Input, State
from rtrrl.learning.readouts import Features, Readout
from rtrrl.types import Scalar

DiscreteAction = Int[Array, ""]


class Prediction(eqx.Module):
    """The consequence of an action, predicted or observed."""

    observation: Float[Array, "observations"]
    reward: Scalar
    discount: Scalar
    """0 at a terminal state and 1 otherwise; if predicted, the probability of 1."""


class PredictionHeads(eqx.Module):
    """[Δo; r; ℓ] = Wₐ [f; 1] for each action a; the predicted discount is σ(ℓ).

    With a matrix for each action the prediction may depend on action and features jointly, as the
    reward of a recall task does; a function linear in [f; a] could not represent that.
    """

    weight: Float[Array, "actions outputs columns"]

    @classmethod
    def zeros(cls, num_actions: int, observation_size: int, feature_size: int) -> "PredictionHeads":
        """Heads that predict no change, no reward and a discount of ½."""
        return cls(jnp.zeros((num_actions, observation_size + 2, feature_size + 1)))

    def __call__(
        self, features: Features, observation: Float[Array, "observations"], action: DiscreteAction
    ) -> Prediction:
        """The predicted consequence of an action after `observation`."""
        change, reward, logit = self._outputs(features, action)
        return Prediction(observation + change, reward, jax.nn.sigmoid(logit))

    def loss(
        self,
        features: Features,
        observation: Float[Array, "observations"],
        action: DiscreteAction,
        observed: Prediction,
    ) -> Scalar:
        """½ ‖o' − ô'‖² + ½ (r − r̂)² − d log σ(ℓ) − (1 − d) log(1 − σ(ℓ)), d the discount."""
        change, reward, logit = self._outputs(features, action)
        error = observed.observation - observation - change
        squares = jnp.sum(error**2) + (observed.reward - reward) ** 2
        return 0.5 * squares + optax.sigmoid_binary_cross_entropy(logit, observed.discount)

    def _outputs(
        self, features: Features, action: DiscreteAction
    ) -> tuple[Float[Array, "observations"], Scalar, Scalar]:
        weight = self.weight[action]
        y = weight[:, :-1] @ features + weight[:, -1]
        return y[:-2], y[-2], y[-1]


class Predictions(eqx.Module):
    """All predictions from the features."""

    value: Readout
    """The critic, of the return."""
    heads: PredictionHeads
    """The consequence of each action."""


class LatentState(eqx.Module):
    """A real or imagined state of the model."""

    h: State
    """The recurrent state."""
    x: Input
    """The cell's input that led to it."""


class WorldModel(eqx.Module):
    """A cell and the predictions from its features.

    The cell's input is x = [o, a, r], predicted ones in imagination.
    """

    cell: Cell
    predictions: Predictions

    def features(self, state: LatentState) -> Features:
        """f(h)."""
        return self.cell.features(state.h, state.x)

    def value(self, state: LatentState) -> Scalar:
        """v̂(h)."""
        return self.predictions.value(self.features(state))[0]

    def step(self, state: LatentState, action: DiscreteAction) -> tuple[LatentState, Prediction]:
        """h' = RNN([ô', a, r̂], h), and the predicted consequence of the action."""
        heads = self.predictions.heads
        num_actions, num_outputs, _ = heads.weight.shape
        prediction = heads(self.features(state), state.x[: num_outputs - 2], action)
        one_hot = jax.nn.one_hot(action, num_actions, dtype=state.x.dtype)
        x = jnp.concatenate([prediction.observation, one_hot, jnp.reshape(prediction.reward, 1)])
        return LatentState(self.cell(state.h, x), x), prediction
