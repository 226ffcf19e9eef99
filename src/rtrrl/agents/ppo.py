"""Recurrent proximal policy optimisation, by backpropagation through time on rollouts."""

import dataclasses
import math
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rtrrl import cells
from rtrrl.agents import presets
from rtrrl.agents.actor_critic import ActorCritic, apply_updates
from rtrrl.agents.base import Action, Info, Observation
from rtrrl.agents.rollout_buffer import Rollout, Sequences, Transition
from rtrrl.agents.state import Carry, initial_carry, step_key
from rtrrl.cells.base import Input, State
from rtrrl.environments import AbstractEnvironment
from rtrrl.errors import SettingError
from rtrrl.learning import readouts
from rtrrl.learning.input_pipeline import InputPipeline, InputStatistics
from rtrrl.learning.optimizers import Adam, OptaxOptimizer, ParameterGroups
from rtrrl.learning.policies import Gaussian, Joint, PlainScore, Policy, WhiteNoise
from rtrrl.learning.returns import td_error
from rtrrl.types import Key, PyTree, Scalar, parameters
from rtrrl.utils import validation
from rtrrl.utils.branching import cond_any


class PPOState(eqx.Module):
    """The state of a PPO agent."""

    params: ParameterGroups
    opt_state: PyTree
    rollout: Rollout
    """The transitions since the last update."""
    last: Carry
    """The last step."""
    previous_h: State
    """The recurrent state before `last.x`."""
    is_first: Bool[Array, ""]
    """Whether `last` is the first step of an episode."""
    value: Scalar
    """v̂ of `last.h`."""
    input_stats: InputStatistics
    key: Key
    shuffling_key: Key
    steps: Int[Array, ""]
    """The number of actions taken."""
    rollouts: Int[Array, ""]
    """The number of rollouts learned from."""


class PPO(ActorCritic):
    """A recurrent actor-critic that learns whenever a rollout is full (Schulman et al. 2017).

    The rollout, of one environment, is cut into sequences, each with the recurrent state before it.
    In each epoch the agent descends the loss of shuffled minibatches of whole sequences, by
    backpropagation through time within each. A float may be an array with one entry per seed.

    **Raises** `SettingError` where a setting is out of its range or does not apply to PPO.
    """

    task: str = eqx.field(static=True)
    """The environment's name."""
    observation_size: int = eqx.field(static=True)
    """The length of an observation."""
    policy: Policy
    """The distribution over actions."""
    cell: cells.CellConfig = cells.GRUConfig()
    """The recurrent cell."""
    feedback: readouts.Feedback = readouts.Symmetric()
    """How errors of the readouts reach the cell: only symmetric feedback applies."""
    optimizer: OptaxOptimizer = Adam(learning_rate=3e-4, clip=0.5, epsilon=1e-5)
    """From gradients to updates of the parameters."""
    inputs: InputPipeline = InputPipeline()
    """Normalisation of observations and rewards, and the exploration bonus."""
    rollout: int = eqx.field(static=True, default=1024)
    """Steps between two updates."""
    sequence: int = eqx.field(static=True, default=32)
    """Steps of a sequence, through which gradients are backpropagated."""
    minibatches: int = eqx.field(static=True, default=4)
    """Minibatches per epoch."""
    epochs: int = eqx.field(static=True, default=4)
    """Passes over each rollout."""
    gamma: float = 0.99
    """γ, the discount factor."""
    gae_lambda: float = 0.95
    """λ of the generalized advantages."""
    advantage_floor: float = 0.1
    """Added to the standard deviation by which advantages are divided, in units of reward."""
    ratio_clip: float = 0.2
    """ε, the bound of |ρ − 1|, ρ the ratio of probabilities."""
    value_coefficient: float = 0.5
    """c₁, the weight of the value's squared error."""
    entropy_coefficient: float = 0.01
    """c₂, the weight of the policy's entropy."""
    decay_steps: float = math.inf
    """Steps over which the learning rate falls linearly to 0."""
    meta_input: bool = True
    """Whether the cell's input includes the last action and reward."""

    def __check_init__(self) -> None:
        if not isinstance(self.feedback, readouts.Symmetric):
            raise SettingError(
                f"feedback is {self.feedback}: PPO backpropagates through the readouts' own weights"
            )
        numbers = self.policy.numbers if isinstance(self.policy, Joint) else self.policy
        if isinstance(numbers, Gaussian) and numbers.score_estimator != PlainScore():
            raise SettingError(
                "PPO differentiates probabilities itself: score_estimator must be PlainScore()"
            )
        if isinstance(numbers, Gaussian) and numbers.noise_process != WhiteNoise():
            raise SettingError("PPO samples independently: noise_process must be WhiteNoise()")
        validation.counts(
            rollout=self.rollout,
            sequence=self.sequence,
            minibatches=self.minibatches,
            epochs=self.epochs,
        )
        if self.rollout % (self.sequence * self.minibatches):
            raise SettingError(
                f"rollout is {self.rollout}: it must be a multiple of sequence x minibatches, "
                f"{self.sequence} x {self.minibatches}"
            )
        validation.in_unit_interval(gamma=self.gamma, gae_lambda=self.gae_lambda)
        validation.nonnegative(advantage_floor=self.advantage_floor)
        validation.positive_or_inf(ratio_clip=self.ratio_clip, decay_steps=self.decay_steps)
        validation.finite(
            value_coefficient=self.value_coefficient, entropy_coefficient=self.entropy_coefficient
        )

    @classmethod
    def default(cls, environment: str | AbstractEnvironment, **changes: Any) -> Self:
        """PPO with the same settings for every environment."""
        return cls._make(environment, presets.PPO_DEFAULT, changes)

    def init(self, key: Key) -> PPOState:
        *param_keys, state_key, shuffling_key = jax.random.split(key, 5)
        params = self.init_params(*param_keys)
        return PPOState(
            params=params,
            opt_state=self.optimizer.init(params),
            rollout=Rollout.empty(self.rollout, self.sequence, params.cell, self.policy),
            last=initial_carry(params.cell, self.policy),
            previous_h=params.cell.initial_state(),
            is_first=jnp.zeros((), bool),
            value=jnp.zeros(()),
            input_stats=self.inputs.init(self.observation_size),
            key=state_key,
            shuffling_key=shuffling_key,
            steps=jnp.zeros((), jnp.int32),
            rollouts=jnp.zeros((), jnp.int32),
        )

    def begin(self, state: PPOState, observation: Observation) -> tuple[PPOState, Action]:
        """h ← f(0, [o, 0, 0]);  a ~ π(h)."""
        observation = self.observed(observation)
        input_stats, observation = self.inputs.begin(state.input_stats, observation)
        x, initial_state = self.cell_input(observation), state.params.cell.initial_state()
        h, outputs, value = _forward(state.params, initial_state, x)
        state = dataclasses.replace(
            state,
            last=dataclasses.replace(state.last, x=x, h=h, outputs=outputs),
            previous_h=initial_state,
            is_first=jnp.ones((), bool),
            value=value,
            input_stats=input_stats,
        )
        return self._act(state)

    def step(
        self, state: PPOState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[PPOState, Action, Info]:
        """Store the transition, learn if the rollout is full, then act."""
        observation, reward, discount = self.received(observation, reward, discount)
        last, gamma = state.last, self.gamma * discount

        # h', v' ← f(h, [o, a, r])
        input_stats, inputs = self.inputs.step(state.input_stats, observation, reward)
        x = self.cell_input(inputs.observation, last.action, inputs.reward)
        h, outputs, value = _forward(state.params, last.h, x)
        reward = inputs.reward + inputs.bonus
        delta = td_error(reward, gamma, value, state.value)

        # the rollout with this step
        transition = Transition(
            x=last.x,
            is_first=state.is_first,
            action=last.action,
            log_probability=self.policy.log_probability(last.outputs, last.action),
            value=state.value,
            reward=reward,
            discount=gamma,
            next_value=value,
        )
        state = dataclasses.replace(
            state,
            rollout=state.rollout.add(transition, state.previous_h),
            last=dataclasses.replace(last, x=x, h=h, outputs=outputs),
            previous_h=last.h,
            is_first=jnp.zeros((), bool),
            value=value,
            input_stats=input_stats,
        )

        # θ ← several epochs of descent, if it is full
        state = cond_any(state.rollout.full, self._learn, state)

        # a ~ π(h')
        state, action = self._act(state)
        return state, action, Info(delta, state.value, self.policy.entropy(state.last.outputs))

    def loss(self, params: ParameterGroups, minibatch: Sequences) -> Scalar:
        """The mean over all steps of −min(ρ A, clip(ρ, 1 ± ε) A) + c₁ (v − G)² − c₂ H.

        ρ = π(a | h) / π_old(a | h), A the advantage centred and scaled over the minibatch, G the
        λ-return, h the state of a replay with the parameters that are being learned.
        """
        steps = minibatch.transitions
        y, value = jax.vmap(replay, (None, 0, 0))(params, minibatch.h, steps)
        log_probability = jax.vmap(jax.vmap(self.policy.log_probability))(y, steps.action)
        ratio = jnp.exp(log_probability - steps.log_probability)
        advantage = minibatch.advantage - minibatch.advantage.mean()
        advantage /= advantage.std() + self.advantage_floor
        clipped = jnp.clip(ratio, 1 - self.ratio_clip, 1 + self.ratio_clip)
        gain = jnp.minimum(ratio * advantage, clipped * advantage)
        squared_error = (value - minibatch.target) ** 2
        entropy = jax.vmap(jax.vmap(self.policy.entropy))(y)
        return jnp.mean(
            self.value_coefficient * squared_error - gain - self.entropy_coefficient * entropy
        )

    def _learn(self, state: PPOState) -> PPOState:
        """Epochs over the rollout's minibatches; then the last step with the new parameters."""
        sequences = state.rollout.sequences(self.gae_lambda)
        age = state.rollouts * self.rollout
        rate = jnp.maximum(1 - age / self.decay_steps, 0.0)
        transformation = self.optimizer.transformation()

        def descend(
            carry: tuple[ParameterGroups, PyTree], minibatch: Sequences
        ) -> tuple[Any, None]:
            params, opt_state = carry
            learned = parameters(params)
            loss = lambda learned: self.loss(eqx.combine(learned, params), minibatch)  # noqa: E731
            updates, opt_state = transformation.update(jax.grad(loss)(learned), opt_state, learned)
            updates = jax.tree.map(lambda update: rate * update, updates)
            return (apply_updates(params, updates), opt_state), None

        def epoch(carry: tuple[ParameterGroups, PyTree], key: Key) -> tuple[Any, None]:
            order = jax.random.permutation(key, len(sequences.h)).reshape(self.minibatches, -1)
            minibatches = jax.tree.map(lambda part: part[order], sequences)
            return jax.lax.scan(descend, carry, minibatches)

        key = jax.random.fold_in(state.shuffling_key, state.rollouts)
        (params, opt_state), _ = jax.lax.scan(
            epoch, (state.params, state.opt_state), jax.random.split(key, self.epochs)
        )
        h, outputs, value = _forward(params, state.previous_h, state.last.x)
        return dataclasses.replace(
            state,
            params=params,
            opt_state=opt_state,
            rollout=state.rollout.cleared(),
            last=dataclasses.replace(state.last, h=h, outputs=outputs),
            value=value,
            rollouts=state.rollouts + 1,
        )

    def _act(self, state: PPOState) -> tuple[PPOState, Action]:
        """a ~ π(h)."""
        action = self.policy.sample(step_key(state), state.last.outputs)
        last = dataclasses.replace(state.last, action=action)
        state = dataclasses.replace(state, last=last, steps=state.steps + 1)
        return state, self.policy.admissible(action)


def replay(
    params: ParameterGroups, h: State, steps: Transition
) -> tuple[Float[Array, "time outputs"], Float[Array, "time"]]:
    """The actor's outputs and the values of a sequence that is recomputed from h."""

    def step(h: State, inputs: tuple[Input, Bool[Array, ""]]) -> tuple[State, State]:
        x, is_first = inputs
        h = params.cell(jnp.where(is_first, params.cell.initial_state(), h), x)
        return h, h

    _, states = jax.lax.scan(step, h, (steps.x, steps.is_first))
    return jax.vmap(_readouts, (None, 0, 0))(params, states, steps.x)


def _forward(
    params: ParameterGroups, h: State, x: Input
) -> tuple[State, Float[Array, "outputs"], Scalar]:
    """h' = f(h, x), the actor's outputs and v̂(h')."""
    h = params.cell(h, x)
    return h, *_readouts(params, h, x)


def _readouts(
    params: ParameterGroups, h: State, x: Input
) -> tuple[Float[Array, "outputs"], Scalar]:
    features = params.cell.features(h, x)
    return params.actor(features), params.critic(features)[0]
