"""Real-Time Recurrent Reinforcement Learning, in the order of the paper's algorithm box."""

import dataclasses
import math
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rtrrl import cells, gradients
from rtrrl.agents.actor_critic import ActorCritic
from rtrrl.agents.base import Action, Agent, Info, Observation, check_parts
from rtrrl.agents.state import Carry, RTRRLState, initial_carry
from rtrrl.environments import AbstractEnvironment
from rtrrl.learning import readouts, traces
from rtrrl.learning.exploration_bonus import ExplorationBonus, NoBonus, Novelty
from rtrrl.learning.normalizers import (
    AmplifiedObservations,
    ObservationNormalizer,
    RawObservations,
    RawRewards,
    ReturnScaledRewards,
    RewardNormalizer,
)
from rtrrl.learning.optimizers import (
    Adam,
    Optimizer,
    ParameterGroups,
    TDUpdate,
    by_group,
    zeros_like,
)
from rtrrl.learning.policies import Policy
from rtrrl.learning.returns import td_error
from rtrrl.types import Key, PyTree, Scalar, parameters
from rtrrl.utils import validation
from rtrrl.utils.prng import inline_threefry


class RTRRL(ActorCritic):
    """A recurrent actor-critic that learns at every step (Lemmel & Grosu 2025, algorithm 1).

    TD(λ) alone is this with the memoryless cell, a reservoir is this with the frozen rule.
    Any float that does not shape the program may be an array with one entry per seed when it is
    trained: those of the policy and the pace of a cell may not.
    """

    task: str = eqx.field(static=True)
    observation_size: int = eqx.field(static=True)
    policy: Policy
    cell: cells.CellConfig = cells.CTRNNConfig()
    rule: gradients.GradientRule = gradients.RFLO()
    feedback: readouts.Feedback = readouts.RandomFeedback()
    trace: traces.Trace = traces.Accumulating()
    optimizer: Optimizer = Adam()
    observation_normalizer: ObservationNormalizer = RawObservations()
    reward_normalizer: RewardNormalizer = RawRewards()
    exploration_bonus: ExplorationBonus = NoBonus()
    gamma: float = 0.99
    """γ."""
    lambda_actor: float = 0.99
    """λ_A."""
    lambda_critic: float = 0.99
    """λ_C."""
    lambda_recurrent: float = 0.99
    """λ_R."""
    actor_coefficient: float = 1.0
    """η_A, the weight of the actor's gradient in the recurrent one."""
    entropy_coefficient: float = 1e-5
    """η_H."""
    average_reward_rate: float = 0.0
    """Above 0, with discount 1, the average-reward form: r̄ += rate · δ is taken off rewards."""
    attenuate: bool = False
    """Weight the actor's gradient by I = γ^t, t the time in the episode."""
    meta_input: bool = True
    """Feed the last action and reward back to the network."""

    def __check_init__(self) -> None:
        check_parts(self)
        validation.in_unit_interval(
            gamma=self.gamma,
            lambda_actor=self.lambda_actor,
            lambda_critic=self.lambda_critic,
            lambda_recurrent=self.lambda_recurrent,
            average_reward_rate=self.average_reward_rate,
        )
        validation.finite(
            actor_coefficient=self.actor_coefficient, entropy_coefficient=self.entropy_coefficient
        )

    @classmethod
    def paper(cls, task: str | AbstractEnvironment, **changes: Any) -> Self:
        """Exactly the paper's: CT-RNN, RFLO, feedback alignment, its appendix's Table 1."""
        return cls._for(task, changes)

    @classmethod
    def default(cls, task: str | AbstractEnvironment, **changes: Any) -> Self:
        """The one to start with: RTU, exact diagonal RTRL, symmetric feedback.

        It keeps what it learns (docs/stability.md): an actor stands on a critic that learns half
        as fast and on a recurrence that learns seven times more slowly, its Λ thirty times or more
        slowly still, with long traces. Time constants start spread up to 1,000 steps. What it has
        not seen draws it. The norm is not clipped: a clipped step is as large when nothing is left
        to learn as when all is.
        """
        settings = {
            "cell": cells.RTUConfig(
                eigenvalues=cells.LogUniformTimescales(), eigenvalue_lr_scale=0.03
            ),
            "rule": gradients.DiagonalRTRL(),
            "feedback": readouts.Symmetric(),
            "optimizer": Adam(5e-4, 2.0, 0.3, clip=math.inf, epsilon=1e-3),
            "observation_normalizer": AmplifiedObservations(),
            "reward_normalizer": ReturnScaledRewards(),
            "exploration_bonus": Novelty(),
        }
        return cls._exploring(task, settings | changes)

    @classmethod
    def paper_stable(cls, task: str | AbstractEnvironment, **changes: Any) -> Self:
        """The paper's cell, rule and random feedback, in settings that keep what is learnt."""
        settings = {
            "optimizer": Adam(5e-4, 2.0, 0.02, clip=math.inf, epsilon=1e-3),
            "observation_normalizer": AmplifiedObservations(),
            "reward_normalizer": ReturnScaledRewards(),
            "exploration_bonus": Novelty(),
        }
        return cls._exploring(task, settings | changes)

    @classmethod
    def _exploring(cls, task: str | AbstractEnvironment, settings: dict[str, Any]) -> Self:
        agent = cls._for(task, settings)
        if "policy" in settings:
            return agent
        return dataclasses.replace(agent, policy=agent.policy.exploring())

    def init(self, key: Key) -> RTRRLState:
        """Random weights; everything else at rest."""
        *birth_keys, rule_key, life_key = jax.random.split(key, 5)
        groups = self.newborn(*birth_keys)
        return RTRRLState(
            parameters=groups,
            optimizer=self.optimizer.init(groups),
            traces=zeros_like(groups),
            influence=self.rule.init(groups.cell, rule_key),
            now=initial_carry(groups.cell, self.policy),
            value=jnp.zeros(()),
            average_reward=jnp.zeros(()),
            attenuation=jnp.ones(()),
            observation_statistics=self.observation_normalizer.init(self.observation_size),
            reward_statistics=self.reward_normalizer.init(),
            bonus_statistics=self.exploration_bonus.init(self.observation_size),
            key=life_key,
            steps=jnp.zeros((), jnp.int32),
        )

    def begin(self, state: RTRRLState, observation: Observation) -> tuple[RTRRLState, Action]:
        """h, Ĵ ← RNN([o, 0, 0], 0, 0); v ← v̂(h); e ← 0; a ~ π(h)."""
        cell = state.parameters.cell
        seen = self.observation_normalizer.update(state.observation_statistics, observation)
        known = self.exploration_bonus.update(state.bonus_statistics, observation)
        x = self.cell_input(self.observation_normalizer(seen, observation))
        influence = self.rule.restart(cell, state.influence)
        h, influence = self.rule.step(cell, influence, cell.initial_state(), x)
        features = cell.features(h, x)
        y = state.parameters.actor(features)
        noise = self.policy.no_noise
        action = self._sample(state, y, noise)
        state = dataclasses.replace(
            state,
            traces=zeros_like(state.parameters),
            influence=influence,
            now=Carry(x, h, y, action, noise),
            value=state.parameters.critic(features)[0],
            attenuation=jnp.ones(()),
            observation_statistics=seen,
            reward_statistics=self.reward_normalizer.restart(state.reward_statistics),
            bonus_statistics=known,
            steps=state.steps + 1,
        )
        return state, self.policy.admissible(action)

    def step(
        self, state: RTRRLState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[RTRRLState, Action, Info]:
        """One turn of the paper's loop, from the environment's answer to the next action."""
        theta, now = state.parameters, state.now
        gamma = self.gamma * discount

        # e ← γλ e + ∇, with the gradients of the state and action that δ is about
        gradient, bonus = self._gradients(state)
        decay = self._decay()
        traces = by_group(self.trace, state.traces, gradient, decay)

        # h', Ĵ' ← RNN([o, a, r], h, Ĵ)
        seen = self.observation_normalizer.update(state.observation_statistics, observation)
        earned = self.reward_normalizer.update(state.reward_statistics, reward)
        known = self.exploration_bonus.update(state.bonus_statistics, observation)
        own_reward = self.exploration_bonus(known, observation)
        observation = self.observation_normalizer(seen, observation)
        reward = self.reward_normalizer(earned, reward)
        x = self.cell_input(observation, now.action, reward)
        h, influence = self.rule.step(theta.cell, state.influence, now.h, x)

        # δ ← r + r⁺ − r̄ + γ v̂(h') − v
        features = theta.cell.features(h, x)
        value = theta.critic(features)[0]
        delta = td_error(reward + own_reward - state.average_reward, gamma, value, state.value)

        # θ ← θ + α (δ e + η_H ∇H)
        credit = TDUpdate(delta, traces, gradient, bonus, decay)
        theta, optimizer = self.optimizer(state.optimizer, theta, credit)
        theta = dataclasses.replace(theta, cell=theta.cell.project())

        # a ~ π(h')
        y = theta.actor(features)
        noise = self.policy.noise(now.y, now.action)
        action = self._sample(state, y, noise)
        state = RTRRLState(
            parameters=theta,
            optimizer=optimizer,
            traces=traces,
            influence=influence,
            now=Carry(x, h, y, action, noise),
            value=value,
            average_reward=state.average_reward + self.average_reward_rate * delta,
            attenuation=state.attenuation * self.gamma,
            observation_statistics=seen,
            reward_statistics=earned,
            bonus_statistics=known,
            key=state.key,
            steps=state.steps + 1,
        )
        return state, self.policy.admissible(action), Info(delta, value, self.policy.entropy(y))

    def _gradients(self, state: RTRRLState) -> tuple[ParameterGroups, ParameterGroups]:
        """∇ of value and log π for the traces, and η_H ∇H of the entropy."""
        theta, now = state.parameters, state.now
        features, features_vjp = jax.vjp(
            lambda learnt, h: eqx.combine(learnt, theta.cell).features(h, now.x),
            parameters(theta.cell),
            now.h,
        )

        def through_cell(features_bar: Array) -> PyTree:
            """Ĵᵀ h̄ for the recurrence, the immediate gradient for what only shapes features."""
            immediate, h_bar = features_vjp(features_bar)
            return eqx.combine(self.rule.pullback(theta.cell, state.influence, h_bar), immediate)

        one = jnp.ones(1, now.y.dtype)
        score = self.policy.score_after(now.y, now.action, now.noise)
        if self.attenuate:
            score = state.attenuation * score
        g_critic = theta.critic.pullback(one)
        g_actor = theta.actor.pullback(score)
        gradient = ParameterGroups(
            actor=theta.actor.gradient(features, score),
            critic=theta.critic.gradient(features, one),
            cell=through_cell(g_critic + self.actor_coefficient * g_actor),
        )
        calm = self.entropy_coefficient * self.policy.entropy_gradient(now.y)
        bonus = ParameterGroups(
            actor=theta.actor.gradient(features, calm),
            critic=theta.critic.gradient(features, jnp.zeros(1, now.y.dtype)),
            cell=through_cell(theta.actor.pullback(calm)),
        )
        return gradient, bonus

    def _decay(self) -> ParameterGroups:
        """γλ, each group with its own λ."""
        return ParameterGroups(
            self.gamma * self.lambda_actor,
            self.gamma * self.lambda_critic,
            self.gamma * self.lambda_recurrent,
        )

    def _sample(self, state: RTRRLState, y: Float[Array, "outputs"], noise: Array) -> Action:
        # one hash a step instead of splitting and carrying keys
        key = jax.random.fold_in(inline_threefry(state.key), state.steps)
        return self.policy.sample_after(key, y, noise)

    def sharing(self) -> Agent:
        """With an update of the mean over streams."""
        return dataclasses.replace(self, optimizer=self.optimizer.over_envs())

    def shared(self, state: RTRRLState) -> tuple[Any, ...]:
        """The weights and their optimizer; what is normalised by is each stream's own."""
        return state.parameters, state.optimizer
