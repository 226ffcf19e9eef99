"""Train agents, resume a run, load its agents."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rtrrl.agents import Agent
from rtrrl.agents.base import check_fit
from rtrrl.agents.registry import make_agent
from rtrrl.agents.transfer import for_environment
from rtrrl.environments import AbstractEnvironment, HostEnvironment, as_environment
from rtrrl.errors import RtrrlError, RunFolderError
from rtrrl.runs import checkpoints, storage
from rtrrl.runs.config import MAX_EPISODE_STEPS, RunConfig, whole
from rtrrl.runs.locking import hold, make_folder
from rtrrl.runs.run import Run, StopReason, TrainedAgents, rows_of
from rtrrl.training.best import BestAgents, restored
from rtrrl.training.callbacks import Callback, ShowProgress
from rtrrl.training.runners import make_runner
from rtrrl.training.trainer import Trainer
from rtrrl.types import PyTree
from rtrrl.utils.arrays import in_words
from rtrrl.utils.forking import refuse_after_fork


def train(
    env: str | AbstractEnvironment | Callable[[], Any],
    agent: str | Agent | None = None,
    *,
    steps: int | float = 500_000,
    seeds: int | Sequence[int] | None = None,
    out: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    evaluations: int = 50,
    episodes: int = 10,
    greedy: bool = False,
    max_episode_steps: int = MAX_EPISODE_STEPS,
    patience: int | None = None,
    num_envs: int = 1,
    workers: int | None = None,
    start_from: str | Path | Run | TrainedAgents | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Run:
    """Train an agent, one copy of it per seed, each from its own stream of experience.

    `env` is the name of a task, an environment, or a function that makes a `gymnasium.Env`; `agent`
    is a name that `rtrrl agents` lists (by default "default"), or an `Agent` made for the
    environment.

    Seeds (a number of them, or a list; by default 0 to 4), and settings that are arrays with one
    entry per seed, run side by side, spread over `workers` threads (default: the cores). For
    environments that Python steps the default is 1; with more, each seed's environment has a
    process of its own. With `num_envs` above 1 each agent acts in as many copies of the environment
    at once and learns from their mean update; `steps` are those of each copy.

    After every `steps/evaluations` steps each seed's frozen agent runs exactly `episodes` whole
    episodes, with the policy's mode if `greedy`; `run.best` is the highest of these scores,
    `run.final` the mean over the last tenth. An episode that has not ended after
    `max_episode_steps` is cut, with a warning. With `patience`, training stops once no seed has
    improved for that many evaluations.

    With `out` everything needed to read, repeat and resume the run is written into that folder,
    which no other run may use meanwhile; `overwrite` replaces a run that is in it.

    `start_from` is a former run, its folder, or what `load` returns: each seed's agent begins with
    the state of the former one in its place, or all with that of a single former agent; the random
    numbers are those of a new run. Without `agent` and `seeds`, those of the former run are taken.

    **Raises** `RtrrlError` for invalid arguments, `RunFolderError` where `out` is in use or holds
    another run, `NonFiniteError` where NaN or infinity comes from the environment or arises in the
    agent (the last checkpoint stays), `TrainingInterrupted`, a `KeyboardInterrupt`, on Ctrl-C: the
    run is saved and in its attribute `run`.

    >>> run = train("TMaze-3", steps=60, seeds=2, evaluations=3, episodes=2)
    >>> run.best.shape, len(run.metrics)
    ((2,), 6)
    """
    if isinstance(env, Agent):
        raise RtrrlError("the environment comes first: rtrrl.train(environment, agent)")
    environment, callbacks = as_environment(env), _with_progress(callbacks, progress)
    former = _former(start_from)
    if agent is None and former is not None:
        agent = for_environment(former.agent, environment)
    elif agent is None or isinstance(agent, str):
        agent = make_agent(agent or "default", environment)
    check_fit(agent, environment)
    if seeds is None:
        seeds = former.seeds if former is not None else 5
    if not isinstance(seeds, Iterable) or getattr(seeds, "ndim", 1) == 0:
        seeds = range(whole("seeds", seeds))
    seeds = tuple(whole("a seed", seed) for seed in seeds)
    config = RunConfig(
        agent=agent,
        environment=environment,
        steps=(total := whole("steps", steps)),
        seeds=seeds,
        evaluations=min(whole("evaluations", evaluations), total),
        episodes=whole("episodes", episodes),
        greedy=greedy,
        max_episode_steps=whole("max_episode_steps", max_episode_steps),
        patience=None if patience is None else whole("patience", patience),
        num_envs=whole("num_envs", num_envs),
        workers=_default_workers(environment, len(seeds))
        if workers is None
        else whole("workers", workers),
        start_from=None if former is None else _described(start_from, former),
    )
    folder = None if out is None else make_folder(out)
    if folder is not None:
        storage.check_free(folder, overwrite)
    with hold(folder), make_runner(config) as runner:
        try:
            states = runner.init(None if former is None else _initial(config, former))
        except ValueError as error:  # a setting that only the cell checks
            raise RtrrlError(f"{error}") from error
        if folder is not None:
            storage.create(folder, config.to_dict(), overwrite)
        trainer = Trainer(
            config=config, runner=runner, states=states, folder=folder, callbacks=callbacks
        )
        trainer.save()
        return trainer.run()


def resume(
    folder: str | Path,
    *,
    steps: int | float | None = None,
    environment: AbstractEnvironment | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> Run:
    """Continue a run that was interrupted or killed, with the same bits as without interruption.

    A finished run is returned as it is. With `steps` a run, finished or not, goes on to that many
    steps of each seed, with evaluations in the same intervals; its patience, if any, counts from
    where it stood. `environment` is needed if that of the run has no registered name.

    **Raises** `RunFolderError` where the folder holds no such run, or is in use; nothing is
    overwritten then. `RtrrlError` where the run has more than `steps` steps already, and all that
    `train` raises.
    """
    refuse_after_fork()
    folder, callbacks = Path(folder), _with_progress(callbacks, progress)
    before = storage.load_run(folder)
    if before.finished and (steps is None or _is_complete(before, whole("steps", steps))):
        return _finished(before, environment)
    with hold(folder):
        written, meta = storage.open_for_resume(folder)
        config = RunConfig.from_dict(written, environment)
        if steps is not None and (before.finished or whole("steps", steps) != config.steps):
            if steps < meta["step"]:
                raise RtrrlError(
                    f"{folder} has {meta['step']:,} steps already: steps is {steps:,}, and must "
                    "be as many or more"
                )
            config = config.up_to(whole("steps", steps), meta["step"])
        with make_runner(config) as runner:
            saved, _ = checkpoints.load(folder / storage.CHECKPOINT, runner.template(meta))
            rows = storage.rows_before(folder, meta["evaluated"])
            best = _best(folder, config, rows, runner.agent_states(runner.states_in(saved)))
            storage.rewind(folder, rows)
            if steps is not None:
                storage.write_config(folder, written | config.to_dict())
            return Trainer(
                config=config,
                runner=runner,
                states=runner.from_saved(saved),
                folder=folder,
                callbacks=callbacks,
                step=meta["step"],
                rows=rows,
                best=best,
            ).run()


def load(
    folder: str | Path, *, best: bool = False, environment: AbstractEnvironment | None = None
) -> TrainedAgents:
    """The agents of a run as they were last saved, or each as it was at its `best` evaluation.

    `environment` is needed if that of the run has no registered name.

    **Raises** `RunFolderError` where the folder holds no run or a damaged one, or, with `best`, one
    without an evaluation.
    """
    refuse_after_fork()
    folder = Path(folder)
    config = RunConfig.from_dict(storage.load_run(folder).config, environment)
    if best:
        if not (folder / storage.BEST_CHECKPOINT).exists():
            raise RunFolderError(f"{folder} has no evaluation yet: load it without best")
        states, meta = checkpoints.load(folder / storage.BEST_CHECKPOINT, _new_states(config))
        return TrainedAgents(config=config, states=states, steps=tuple(meta["steps"]))
    meta = checkpoints.read_meta(folder / storage.CHECKPOINT)
    with make_runner(config) as runner:
        saved, meta = checkpoints.load(folder / storage.CHECKPOINT, runner.template(meta))
        states = runner.agent_states(runner.states_in(saved))
    return TrainedAgents(config=config, states=states, steps=(meta["step"],) * len(config.seeds))


def _is_complete(run: Run, steps: int) -> bool:
    """Whether a run has been trained for `steps` steps, not stopped before by its patience."""
    return run.stopped_by is StopReason.BUDGET and run.config["steps"] == steps


def _finished(run: Run, environment: AbstractEnvironment | None) -> Run:
    """A finished run, with its agents."""
    assert run.folder is not None
    last, best = (load(run.folder, best=best, environment=environment) for best in (False, True))
    return dataclasses.replace(run, trained=last, trained_best=best)


def _former(start_from: str | Path | Run | TrainedAgents | None) -> TrainedAgents | None:
    """The agents that a run starts from."""
    match start_from:
        case None | TrainedAgents():
            return start_from
        case Run():
            return start_from.agents()
        case str() | Path():
            return load(start_from)
    raise RtrrlError(
        f"start_from is {in_words(start_from)}: expected a run, its folder, or what rtrrl.load "
        "returns"
    )


def _new_states(config: RunConfig) -> PyTree:
    """The shapes of the states of new agents, with a leading axis over seeds."""
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), len(config.seeds)))
    init = eqx.filter_vmap(lambda agent, key: agent.init(key), in_axes=(eqx.if_array(0), 0))
    return eqx.filter_eval_shape(init, config.agent, keys)


def _best(folder: Path, config: RunConfig, rows: list[dict], states: PyTree) -> BestAgents | None:
    """The best agents of a run that is resumed after `rows`, with `states`."""
    if not rows:
        return None
    score = lambda row: row["evaluation"]  # noqa: E731
    best = [max(rows_of(rows, config.seeds, i), key=score) for i in range(len(config.seeds))]
    scores, steps = (np.array([row[name] for row in best]) for name in ("evaluation", "step"))
    return restored(folder / storage.BEST_CHECKPOINT, states, scores, steps)


def _initial(config: RunConfig, former: TrainedAgents) -> PyTree:
    """The states of `former` for the seeds of a new run.

    **Raises** `RtrrlError` where there are too few or too many, or they have other shapes.
    """
    count, given = len(config.seeds), len(former.seeds)
    if given not in (1, count):
        raise RtrrlError(
            f"the run to start from has {given} agents: train as many seeds, and not {count}"
        )
    states = jax.tree.map(
        lambda leaf: jnp.repeat(leaf, count // given, axis=0) if eqx.is_array(leaf) else leaf,
        former.states,
    )
    if difference := checkpoints.difference(states, _new_states(config)):
        raise RtrrlError(
            f"the agents to start from do not fit: {difference}; give the new agent their cell, "
            "rule and optimizer, or leave the agent out"
        )
    return states


def _described(start_from: Any, former: TrainedAgents) -> str:
    if isinstance(start_from, str | Path):
        return str(start_from)
    return f"{former.config.label} after {former.step:,} steps"


def _with_progress(callbacks: Sequence[Callback], progress: bool) -> Sequence[Callback]:
    """The callbacks, after a progress bar if there is to be one. **Raises** `RtrrlError`."""
    if not isinstance(callbacks, Iterable):
        raise RtrrlError(f"callbacks is {in_words(callbacks)}: expected a list of them")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise RtrrlError(f"{callback!r} is not a callback: expected an rtrrl.Callback")
    return (ShowProgress(), *callbacks) if progress else callbacks


def _default_workers(environment: AbstractEnvironment, seeds: int) -> int:
    # a process rarely pays for an environment on the host (docs/decisions/0008)
    if isinstance(environment, HostEnvironment):
        return 1
    return min(_usable_cores(), max(1, seeds))


def _usable_cores() -> int:
    """The cores that this process may use, which a scheduler or a container may restrict."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
