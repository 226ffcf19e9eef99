"""An actor-critic that learns in a recurrent model of the world, learnt at every step."""

import dataclasses
import math
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from jaxtyping import Key as Keys

from rtrrl import cells, gradients
from rtrrl.agents.actor_critic import ActorCritic
from rtrrl.agents.base import Action, Agent, Info, Observation, check_parts
from rtrrl.agents.imagination import imagine, improvement
from rtrrl.agents.state import Carry, initial_carry
from rtrrl.agents.world_model import (
    LatentState,
    Prediction,
    PredictionHeads,
    Predictions,
    WorldModel,
)
from rtrrl.environments import AbstractEnvironment
from rtrrl.errors import UnsupportedSpaceError
from rtrrl.learning import readouts
from rtrrl.learning.normalizers import (
    ObservationNormalizer,
    ReturnScaledRewards,
    RewardNormalizer,
    RunningObservations,
)
from rtrrl.learning.optimizers import Adam, OptaxOptimizer, ParameterGroups
from rtrrl.learning.policies import Categorical, Policy
from rtrrl.learning.returns import td_error
from rtrrl.types import Key, PyTree, Scalar, parameters
from rtrrl.utils import validation
from rtrrl.utils.prng import inline_threefry


class ModelBasedState(eqx.Module):
    """Everything that changes while a model-based agent lives."""

    parameters: ParameterGroups
    """The critic's are `Expectations`: of the return, and of what each action brings."""
    optimizer: PyTree
    traces: ParameterGroups
    """Of v̂ alone, in the critic and the cell."""
    influence: PyTree
    now: Carry
    value: Scalar
    observation_statistics: PyTree
    reward_statistics: PyTree
    key: Key
    steps: Int[Array, ""]


class ModelBased(ActorCritic):
    """Learns what its actions bring, and how to act by imagining it (RTRRL, open question 2).

    From the features of a recurrent state, linear heads foresee the next observation, the reward
    and the end, and a critic, by TD(λ), the return. Both errors reach the recurrence by the
    gradient rule, at every step and without a buffer. The actor learns from imagined steps alone
    (after Hafner et al. 2020): a few short rollouts of the policy in the model, every step anew
    from the moment just lived. Any float may be an array with one entry per seed when it is
    trained.

    **Raises** `UnsupportedSpaceError` for actions that are not discrete.
    """

    task: str = eqx.field(static=True)
    observation_size: int = eqx.field(static=True)
    policy: Policy
    cell: cells.CellConfig = cells.RTUConfig(eigenvalues=cells.LogUniformTimescales())
    rule: gradients.GradientRule = gradients.DiagonalRTRL()
    feedback: readouts.Feedback = readouts.Symmetric()
    """Of actor and critic; the model's heads send errors back through their own weights."""
    optimizer: OptaxOptimizer = Adam(recurrent_multiple=0.3, clip=math.inf, epsilon=1e-3)
    observation_normalizer: ObservationNormalizer = RunningObservations()
    """What has to be foreseen counts in units of its standard deviation."""
    reward_normalizer: RewardNormalizer = ReturnScaledRewards()
    gamma: float = 0.99
    """γ."""
    lambda_critic: float = 0.9
    """λ, of the critic's traces and of imagined returns."""
    entropy_coefficient: float = 1e-3
    """η_H."""
    horizon: int = eqx.field(static=True, default=10)
    """Imagined steps of a rollout."""
    rollouts: int = eqx.field(static=True, default=4)
    """Rollouts at every step."""
    meta_input: bool = True
    """What an action leads to can be imagined only where the cell reads the action."""

    def __check_init__(self) -> None:
        check_parts(self)
        if not isinstance(self.policy, Categorical):
            raise UnsupportedSpaceError(
                f"the world model has heads for each action, and a {type(self.policy).__name__} "
                f"policy has no list of them: expected a Discrete action space; use RTRRL instead"
            )
        if not self.meta_input:
            raise ValueError(
                "meta_input is False: what an action leads to can be imagined only where the cell "
                "reads the action; leave it True, or use RTRRL"
            )
        for name in ("horizon", "rollouts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        validation.in_unit_interval(gamma=self.gamma, lambda_critic=self.lambda_critic)

    @classmethod
    def default(cls, task: str | AbstractEnvironment, **changes: Any) -> Self:
        """One setting for every task."""
        return cls._for(task, changes)

    def init(self, key: Key) -> ModelBasedState:
        """A cell, an actor and a critic at random, a model that foresees nothing."""
        *birth_keys, rule_key, life_key = jax.random.split(key, 5)
        theta = self.newborn(*birth_keys)
        heads = PredictionHeads.newborn(
            self.policy.action_size, self.observation_size, theta.cell.feature_size
        )
        theta = dataclasses.replace(theta, critic=Predictions(theta.critic, heads))
        return ModelBasedState(
            parameters=theta,
            optimizer=self.optimizer.init(theta),
            traces=_no_traces(theta),
            influence=self.rule.init(theta.cell, rule_key),
            now=initial_carry(theta.cell, self.policy),
            value=jnp.zeros(()),
            observation_statistics=self.observation_normalizer.init(self.observation_size),
            reward_statistics=self.reward_normalizer.init(),
            key=life_key,
            steps=jnp.zeros((), jnp.int32),
        )

    def begin(
        self, state: ModelBasedState, observation: Observation
    ) -> tuple[ModelBasedState, Action]:
        """h, Ĵ ← RNN([o, 0, 0], 0, 0); v ← v̂(h); e ← 0; a ~ π(h)."""
        theta = state.parameters
        seen = self.observation_normalizer.update(state.observation_statistics, observation)
        x = self.cell_input(self.observation_normalizer(seen, observation))
        influence = self.rule.restart(theta.cell, state.influence)
        h, influence = self.rule.step(theta.cell, influence, theta.cell.initial_state(), x)
        features = theta.cell.features(h, x)
        y = theta.actor(features)
        action = self.policy.sample(self._key(state), y)
        state = dataclasses.replace(
            state,
            traces=_no_traces(theta),
            influence=influence,
            now=Carry(x, h, y, action, self.policy.no_noise),
            value=theta.critic.value(features)[0],
            observation_statistics=seen,
            reward_statistics=self.reward_normalizer.restart(state.reward_statistics),
            steps=state.steps + 1,
        )
        return state, self.policy.admissible(action)

    def step(
        self, state: ModelBasedState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[ModelBasedState, Action, Info]:
        """One turn: what the last action brought is learnt from, lived and dreamt."""
        theta, now = state.parameters, state.now
        gamma = self.gamma * discount
        seen = self.observation_normalizer.update(state.observation_statistics, observation)
        earned = self.reward_normalizer.update(state.reward_statistics, reward)
        observation = self.observation_normalizer(seen, observation)
        reward = self.reward_normalizer(earned, reward)

        # e ← γλ e + ∇v̂, and at once: −∇L of what was foreseen, ∇J of what is dreamt
        gradient, ascent = self._gradients(state, Prediction(observation, reward, discount))
        decay = self.gamma * self.lambda_critic
        traces = jax.tree.map(lambda e, g: decay * e + g, state.traces, gradient)

        # h', Ĵ' ← RNN([o, a, r], h, Ĵ)
        x = self.cell_input(observation, now.action, reward)
        h, influence = self.rule.step(theta.cell, state.influence, now.h, x)

        # δ ← r + γ v̂(h') − v
        features = theta.cell.features(h, x)
        value = theta.critic.value(features)[0]
        delta = td_error(reward, gamma, value, state.value)

        # θ ← θ + α (δ e − ∇L + ∇J)
        zeros = jax.tree.map(jnp.zeros_like, ascent)
        critic = Predictions(traces.critic, zeros.critic.heads)
        whole = ParameterGroups(zeros.actor, critic, traces.cell)
        ascent = jax.tree.map(lambda e, g: delta * e + g, whole, ascent)
        theta, optimizer = self.optimizer.ascend(state.optimizer, theta, ascent)
        theta = dataclasses.replace(theta, cell=theta.cell.project())

        # a ~ π(h')
        y = theta.actor(features)
        action = self.policy.sample(self._key(state), y)
        state = ModelBasedState(
            parameters=theta,
            optimizer=optimizer,
            traces=traces,
            influence=influence,
            now=Carry(x, h, y, action, self.policy.no_noise),
            value=value,
            observation_statistics=seen,
            reward_statistics=earned,
            key=state.key,
            steps=state.steps + 1,
        )
        return state, self.policy.admissible(action), Info(delta, value, self.policy.entropy(y))

    def frozen(self, state: ModelBasedState, greedy: bool = False) -> Agent:
        """This agent as it is now, acting without learning, nor imagining: actor and critic."""
        theta = state.parameters
        acting = dataclasses.replace(theta, critic=theta.critic.value)
        return super().frozen(dataclasses.replace(state, parameters=acting), greedy)

    def _gradients(
        self, state: ModelBasedState, seen: Prediction
    ) -> tuple[ParameterGroups, ParameterGroups]:
        """∇v̂ for the traces; −∇L of the model and ∇J of the actor, about the last action."""
        theta, now = state.parameters, state.now
        features, features_vjp = jax.vjp(
            lambda learnt, h: eqx.combine(learnt, theta.cell).features(h, now.x),
            parameters(theta.cell),
            now.h,
        )

        def through_cell(features_bar: Float[Array, "features"]) -> PyTree:
            """Ĵᵀ h̄ for the recurrence, the immediate gradient for what only shapes features."""
            immediate, h_bar = features_vjp(features_bar)
            return eqx.combine(self.rule.pullback(theta.cell, state.influence, h_bar), immediate)

        def foreseen(heads: PredictionHeads, features: Float[Array, "features"]) -> Scalar:
            return -heads.loss(features, now.x[: self.observation_size], now.action, seen)

        one, critic = jnp.ones(1, features.dtype), theta.critic.value
        gradient = ParameterGroups(
            actor=None,
            critic=critic.gradient(features, one),
            cell=through_cell(critic.pullback(one)),
        )
        heads, features_bar = jax.grad(foreseen, argnums=(0, 1))(theta.critic.heads, features)
        ascent = ParameterGroups(
            actor=self._dreamt(state),
            critic=Predictions(critic.gradient(features, 0 * one), heads),
            cell=through_cell(features_bar),
        )
        return gradient, ascent

    def _dreamt(self, state: ModelBasedState) -> PyTree:
        """∇J, the mean over rollouts in the model; the recurrence does not learn from them."""
        theta, start = state.parameters, LatentState(state.now.h, state.now.x)
        model = WorldModel(theta.cell, theta.critic)

        def rollout(keys: Keys[Array, "horizon"]) -> PyTree:
            dream = imagine(
                model, theta.actor, self.policy, start, keys, self.gamma, self.lambda_critic
            )
            return improvement(dream, theta.actor, self.entropy_coefficient)

        # the step's own key acts
        key = jax.random.fold_in(self._key(state), 1)
        each = jax.vmap(rollout)(jax.random.split(key, (self.rollouts, self.horizon)))
        return jax.tree.map(lambda g: jnp.mean(g, axis=0), each)

    def _key(self, state: ModelBasedState) -> Key:
        # one hash a step instead of splitting and carrying keys
        return jax.random.fold_in(inline_threefry(state.key), state.steps)


def _no_traces(theta: ParameterGroups) -> ParameterGroups:
    zeros = jax.tree.map(jnp.zeros_like, parameters(theta))
    return ParameterGroups(None, zeros.critic.value, zeros.cell)
