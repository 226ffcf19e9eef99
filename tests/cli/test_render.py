import json
import os

import jax
import numpy as np
import pytest
from PIL import Image

from rtrrl.agents import Random
from rtrrl.cli import main
from rtrrl.environments import Box, Discrete, HostEnvironment, VectorEnvironment, make
from rtrrl.environments.host import VectorTimeStep
from rtrrl.environments.memory.tmaze import EAST, NORTH
from rtrrl.errors import RtrrlError
from rtrrl.viz.films import Film, Title, write
from rtrrl.viz.recording import host_picture, record, record_host
from rtrrl.viz.scenes import Bars, Episode, Pixels
from rtrrl.viz.scenes.grids import TMaze
from rtrrl.viz.scenes.shapes import Raster

SHORT = ["--steps", "40", "--seeds", "2", "--evaluations", "1", "--episodes", "1", "--workers", "1"]


RUNS = {"TMaze-3": ["--agent", "td-lambda"], "CartPole": ["--agent", "random"]}


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory) -> str:
    folder = str(tmp_path_factory.mktemp("render") / request.param)
    asked = [request.param, *SHORT, *RUNS[request.param]]
    assert main(["train", *asked, "--out", folder]) == 0
    return folder


def filmed(capsys, *arguments) -> dict:
    assert main(["render", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments) -> str:
    capsys.readouterr()
    assert main(["render", *map(str, arguments)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("rtrrl: ")
    assert error.count("\n") == 1
    return error


def waiting(surprises) -> Film:
    """A film in which nothing happens but what the agent is surprised at."""
    steps, surprises = len(surprises), np.array(surprises, np.float32)
    moments = np.zeros(steps + 1, np.int32)
    episode = Episode(
        sights=(moments, moments),
        observations=np.zeros((steps + 1, 3), np.float32),
        actions=np.full(steps, EAST),
        rewards=np.zeros(steps, np.float32),
        values=surprises,
        td_errors=surprises,
        ended=False,
    )
    return Film(episode, TMaze(3), Title("t", "a"))


def test_a_film_is_a_frame_for_every_moment_of_the_episode_that_eval_plays(run, tmp_path, capsys):
    path = tmp_path / "film.gif"
    said = filmed(capsys, run, "--agent", 1, "--seed", 5, "--out", path)
    assert main(["eval", run, "--episodes", "1", "--seed", "5", "--json"]) == 0
    earned = json.loads(capsys.readouterr().out)["returns"][1][0]
    assert said["return"] == pytest.approx(earned, rel=1e-5)
    assert said["ended"]
    assert (said["seed"], said["bytes"]) == (1, path.stat().st_size)
    with Image.open(path) as film:
        assert film.n_frames == said["frames"] == said["steps"] + 1
        assert film.size == (480, 432)
        assert film.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert len(np.unique(np.asarray(film))) > 5
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]


def test_a_film_can_end_before_the_episode(run, tmp_path, capsys):
    path = tmp_path / "film.gif"
    said = filmed(capsys, run, "--steps", 2, "--fps", 10, "--greedy", "--out", path)
    assert (said["steps"], said["ended"], said["greedy"]) == (2, False, True)
    with Image.open(path) as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 100


def test_mistakes_are_one_line(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused(capsys, run, "--out", tmp_path / "film.mp4")
    assert "ffmpeg is not found; install it, or give a name that ends in .gif" in error
    assert "ends in .gif or .mp4" in refused(capsys, run, "--out", tmp_path / "film.avi")
    assert "no folder" in refused(capsys, run, "--out", tmp_path / "nowhere" / "film.gif")
    error = refused(capsys, run, "--agent", 2, "--out", tmp_path / "film.gif")
    assert "no agent 2: expected 0 to 1" in error
    assert "no run" in refused(capsys, tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_every_frame_reaches_ffmpeg(tmp_path, monkeypatch):
    """One that writes what it is given into the file that it is to make."""
    fake = tmp_path / "ffmpeg"
    fake.write_text('#!/bin/sh\nfor last; do :; done\ncat > "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    film = waiting([0, 0])
    size = write(film, tmp_path / "film.mp4", 5)
    raw = np.frombuffer((tmp_path / "film.mp4").read_bytes(), np.uint8)
    assert size == raw.size == 3 * 480 * 432 * 4
    frames = raw.reshape(3, 432, 480, 4)[..., :3]
    np.testing.assert_array_equal(frames[1], film.frame(1))


def test_the_charts_are_drawn_up_to_the_present():
    film = waiting([0, 0, 0, 0, 1, 0, 0, 0, 0, -1])

    def red(moment):  # of the bar of a negative surprise: below the middle of the lowest chart
        pixels = film.frame(moment)[380:420].astype(int)
        return ((pixels[..., 0] > 180) & (pixels[..., 2] < 90)).sum()

    assert red(9) == 0
    assert red(10) > 50
    before = film.frame(3)
    film.frame(10)
    np.testing.assert_array_equal(film.frame(3), before, "a frame depends on what came before")


def test_what_is_recorded_is_what_happened():
    world, picture = make("TMaze-3"), TMaze(3)
    agent = Random.uniform(world)
    key = jax.random.key(2)
    whole = record(agent, agent.init(key), world, picture, key, 60)
    assert whole.ended
    position, north = whole.sights
    assert position.shape == north.shape == (whole.steps + 1,)
    assert position[0] == 0
    assert position[-1] == 3
    ahead = np.where(whole.actions == EAST, 1, np.where(whole.actions == 3, -1, 0))
    np.testing.assert_array_equal(position[1:], _walk(ahead))
    assert whole.rewards[-1] == (
        4 if (whole.actions[-1] == NORTH) == north[0] else np.float32(-0.1)
    )
    part = record(agent, agent.init(key), world, picture, key, whole.steps - 1)
    assert not part.ended
    np.testing.assert_array_equal(part.actions, whole.actions[:-1])


def _walk(ahead) -> list[int]:
    positions = [0]
    for step in ahead:
        positions.append(int(np.clip(positions[-1] + step, 0, 3)))
    return positions[1:]


class Clock(HostEnvironment):
    """Shows the time, ends at 3, and draws it if it can."""

    draws: bool = True

    @property
    def observation_space(self):
        return Box.of(0, 3, (1,))

    @property
    def action_space(self):
        return Discrete(2)

    def open(self, copies, processes=False, pictures=False):
        if pictures and not self.draws:
            raise RtrrlError("no screen; mend the environment")
        return Ticking()


class Ticking(VectorEnvironment):
    time = 0

    def reset(self, seeds, which):
        self.time = 0
        return np.zeros((1, 1), np.float32)

    def step(self, actions):
        self.time += 1
        one = np.ones(1, np.float32)
        return VectorTimeStep(self.time * one[None], one, one, np.array([self.time == 3]))

    def picture(self):
        return np.full((20, 30, 3), 60 * self.time, np.uint8)

    def close(self):
        pass


@pytest.mark.parametrize(("draws", "kind"), [(True, Pixels), (False, Bars)])
def test_a_world_on_the_host_draws_itself_or_is_drawn_as_bars(draws, kind):
    world = Clock(draws)
    picture, why = host_picture(world)
    assert isinstance(picture, kind)
    assert why == ("" if draws else "no screen")
    agent = Random.uniform(world)
    episode = record_host(
        agent, agent.init(jax.random.key(0)), world, picture, jax.random.key(0), 9
    )
    assert (episode.steps, episode.ended) == (3, True)
    assert episode.observations.ravel().tolist() == [0, 1, 2, 3]
    if draws:
        (raster,) = picture.scene(episode, 2).shapes
        assert isinstance(raster, Raster)
        assert (raster.pixels == 120).all()
