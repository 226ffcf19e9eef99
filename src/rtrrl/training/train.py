"""Train agents, resume a run, load its agents."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rtrrl.agents import Agent
from rtrrl.agents.registry import make_agent
from rtrrl.environments import AbstractEnvironment, HostEnvironment, as_environment
from rtrrl.environments.spaces import Box
from rtrrl.errors import RtrrlError
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.config import RunConfig, whole
from rtrrl.runs.run import Run, TrainedAgents
from rtrrl.training.callbacks import Callback, ShowProgress
from rtrrl.training.runners import make_runner
from rtrrl.training.trainer import Trainer


def train(
    env: str | AbstractEnvironment | Callable[[], Any],
    agent: str | Agent = "default",
    *,
    steps: int = 500_000,
    seeds: int | Sequence[int] = 5,
    out: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    evaluations: int = 50,
    episodes: int = 10,
    greedy: bool = False,
    patience: int | None = None,
    num_envs: int = 1,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Run:
    """Train an agent, one copy of it per seed, each from its own stream of experience.

    `env` is the name of a task, an environment, or a function that makes a `gymnasium.Env`; `agent`
    is a name that `rtrrl agents` lists, or an `Agent` made for the environment.

    Seeds, and settings that are arrays with one entry per seed, run side by side, spread over
    `workers` threads (default: the cores). For environments that Python steps the default is 1;
    with more, each seed's environment has a process of its own, and a script needs its main part
    inside `if __name__ == "__main__":`. With `num_envs` above 1 each agent acts in as many copies
    of the environment at once and learns from their mean update; `steps` are those of each copy.

    After every `steps/evaluations` steps each seed's frozen agent runs exactly `episodes` whole
    episodes, with the policy's mode if `greedy`; `run.best` is the highest of these scores,
    `run.final` the mean over the last tenth. With `patience`, training stops once no seed has
    improved for that many evaluations. With `out` everything needed to read, repeat and resume the
    run is written into that folder; `overwrite` replaces a run that is in it. Ctrl-C ends the run
    and keeps all of it.

    **Raises** `RtrrlError` for invalid arguments, `NonFiniteError` where NaN or infinity comes from
    the environment or arises in the agent (the last checkpoint stays).

    >>> run = train("TMaze-3", steps=60, seeds=2, evaluations=3, episodes=2)
    >>> run.best.shape, len(run.metrics)
    ((2,), 6)
    """
    if isinstance(env, Agent):
        raise RtrrlError("the environment comes first: rtrrl.train(environment, agent)")
    environment, callbacks = as_environment(env), _with_progress(callbacks, progress)
    if isinstance(agent, str):
        agent = make_agent(agent, environment)
    _check_fit(agent, environment)
    chosen = tuple(seeds) if isinstance(seeds, Iterable) else range(whole("seeds", seeds))
    config = RunConfig(
        agent=agent,
        environment=environment,
        steps=whole("steps", steps),
        seeds=tuple(whole("a seed", seed) for seed in chosen),
        evaluations=min(whole("evaluations", evaluations), steps),
        episodes=whole("episodes", episodes),
        greedy=greedy,
        patience=patience,
        num_envs=whole("num_envs", num_envs),
        workers=_default_workers(environment, len(chosen))
        if workers is None
        else whole("workers", workers),
    )
    with make_runner(config) as runner:
        try:
            states = runner.init()  # before the folder is made, as it may fail
        except ValueError as error:  # a setting that only the cell checks
            raise RtrrlError(f"{error}") from error
        folder = None if out is None else storage.create(out, config.to_dict(), overwrite)
        trainer = Trainer(
            config=config, runner=runner, states=states, folder=folder, callbacks=callbacks
        )
        trainer.save()
        return trainer.run()


def resume(
    folder: str | Path,
    *,
    environment: AbstractEnvironment | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> Run:
    """Continue a run that was interrupted or killed, with the same bits as without interruption.

    `environment` is needed if that of the run has no registered name.

    **Raises** `RunFolderError` where the folder holds no such run; nothing is overwritten then.
    """
    folder = Path(folder)
    written, meta = storage.open_for_resume(folder)
    config = RunConfig.from_dict(written, environment)
    with make_runner(config) as runner:
        saved, _ = checkpoints.load(folder / storage.CHECKPOINT, runner.template(meta))
        rows = storage.rewind(folder, meta["step"])
        return Trainer(
            config=config,
            runner=runner,
            states=runner.from_saved(saved),
            folder=folder,
            callbacks=_with_progress(callbacks, progress),
            step=meta["step"],
            rows=rows,
        ).run()


def load(folder: str | Path, *, environment: AbstractEnvironment | None = None) -> TrainedAgents:
    """The agents of a run as they were last saved.

    `environment` is needed if that of the run has no registered name.

    **Raises** `RunFolderError` where the folder holds no run or a damaged one.
    """
    folder = Path(folder)
    config = RunConfig.from_dict(storage.load_run(folder).config, environment)
    meta = checkpoints.read_meta(folder / storage.CHECKPOINT)
    with make_runner(config) as runner:
        saved, meta = checkpoints.load(folder / storage.CHECKPOINT, runner.template(meta))
        states = runner.agent_states(saved)
    return TrainedAgents(config=config, states=states, step=meta["step"])


def _with_progress(callbacks: Sequence[Callback], progress: bool) -> Sequence[Callback]:
    """The callbacks, after a progress bar if there is to be one. **Raises** `RtrrlError`."""
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise RtrrlError(f"{callback!r} is no callback: expected an rtrrl.Callback")
    return (ShowProgress(), *callbacks) if progress else callbacks


def _check_fit(agent: Agent, environment: AbstractEnvironment) -> None:
    """**Raises** `RtrrlError` where the agent was made for other spaces."""
    if not isinstance(agent, Agent):
        raise RtrrlError(f"the agent is {agent!r}: expected a name or an Agent")
    space, size = environment.observation_space, getattr(agent, "observation_size", None)
    if size is not None and isinstance(space, Box) and space.size != size:
        raise RtrrlError(
            f"the agent was made for observations of {size} numbers, and those of "
            f"{environment.name} have {space.size}: make it for this environment"
        )
    policy = getattr(agent, "policy", None)
    if policy is not None and policy.action_space != environment.action_space:
        raise RtrrlError(
            f"the agent was made for the actions {policy.action_space}, and those of "
            f"{environment.name} are {environment.action_space}: make it for this environment"
        )


def _default_workers(environment: AbstractEnvironment, seeds: int) -> int:
    # a process rarely pays for an environment on the host (docs/decisions/0008)
    if isinstance(environment, HostEnvironment):
        return 1
    return min(os.cpu_count() or 1, max(1, seeds))
