"""What a run is to do, as one value that config.json holds whole."""

import dataclasses
import operator
from collections import Counter
from typing import Any, Self

import equinox as eqx
import jax

from rtrrl.agents import Agent
from rtrrl.environments import AbstractEnvironment, make
from rtrrl.errors import RtrrlError, RunFolderError
from rtrrl.runs import serialization


def whole(name: str, number: Any) -> int:
    """`number` as Python's int. **Raises** `RtrrlError` where it is no whole number."""
    try:
        return operator.index(number)
    except TypeError:
        raise RtrrlError(f"{name} is {number!r}: it must be a whole number") from None


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that determines a run; two runs of one plan on one machine have the same bits."""

    agent: Agent
    environment: AbstractEnvironment
    steps: int
    seeds: tuple[int, ...]
    evaluations: int
    episodes: int
    greedy: bool
    patience: int | None
    num_envs: int
    workers: int

    def __post_init__(self) -> None:
        for name in ("steps", "evaluations", "episodes", "num_envs", "workers"):
            if getattr(self, name) < 1:
                raise RtrrlError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not self.seeds:
            raise RtrrlError("there is no seed to train: give at least one")
        for seed, times in Counter(self.seeds).items():
            if times > 1:
                raise RtrrlError(f"seed {seed} is given twice: its rows could not be told apart")
            if not -(2**31) <= seed < 2**31:
                raise RtrrlError(f"seed {seed} is too large: it must fit into 32 bits")
        if self.patience is not None and self.patience < 1:
            raise RtrrlError(f"patience is {self.patience}: it must be 1 or more")
        for leaf in jax.tree.leaves(eqx.filter(self.agent, eqx.is_array)):
            if leaf.shape[:1] != (len(self.seeds),):
                raise RtrrlError(
                    f"a setting is an array of shape {leaf.shape}: expected one entry for each of "
                    f"the {len(self.seeds)} seeds"
                )

    def next_evaluation(self, step: int) -> int:
        """The step of the first evaluation after `step`; they are spread evenly over the budget."""
        done = step * self.evaluations // self.steps
        return next(
            at
            for i in range(done, self.evaluations + 1)
            if (at := i * self.steps // self.evaluations) > step
        )

    def config(self, describe: bool = False) -> dict[str, Any]:
        """The plan as JSON; `of` reads it back, unless it only describes (see `to_dict`)."""
        return {
            "task": self.environment.name,
            "agent": serialization.label(self.agent, self.environment),
            "steps": self.steps,
            "seeds": list(self.seeds),
            "evaluations": self.evaluations,
            "episodes": self.episodes,
            "greedy": self.greedy,
            "patience": self.patience,
            "num_envs": self.num_envs,
            "workers": self.workers,
            "settings": serialization.to_dict(self.agent, describe),
        }

    @classmethod
    def of(cls, config: dict[str, Any], environment: AbstractEnvironment | None = None) -> Self:
        """The plan that `config` was made of.

        **Raises** `RunFolderError` where an entry is missing or is not what it should be.
        """
        derived = {"agent", "environment", "seeds"}
        plain = {field.name for field in dataclasses.fields(cls)} - derived
        try:
            agent = serialization.from_dict(config["settings"])
            if not isinstance(agent, Agent):
                raise TypeError(f"its settings are a {type(agent).__name__}'s, not an agent's")
            return cls(
                agent=agent,
                environment=environment or make(config["task"]),
                seeds=tuple(config["seeds"]),
                **{name: config[name] for name in plain},
            )
        except KeyError as error:
            raise RunFolderError(
                f"the run's config.json lacks {error}: restore it from a copy, or train anew"
            ) from error
        except (TypeError, ValueError) as error:
            if isinstance(error, RtrrlError):
                raise
            raise RunFolderError(
                f"the run's config.json is damaged: {error}; restore it from a copy, or train anew"
            ) from error
