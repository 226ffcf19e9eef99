"""Recurrent proximal policy optimisation: the same cells, trained by BPTT on rollouts."""

import dataclasses
import math
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rtrrl import cells
from rtrrl.agents.actor_critic import ActorCritic
from rtrrl.agents.base import Action, Info, Observation, check_parts
from rtrrl.agents.rollout_buffer import Experience, Rollout, Transition
from rtrrl.agents.state import Carry, initial_carry
from rtrrl.cells.base import Input, State
from rtrrl.environments import AbstractEnvironment
from rtrrl.learning import readouts
from rtrrl.learning.normalizers import (
    ObservationNormalizer,
    RawObservations,
    RawRewards,
    ReturnScaledRewards,
    RewardNormalizer,
)
from rtrrl.learning.optimizers import Adam, OptaxOptimizer, ParameterGroups
from rtrrl.learning.policies import Gaussian, PlainScore, Policy, WhiteNoise
from rtrrl.learning.returns import td_error
from rtrrl.types import Key, PyTree, Scalar, parameters
from rtrrl.utils import validation
from rtrrl.utils.branching import cond_any
from rtrrl.utils.prng import inline_threefry


class PPOState(eqx.Module):
    """Everything that changes while a PPO agent lives."""

    parameters: ParameterGroups
    optimizer: PyTree
    rollout: Rollout
    now: Carry
    before: State
    """The recurrent state that `now.x` met."""
    begun: Bool[Array, ""]
    """Whether `now` is the first moment of an episode."""
    value: Scalar
    observation_statistics: PyTree
    reward_statistics: PyTree
    key: Key
    shuffling_key: Key
    steps: Int[Array, ""]
    rollouts: Int[Array, ""]
    """How many it has learnt from."""


class PPO(ActorCritic):
    """A recurrent actor-critic that learns whenever a rollout is full (Schulman et al. 2017).

    The rollout, of one stream, is cut into sequences that keep the recurrent state they start
    from. For some epochs it descends the loss of shuffled minibatches of whole sequences, by
    backpropagation through time inside each. Errors travel through the readouts' own weights.
    Any float may be an array with one entry per seed when it is trained.

    **Raises** `ValueError` where a setting is out of its range or one that PPO has no use for.
    """

    task: str = eqx.field(static=True)
    observation_size: int = eqx.field(static=True)
    policy: Policy
    cell: cells.CellConfig = cells.GRUConfig()
    feedback: readouts.Feedback = readouts.Symmetric()
    """The only one it knows."""
    optimizer: OptaxOptimizer = Adam(learning_rate=3e-4, clip=0.5, epsilon=1e-5)
    observation_normalizer: ObservationNormalizer = RawObservations()
    reward_normalizer: RewardNormalizer = RawRewards()
    rollout: int = eqx.field(static=True, default=1024)
    """Steps between two times of learning."""
    sequence: int = eqx.field(static=True, default=32)
    """Steps through which gradients travel at most."""
    minibatches: int = eqx.field(static=True, default=4)
    """Per epoch."""
    epochs: int = eqx.field(static=True, default=4)
    """Times that each rollout is learnt from."""
    gamma: float = 0.99
    """γ."""
    gae_lambda: float = 0.95
    """λ of the generalized advantages."""
    advantage_floor: float = 0.1
    """Added to the standard deviation by which advantages are divided, in units of reward."""
    ratio_clip: float = 0.2
    """ε."""
    value_coefficient: float = 0.5
    """c₁."""
    entropy_coefficient: float = 0.01
    """c₂."""
    decay_steps: float = math.inf
    """The learning rate falls linearly, to 0 after this many steps."""
    meta_input: bool = True
    """Feed the last action and reward back to the network."""

    def __check_init__(self) -> None:
        check_parts(self)
        if not isinstance(self.feedback, readouts.Symmetric):
            raise ValueError(
                f"feedback is {self.feedback}: PPO backpropagates through the readouts' own weights"
            )
        if isinstance(self.policy, Gaussian) and self.policy.scoring != PlainScore():
            raise ValueError(
                "PPO differentiates probabilities itself: scoring must be PlainScore()"
            )
        if isinstance(self.policy, Gaussian) and self.policy.noising != WhiteNoise():
            raise ValueError("PPO draws each action by itself: noising must be WhiteNoise()")
        for name in ("rollout", "sequence", "minibatches", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if self.rollout % (self.sequence * self.minibatches):
            raise ValueError(
                f"rollout is {self.rollout}: it must be a multiple of sequence x minibatches, "
                f"{self.sequence} x {self.minibatches}"
            )
        validation.in_unit_interval(gamma=self.gamma, gae_lambda=self.gae_lambda)
        validation.positive_or_inf(decay_steps=self.decay_steps)

    @classmethod
    def default(cls, task: str | AbstractEnvironment, **changes: Any) -> Self:
        """One setting for every task, found on CartPole, Acrobot and MemoryChain-8.

        Tiny advantages are not blown up to a variance of 1, as is usual: while rewards tell nothing
        yet they are noise, and a policy that follows noise ceases to explore. That floor is in
        units of the reward, hence the scaled rewards. Of the cells a GRU learnt most reliably.
        """
        return cls._for(task, {"reward_normalizer": ReturnScaledRewards()} | changes)

    def init(self, key: Key) -> PPOState:
        """Random weights, an empty rollout; everything else at rest."""
        *birth_keys, life_key, shuffling_key = jax.random.split(key, 5)
        groups = self.newborn(*birth_keys)
        return PPOState(
            parameters=groups,
            optimizer=self.optimizer.init(groups),
            rollout=Rollout.empty(self.rollout, self.sequence, groups.cell, self.policy),
            now=initial_carry(groups.cell, self.policy),
            before=groups.cell.initial_state(),
            begun=jnp.zeros((), bool),
            value=jnp.zeros(()),
            observation_statistics=self.observation_normalizer.init(self.observation_size),
            reward_statistics=self.reward_normalizer.init(),
            key=life_key,
            shuffling_key=shuffling_key,
            steps=jnp.zeros((), jnp.int32),
            rollouts=jnp.zeros((), jnp.int32),
        )

    def begin(self, state: PPOState, observation: Observation) -> tuple[PPOState, Action]:
        """h ← f(0, [o, 0, 0]); a ~ π(h)."""
        seen = self.observation_normalizer.update(state.observation_statistics, observation)
        x = self.cell_input(self.observation_normalizer(seen, observation))
        rest = state.parameters.cell.initial_state()
        h, y, value = _respond(state.parameters, rest, x)
        action = self._sample(state, y)
        state = dataclasses.replace(
            state,
            now=Carry(x, h, y, action, self.policy.no_noise),
            before=rest,
            begun=jnp.ones((), bool),
            value=value,
            observation_statistics=seen,
            reward_statistics=self.reward_normalizer.restart(state.reward_statistics),
            steps=state.steps + 1,
        )
        return state, self.policy.admissible(action)

    def step(
        self, state: PPOState, observation: Observation, reward: Scalar, discount: Scalar
    ) -> tuple[PPOState, Action, Info]:
        """Keeps the transition, learns if the rollout is full with it, then acts."""
        theta, now, gamma = state.parameters, state.now, self.gamma * discount

        # h', v' ← f(h, [o, a, r])
        seen = self.observation_normalizer.update(state.observation_statistics, observation)
        earned = self.reward_normalizer.update(state.reward_statistics, reward)
        reward = self.reward_normalizer(earned, reward)
        x = self.cell_input(self.observation_normalizer(seen, observation), now.action, reward)
        h, y, value = _respond(theta, now.h, x)
        delta = td_error(reward, gamma, value, state.value)

        # the rollout, with this step
        log_probability = self.policy.log_probability(now.y, now.action)
        transition = Transition(
            now.x, state.begun, now.action, log_probability, state.value, reward, gamma, value
        )
        state = dataclasses.replace(
            state,
            rollout=state.rollout.including(transition, state.before),
            now=dataclasses.replace(now, x=x, h=h, y=y),
            before=now.h,
            begun=jnp.zeros((), bool),
            value=value,
            observation_statistics=seen,
            reward_statistics=earned,
        )

        # θ ← several epochs of descent, if it is full
        state = cond_any(state.rollout.full, self._learn, state)

        # a ~ π(h')
        action = self._sample(state, state.now.y)
        state = dataclasses.replace(
            state, now=dataclasses.replace(state.now, action=action), steps=state.steps + 1
        )
        info = Info(delta, state.value, self.policy.entropy(state.now.y))
        return state, self.policy.admissible(action), info

    def loss(self, theta: ParameterGroups, minibatch: Experience) -> Scalar:
        """The mean over all steps of −min(ρ A, clip(ρ, 1 ± ε) A) + c₁ (v − G)² − c₂ H.

        ρ = π(a | h) / π_old(a | h), A the advantage centred and scaled over the minibatch, G the
        λ-return, h the state that is lived again with the weights that are being learnt.
        """
        lived = minibatch.lived
        y, value = jax.vmap(replay, (None, 0, 0))(theta, minibatch.h, lived)
        log_probability = jax.vmap(jax.vmap(self.policy.log_probability))(y, lived.action)
        ratio = jnp.exp(log_probability - lived.log_probability)
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
        """Epochs over the rollout's minibatches; then the present, as the new weights see it."""
        experience = state.rollout.experience(self.gae_lambda)
        age = state.rollouts * self.rollout
        rate = jnp.maximum(1 - age / self.decay_steps, 0.0)
        descent = self.optimizer.transformation()

        def descend(
            learner: tuple[ParameterGroups, PyTree], minibatch: Experience
        ) -> tuple[Any, None]:
            theta, optimizer = learner
            learnt = parameters(theta)
            loss = lambda learnt: self.loss(eqx.combine(learnt, theta), minibatch)  # noqa: E731
            change, optimizer = descent.update(jax.grad(loss)(learnt), optimizer, learnt)
            theta = eqx.apply_updates(theta, jax.tree.map(lambda change: rate * change, change))
            return (dataclasses.replace(theta, cell=theta.cell.project()), optimizer), None

        def epoch(learner: tuple[ParameterGroups, PyTree], key: Key) -> tuple[Any, None]:
            order = jax.random.permutation(key, len(experience.h)).reshape(self.minibatches, -1)
            return jax.lax.scan(
                descend, learner, jax.tree.map(lambda part: part[order], experience)
            )

        keys = jax.random.split(
            jax.random.fold_in(state.shuffling_key, state.rollouts), self.epochs
        )
        learner = state.parameters, state.optimizer
        (theta, optimizer), _ = jax.lax.scan(epoch, learner, keys)
        h, y, value = _respond(theta, state.before, state.now.x)
        return dataclasses.replace(
            state,
            parameters=theta,
            optimizer=optimizer,
            rollout=state.rollout.emptied(),
            now=dataclasses.replace(state.now, h=h, y=y),
            value=value,
            rollouts=state.rollouts + 1,
        )

    def _sample(self, state: PPOState, y: Float[Array, "outputs"]) -> Action:
        # one hash a step instead of splitting and carrying keys
        return self.policy.sample(jax.random.fold_in(inline_threefry(state.key), state.steps), y)


def replay(
    theta: ParameterGroups, h: State, lived: Transition
) -> tuple[Float[Array, "time outputs"], Float[Array, "time"]]:
    """The actor's outputs and the values of a sequence lived again from h with weights θ."""

    def turn(h: State, now: tuple[Input, Bool[Array, ""]]) -> tuple[State, State]:
        x, begun = now
        h = theta.cell(jnp.where(begun, theta.cell.initial_state(), h), x)
        return h, h

    _, states = jax.lax.scan(turn, h, (lived.x, lived.begun))
    return jax.vmap(_read, (None, 0, 0))(theta, states, lived.x)


def _respond(
    theta: ParameterGroups, h: State, x: Input
) -> tuple[State, Float[Array, "outputs"], Scalar]:
    """h' = f(h, x), the actor's outputs and v̂(h')."""
    h = theta.cell(h, x)
    return h, *_read(theta, h, x)


def _read(theta: ParameterGroups, h: State, x: Input) -> tuple[Float[Array, "outputs"], Scalar]:
    features = theta.cell.features(h, x)
    return theta.actor(features), theta.critic(features)[0]
