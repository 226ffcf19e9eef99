"""The configuration of a run, as written to config.json."""

import dataclasses
import operator
from collections import Counter
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rtrrl.agents import Agent
from rtrrl.agents.monitoring import unmonitored
from rtrrl.environments import AbstractEnvironment, make
from rtrrl.errors import RtrrlError, RunFolderError, SettingError
from rtrrl.runs import serialization

MAX_EPISODE_STEPS = 10_000
"""Of an evaluation, unless `max_episode_steps` says otherwise."""


def whole(name: str, number: Any) -> int:
    """`number` as Python's int, also where it is a float such as 1e5.

    **Raises** `RtrrlError` where it is not a whole number.
    """
    is_whole_float = isinstance(number, float | np.floating) and number.is_integer()
    value: Any = int(number) if is_whole_float else number
    try:
        return operator.index(value)
    except TypeError:
        raise RtrrlError(f"{name} is {number!r}: it must be a whole number") from None


def count(name: str, number: Any) -> int:
    """`number` as an int. **Raises** `RtrrlError` where it is not a whole number of 1 or more."""
    if whole(name, number) < 1:
        raise RtrrlError(f"{name} is {number}: it must be 1 or more")
    return whole(name, number)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All that determines a run; two runs of one config on one machine have the same bits."""

    agent: Agent
    environment: AbstractEnvironment
    steps: int
    """Of each seed."""
    seeds: tuple[int, ...]
    """A seed may be repeated where a setting that is an array differs."""
    evaluations: int = 50
    """How many, spread evenly over the steps."""
    episodes: int = 10
    """Of each evaluation."""
    greedy: bool = False
    """Whether evaluation takes the policy's mode."""
    max_episode_steps: int = MAX_EPISODE_STEPS
    """Evaluation episodes that have not ended by then are cut."""
    patience: int | None = None
    """Evaluations without a new best in any seed after which the run stops."""
    patience_after: int = 0
    """The patience counts the evaluations after this step, against the best of all."""
    num_envs: int = 1
    workers: int = 1
    start_from: str | None = None
    """Where the initial states of the agents come from, if not from the seeds."""

    def __post_init__(self) -> None:
        counts = ("steps", "evaluations", "episodes", "max_episode_steps", "num_envs", "workers")
        for name in counts:
            if getattr(self, name) < 1:
                raise RtrrlError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not self.seeds:
            raise RtrrlError("there is no seed to train: give at least one")
        for seed in self.seeds:
            if not 0 <= seed < 2**32:
                raise RtrrlError(f"seed {seed} is out of range: expected 0 to {2**32 - 1:,}")
        if self.steps >= 2**31:
            raise RtrrlError(f"steps is {self.steps:,}: expected at most {2**31 - 1:,}")
        if self.patience is not None and self.patience < 1:
            raise RtrrlError(f"patience is {self.patience}: it must be 1 or more")
        object.__setattr__(self, "agent", _with_plain_numbers(self.agent))
        for path, leaf in self._arrays().items():
            if leaf.shape[:1] != (len(self.seeds),):
                raise RtrrlError(
                    f"{path} is an array of shape {leaf.shape}: expected one entry for each "
                    f"seed, of which there are {len(self.seeds)}"
                )
        copies = Counter(zip(self.seeds, *self.per_seed.values(), strict=True))
        for (seed, *_), times in copies.items():
            if times > 1:
                raise RtrrlError(
                    f"seed {seed} is given twice with the same settings: leave one out, or "
                    "make a setting an array with one entry for each seed"
                )

    def _arrays(self) -> dict[str, Array]:
        """The settings that are arrays, by dotted path in the agent before it was `monitored`."""
        arrays = eqx.filter(unmonitored(self.agent), eqx.is_array)
        leaves = jax.tree_util.tree_leaves_with_path(arrays)
        return {jax.tree_util.keystr(path, simple=True, separator="."): x for path, x in leaves}

    @property
    def per_seed(self) -> dict[str, tuple[float, ...]]:
        """The agent's settings that are arrays with one number per seed, by dotted path."""
        arrays = self._arrays().items()
        return {path: tuple(serialization.numbers(x)) for path, x in arrays if x.ndim == 1}

    @property
    def seed_names(self) -> tuple[str, ...]:
        """What to call each seed: its number, with the settings of its own if it is repeated."""
        own = [
            "".join(f", {path}={values[i]}" for path, values in self.per_seed.items())
            for i in range(len(self.seeds))
        ]
        times = Counter(self.seeds)
        return tuple(
            f"{seed}{own[i] if times[seed] > 1 else ''}" for i, seed in enumerate(self.seeds)
        )

    @property
    def label(self) -> str:
        """The agent's name, with the settings that differ from the named agent."""
        return serialization.label(self.agent, self.environment)

    def next_evaluation(self, step: int) -> int:
        """The step of the first evaluation after `step`."""
        done = step * self.evaluations // self.steps
        return next(
            at
            for i in range(done, self.evaluations + 1)
            if (at := i * self.steps // self.evaluations) > step
        )

    def up_to(self, steps: int, now: int) -> Self:
        """The same run with another number of steps, and evaluations in the same intervals.

        Its patience counts from the step `now`.
        """
        evaluations = max(1, round(self.evaluations * steps / self.steps))
        return dataclasses.replace(self, steps=steps, evaluations=evaluations, patience_after=now)

    def to_dict(self, describe: bool = False) -> dict[str, Any]:
        """The config as JSON; `from_dict` reads it back, unless it only describes."""
        plain = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("agent", "environment")
        }
        return {
            "task": self.environment.name,
            "agent": self.label,
            **plain,
            "seeds": list(self.seeds),
            "per_seed": {path: serialization.strict(x) for path, x in self.per_seed.items()},
            "settings": serialization.to_dict(self.agent, describe),
            "environment": serialization.to_dict(self.environment, describe=True),
        }

    @classmethod
    def from_dict(
        cls, config: dict[str, Any], environment: AbstractEnvironment | None = None
    ) -> Self:
        """The inverse of `to_dict`; the environment is made by its name unless it is given.

        **Raises** `RunFolderError` where an entry is missing or malformed, or where the environment
        is not the one of the run.
        """
        derived = {"agent", "environment", "seeds"}
        plain = {field.name for field in dataclasses.fields(cls)} - derived
        try:
            agent = serialization.from_dict(config["settings"])
            if not isinstance(agent, Agent):
                raise TypeError(f"its settings are a {type(agent).__name__}'s, not an agent's")
            found = cls(
                agent=agent,
                environment=environment or make(config["task"]),
                seeds=tuple(config["seeds"]),
                **{name: config[name] for name in plain},
            )
            wanted = config["environment"]
        except KeyError as error:
            raise RunFolderError(
                f"the run's config.json lacks {error}: restore it from a copy, or train anew"
            ) from error
        except (TypeError, ValueError) as error:
            if isinstance(error, RtrrlError) and not isinstance(error, SettingError):
                raise
            raise RunFolderError(
                f"the run's config.json is damaged: {error}; restore it from a copy, or train anew"
            ) from error
        given = serialization.to_dict(found.environment, describe=True)
        if given != serialization.strict(wanted):
            raise RunFolderError(
                f"the run's environment is {config['task']}, {wanted}, and not "
                f"{found.environment.name}, {given}: pass the one that it was trained in"
            )
        return found


def _with_plain_numbers(agent: Agent) -> Agent:
    """The agent with Python's numbers for scalars of NumPy and JAX."""

    def plain(leaf: Any) -> Any:
        scalar = eqx.is_array(leaf) and leaf.ndim == 0 and jnp.issubdtype(leaf.dtype, jnp.number)
        return serialization.numbers(leaf) if scalar else leaf

    return jax.tree.map(plain, agent)
