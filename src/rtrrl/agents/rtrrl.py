"""Real-Time Recurrent Reinforcement Learning, in the order of the paper's algorithm box."""

import dataclasses
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp

from rtrrl import cells, gradients
from rtrrl.agents import presets
from rtrrl.agents.actor_critic import ActorCritic, apply_updates, features_and_gradient
from rtrrl.agents.base import Action, Agent, Info, Observation
from rtrrl.agents.state import RTRRLState, initial_carry
from rtrrl.environments import AbstractEnvironment
from rtrrl.learning import readouts, traces
from rtrrl.learning.input_pipeline import InputPipeline
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
from rtrrl.types import Key, Scalar
from rtrrl.utils import validation


class RTRRL(ActorCritic):
    """A recurrent actor-critic that learns at every step (Lemmel & Grosu 2025, algorithm 1).

    With the memoryless cell it is TD(λ), with the frozen rule a reservoir. A float may be an array
    with one entry per seed, except in the policy and the cell's `eigenvalue_lr_scale`, `dt` and
    `density`, which are constants of the compiled program.
    """

    task: str = eqx.field(static=True)
    """The environment's name."""
    observation_size: int = eqx.field(static=True)
    """The length of an observation."""
    policy: Policy
    """The distribution over actions."""
    cell: cells.CellConfig = cells.CTRNNConfig()
    """The recurrent cell."""
    rule: gradients.GradientRule = gradients.RFLO()
    """How the gradient of the cell is carried forward in time."""
    feedback: readouts.Feedback = readouts.RandomFeedback()
    """How errors of the readouts reach the cell."""
    trace: traces.Trace = traces.Accumulating()
    """The eligibility traces."""
    optimizer: Optimizer = Adam()
    """From TD errors and traces to updates of the parameters."""
    inputs: InputPipeline = InputPipeline()
    """Normalisation of observations and rewards, and the exploration bonus."""
    gamma: float = 0.99
    """γ, the discount factor."""
    lambda_actor: float = 0.99
    """λ_A, of the actor's traces."""
    lambda_critic: float = 0.99
    """λ_C, of the critic's traces."""
    lambda_recurrent: float = 0.99
    """λ_R, of the cell's traces."""
    actor_coefficient: float = 1.0
    """η_A, the weight of the actor's gradient in the cell's."""
    entropy_coefficient: float = 1e-5
    """η_H, the weight of the policy's entropy."""
    average_reward_rate: float = 0.0
    """Rate of r̄ += rate · δ; r̄ is subtracted from rewards (average-reward form, with gamma 1)."""
    attenuate: bool = False
    """Weight the actor's gradient by I = γ^t, t the time in the episode."""
    meta_input: bool = True
    """Whether the cell's input includes the last action and reward."""

    def __check_init__(self) -> None:
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
    def default(cls, environment: str | AbstractEnvironment, **changes: Any) -> Self:
        """The recommended agent: RTU, exact diagonal RTRL, symmetric feedback."""
        return cls._make(environment, presets.RTRRL_DEFAULT, changes, explore=True)

    @classmethod
    def paper(cls, environment: str | AbstractEnvironment, **changes: Any) -> Self:
        """The paper's agent: CT-RNN, RFLO, feedback alignment, the settings of its Table 1."""
        return cls._make(environment, {}, changes)

    @classmethod
    def paper_stable(cls, environment: str | AbstractEnvironment, **changes: Any) -> Self:
        """The paper's cell, rule and random feedback, with settings that keep what is learned."""
        return cls._make(environment, presets.RTRRL_PAPER_STABLE, changes, explore=True)

    def init(self, key: Key) -> RTRRLState:
        *param_keys, rule_key, state_key = jax.random.split(key, 5)
        params = self.init_params(*param_keys)
        return RTRRLState(
            params=params,
            opt_state=self.optimizer.init(params),
            traces=zeros_like(params),
            influence=self.rule.init(params.cell, rule_key),
            last=initial_carry(params.cell, self.policy),
            value=jnp.zeros(()),
            average_reward=jnp.zeros(()),
            attenuation=jnp.ones(()),
            input_stats=self.inputs.init(self.observation_size),
            key=state_key,
            steps=jnp.zeros((), jnp.int32),
        )

    def begin(self, state: RTRRLState, observation: Observation) -> tuple[RTRRLState, Action]:
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
            traces=zeros_like(params),
            influence=influence,
            value=params.critic(features)[0],
            attenuation=jnp.ones(()),
            input_stats=input_stats,
        )
        return self.act(state, x, h, features, self.policy.no_noise)

    def step(
        self, state: RTRRLState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[RTRRLState, Action, Info]:
        """One iteration of the algorithm's loop, from an observation to the next action."""
        params, last = state.params, state.last
        observation, reward, discount = self.received(observation, reward, discount)
        input_stats, inputs = self.inputs.step(state.input_stats, observation, reward)

        # h', Ĵ' ← RNN([o, a, r], h, Ĵ)
        x = self.cell_input(inputs.observation, last.action, inputs.reward)
        h, influence = self.rule.step(params.cell, state.influence, last.h, x)
        features = params.cell.features(h, x)

        # e ← γλ e + ∇ for actor, critic and cell, at the state h and the action a
        gradient, entropy_bonus = self._gradients(state)
        lambdas = ParameterGroups(self.lambda_actor, self.lambda_critic, self.lambda_recurrent)
        decay = by_group(lambda lambda_: self.gamma * lambda_, lambdas)
        traces = by_group(self.trace, state.traces, gradient, decay)

        # δ ← r + b − r̄ + γ v̂(h') − v, b the exploration bonus
        value = params.critic(features)[0]
        reward = inputs.reward + inputs.bonus - state.average_reward
        delta = td_error(reward, self.gamma * discount, value, state.value)

        # θ += α (δ e + η_H ∇H)
        td_update = TDUpdate(delta, traces, gradient, entropy_bonus, decay)
        updates, opt_state = self.optimizer.update(td_update, state.opt_state, params)

        # v ← v̂(h'),  h ← h',  Ĵ ← Ĵ'
        state = dataclasses.replace(
            state,
            params=apply_updates(params, updates),
            opt_state=opt_state,
            traces=traces,
            influence=influence,
            value=value,
            average_reward=state.average_reward + self.average_reward_rate * delta,
            attenuation=state.attenuation * self.gamma,
            input_stats=input_stats,
        )

        # a ~ π(h')
        noise = self.policy.noise(last.outputs, last.action)
        state, action = self.act(state, x, h, features, noise)
        return state, action, Info(delta, value, self.policy.entropy(state.last.outputs))

    def _gradients(self, state: RTRRLState) -> tuple[ParameterGroups, ParameterGroups]:
        """∇ of value and log π for the traces, and η_H ∇H."""
        params, last, policy = state.params, state.last, self.policy
        features, cell_gradient = features_and_gradient(
            self.rule, params.cell, state.influence, last
        )
        one = jnp.ones(1, last.outputs.dtype)
        score = policy.score_after(last.outputs, last.action, last.noise)
        if self.attenuate:
            score = state.attenuation * score
        entropy = self.entropy_coefficient * policy.entropy_gradient(last.outputs)

        # g_C ← B_C · 1;  g_A ← B_A ∇_π log π(a|h);  with symmetric feedback B is the readout's W
        g_critic, g_actor = params.critic.pullback(one), params.actor.pullback(score)
        gradient = ParameterGroups(
            actor=params.actor.gradient(features, score),
            critic=params.critic.gradient(features, one),
            cell=cell_gradient(g_critic + self.actor_coefficient * g_actor),
        )
        entropy_bonus = ParameterGroups(
            actor=params.actor.gradient(features, entropy),
            critic=zeros_like(params).critic,
            cell=cell_gradient(params.actor.pullback(entropy)),
        )
        return gradient, entropy_bonus

    def share_over_envs(self) -> Agent:
        return dataclasses.replace(self, optimizer=self.optimizer.over_envs())

    def shared_state(self, state: RTRRLState) -> tuple[Any, ...]:
        """Parameters and optimizer state; the input statistics are each environment's own."""
        return state.params, state.opt_state
