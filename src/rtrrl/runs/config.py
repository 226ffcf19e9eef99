"""The configuration of a run, as written to config.json."""

import dataclasses
import json
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All that determines a run; two runs of one config on one machine have the same bits."""

    agent: Agent
    environment: AbstractEnvironment
    steps: int
    """Of each seed."""
    seeds: tuple[int, ...]
    evaluations: int = 50
    """How many, spread evenly over the steps."""
    episodes: int = 10
    """Of each evaluation."""
    greedy: bool = False
    """Whether evaluation takes the policy's mode."""
    patience: int | None = None
    """Evaluations without a new best in any seed after which the run stops."""
    num_envs: int = 1
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "evaluations", "episodes", "num_envs", "workers"):
            if getattr(self, name) < 1:
                raise RtrrlError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not self.seeds:
            raise RtrrlError("there is no seed to train: give at least one")
        for seed, times in Counter(self.seeds).items():
            if times > 1:
                raise RtrrlError(f"seed {seed} is given twice: its rows could not be distinguished")
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
            if isinstance(error, RtrrlError):
                raise
            raise RunFolderError(
                f"the run's config.json is damaged: {error}; restore it from a copy, or train anew"
            ) from error
        given = serialization.to_dict(found.environment, describe=True)
        if json.dumps(given) != json.dumps(wanted):  # as text: NaN is not equal to itself
            raise RunFolderError(
                f"the run's environment is {config['task']}, {wanted}, and not "
                f"{found.environment.name}, {given}: pass the one that it was trained in"
            )
        return found
