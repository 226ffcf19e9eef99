"""An actor-critic whose actor learns in a recurrent world model, which is learned at every step."""

import dataclasses
import math
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from jaxtyping import Key as Keys

from rtrrl import cells, gradients
from rtrrl.agents.actor_critic import ActorCritic, apply_updates, features_and_gradient
from rtrrl.agents.base import Action, Agent, Info, Observation
from rtrrl.agents.imagination import imagine, policy_gradient
from rtrrl.agents.state import Carry, initial_carry, step_key
from rtrrl.agents.world_model import (
    LatentState,
    Prediction,
    PredictionHeads,
    Predictions,
    WorldModel,
)
from rtrrl.environments import AbstractEnvironment
from rtrrl.errors import SettingError, UnsupportedSpaceError
from rtrrl.learning import readouts
from rtrrl.learning.input_pipeline import InputPipeline, InputStatistics
from rtrrl.learning.normalizers import ReturnScaledRewards, RunningObservations
from rtrrl.learning.optimizers import Adam, OptaxOptimizer, ParameterGroups, zeros_like
from rtrrl.learning.policies import Categorical, Policy
from rtrrl.learning.returns import td_error
from rtrrl.types import Key, PyTree, Scalar
from rtrrl.utils import validation


class ModelBasedState(eqx.Module):
    """The state of a model-based agent; the fields are as in `RTRRLState`."""

    params: ParameterGroups
    """The critic's are `Predictions`: of the return, and of the consequence of each action."""
    opt_state: PyTree
    traces: ParameterGroups
    """Of v̂ alone, in the critic and the cell."""
    influence: PyTree
    last: Carry
    value: Scalar
    input_stats: InputStatistics
    key: Key
    steps: Int[Array, ""]


class ModelBased(ActorCritic):
    """Learns a world model, and its policy on imagined trajectories (RTRRL, open question 2).

    Linear heads on the features of the recurrent state predict the next observation, the reward and
    the end of the episode; a critic learns the return by TD(λ). Both errors reach the cell by the
    gradient rule, at every step and without a buffer. The actor learns from imagined trajectories
    alone (after Hafner et al. 2020): at every step a few short ones that start from the current
    state. Model and critic learn the reward with the exploration bonus. The cell's input is the
    reward without it; in imagined trajectories it is the predicted reward, which includes it. A
    float may be an array with one entry per seed.

    **Raises** `UnsupportedSpaceError` for actions that are not discrete.
    """

    task: str = eqx.field(static=True)
    """The environment's name."""
    observation_size: int = eqx.field(static=True)
    """The length of an observation."""
    policy: Policy
    """The distribution over actions."""
    cell: cells.CellConfig = cells.RTUConfig(eigenvalues=cells.LogUniformTimescales())
    """The recurrent cell."""
    rule: gradients.GradientRule = gradients.DiagonalRTRL()
    """How the gradient of the cell is carried forward in time."""
    feedback: readouts.Feedback = readouts.Symmetric()
    """How errors of actor and critic reach the cell; the model's use its heads' own weights."""
    optimizer: OptaxOptimizer = Adam(recurrent_multiple=0.3, clip=math.inf, epsilon=1e-3)
    """From gradients to updates of the parameters."""
    inputs: InputPipeline = InputPipeline(RunningObservations(), ReturnScaledRewards())
    """Normalisation, which sets the weight of each prediction error, and the exploration bonus."""
    gamma: float = 0.99
    """γ, the discount factor."""
    lambda_critic: float = 0.9
    """λ, of the critic's traces and of imagined returns."""
    entropy_coefficient: float = 1e-3
    """η_H, the weight of the policy's entropy."""
    horizon: int = eqx.field(static=True, default=10)
    """Steps of an imagined trajectory."""
    rollouts: int = eqx.field(static=True, default=4)
    """Imagined trajectories at every step."""
    meta_input: bool = True
    """Whether the cell's input includes the last action and reward: the model needs them."""

    def __check_init__(self) -> None:
        if not isinstance(self.policy, Categorical):
            raise UnsupportedSpaceError(
                f"the world model has heads for each action, and a {type(self.policy).__name__} "
                f"policy has no list of them: expected a Discrete action space; use RTRRL instead"
            )
        if self.meta_input is False:
            raise SettingError(
                "meta_input is False: the world model predicts what follows from an action, so the "
                "cell's input must include it; leave it True, or use RTRRL"
            )
        validation.counts(horizon=self.horizon, rollouts=self.rollouts)
        validation.in_unit_interval(gamma=self.gamma, lambda_critic=self.lambda_critic)
        validation.finite(entropy_coefficient=self.entropy_coefficient)

    @classmethod
    def default(cls, environment: str | AbstractEnvironment, **changes: Any) -> Self:
        """The model-based agent with the same settings for every environment."""
        return cls._make(environment, {}, changes)

    def init(self, key: Key) -> ModelBasedState:
        *param_keys, rule_key, state_key = jax.random.split(key, 5)
        params = self.init_params(*param_keys)
        heads = PredictionHeads.zeros(
            self.policy.action_size, self.observation_size, params.cell.feature_size
        )
        params = dataclasses.replace(params, critic=Predictions(params.critic, heads))
        return ModelBasedState(
            params=params,
            opt_state=self.optimizer.init(params),
            traces=_zero_traces(params),
            influence=self.rule.init(params.cell, rule_key),
            last=initial_carry(params.cell, self.policy),
            value=jnp.zeros(()),
            input_stats=self.inputs.init(self.observation_size),
            key=state_key,
            steps=jnp.zeros((), jnp.int32),
        )

    def begin(
        self, state: ModelBasedState, observation: Observation
    ) -> tuple[ModelBasedState, Action]:
        """h, Ĵ ← RNN([o, 0, 0], 0, 0);  v ← v̂(h);  e ← 0;  a ~ π(h)."""
        params = state.params
        observation = self.observed(observation)
        input_stats, observation = self.inputs.begin(state.input_stats, observation)
        x = self.cell_input(observation)
        influence = self.rule.restart(params.cell, state.influence)
        h, influence = self.rule.step(params.cell, influence, params.cell.initial_state(), x)
        features = params.cell.features(h, x)
        state = dataclasses.replace(
            state,
            traces=_zero_traces(params),
            influence=influence,
            value=params.critic.value(features)[0],
            input_stats=input_stats,
        )
        return self.act(state, x, h, features, self.policy.no_noise)

    def step(
        self, state: ModelBasedState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[ModelBasedState, Action, Info]:
        """Learn model, critic and actor, then act."""
        params, last = state.params, state.last
        observation, reward, discount = self.received(observation, reward, discount)
        input_stats, inputs = self.inputs.step(state.input_stats, observation, reward)
        reward = inputs.reward + inputs.bonus

        # h', Ĵ' ← RNN([o, a, r], h, Ĵ)
        x = self.cell_input(inputs.observation, last.action, inputs.reward)
        h, influence = self.rule.step(params.cell, state.influence, last.h, x)
        features = params.cell.features(h, x)

        # e ← γλ e + ∇v̂;  −∇L of the prediction;  ∇J of the imagined return
        observed = Prediction(inputs.observation, reward, discount)
        gradient, ascent = self._gradients(state, observed)
        decay = self.gamma * self.lambda_critic
        traces = jax.tree.map(lambda e, g: decay * e + g, state.traces, gradient)

        # δ ← r + γ v̂(h') − v
        value = params.critic.value(features)[0]
        delta = td_error(reward, self.gamma * discount, value, state.value)

        # θ += α (δ e − ∇L + ∇J)
        zeros = jax.tree.map(jnp.zeros_like, ascent)
        critic = Predictions(traces.critic, zeros.critic.heads)
        all_traces = ParameterGroups(zeros.actor, critic, traces.cell)
        ascent = jax.tree.map(lambda e, g: delta * e + g, all_traces, ascent)
        updates, opt_state = self.optimizer.ascend(ascent, state.opt_state, params)
        state = dataclasses.replace(
            state,
            params=apply_updates(params, updates),
            opt_state=opt_state,
            traces=traces,
            influence=influence,
            value=value,
            input_stats=input_stats,
        )

        # a ~ π(h')
        state, action = self.act(state, x, h, features, self.policy.no_noise)
        return state, action, Info(delta, value, self.policy.entropy(state.last.outputs))

    def frozen(self, state: ModelBasedState, greedy: bool = False) -> Agent:
        """An agent with actor and critic, without the model."""
        params = dataclasses.replace(state.params, critic=state.params.critic.value)
        return super().frozen(dataclasses.replace(state, params=params), greedy)

    def _gradients(
        self, state: ModelBasedState, observed: Prediction
    ) -> tuple[ParameterGroups, ParameterGroups]:
        """∇v̂ for the traces; −∇L of the model and ∇J of the actor, about the last action."""
        params, last = state.params, state.last
        features, cell_gradient = features_and_gradient(
            self.rule, params.cell, state.influence, last
        )

        def model_gain(heads: PredictionHeads, features: Float[Array, "features"]) -> Scalar:
            return -heads.loss(features, last.x[: self.observation_size], last.action, observed)

        one, critic = jnp.ones(1, features.dtype), params.critic.value
        gradient = ParameterGroups(
            actor=None,
            critic=critic.gradient(features, one),
            cell=cell_gradient(critic.pullback(one)),
        )
        heads, features_bar = jax.grad(model_gain, argnums=(0, 1))(params.critic.heads, features)
        ascent = ParameterGroups(
            actor=self._actor_gradient(state),
            critic=Predictions(critic.gradient(features, 0 * one), heads),
            cell=cell_gradient(features_bar),
        )
        return gradient, ascent

    def _actor_gradient(self, state: ModelBasedState) -> PyTree:
        """∇J, the mean over imagined trajectories; the cell does not learn from them."""
        params, start = state.params, LatentState(state.last.h, state.last.x)
        model = WorldModel(params.cell, params.critic)

        def gradient(keys: Keys[Array, "horizon"]) -> PyTree:
            trajectory = imagine(
                model, params.actor, self.policy, start, keys, self.gamma, self.lambda_critic
            )
            return policy_gradient(trajectory, params.actor, self.entropy_coefficient)

        # the step's own key is that of the action
        key = jax.random.fold_in(step_key(state), 1)
        keys = jax.random.split(key, (self.rollouts, self.horizon))
        return jax.tree.map(lambda g: jnp.mean(g, axis=0), jax.vmap(gradient)(keys))


def _zero_traces(params: ParameterGroups) -> ParameterGroups:
    zeros = zeros_like(params)
    return ParameterGroups(None, zeros.critic.value, zeros.cell)
