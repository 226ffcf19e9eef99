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
from rtrrl.viz.recording import host_renderer, record
from rtrrl.viz.scenes import Bars, Episode, Pixels
from rtrrl.viz.scenes.grids import TMaze
from rtrrl.viz.scenes.shapes import Raster

SHORT = ["--steps", "40", "--seeds", "2", "--evaluations", "1", "--episodes", "1", "--workers", "1"]


RUNS = {"TMaze-3": ["--agent", "td-lambda"], "CartPole": ["--agent", "random"]}


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory) -> str:
    folder = str(tmp_path_factory.mktemp("render") / request.param)
    options = [*SHORT, *RUNS[request.param], "--out", folder]
    assert main(["train", request.param, *options]) == 0
    return folder


def render(capsys, *arguments) -> dict:
    assert main(["render", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def render_error(capsys, *arguments) -> str:
    capsys.readouterr()
    assert main(["render", *map(str, arguments)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("rtrrl: ")
    assert error.count("\n") == 1
    return error


def film_of(td_errors) -> Film:
    """A film of constant states with these values and TD errors."""
    steps, td_errors = len(td_errors), np.array(td_errors, np.float32)
    zeros = np.zeros(steps + 1, np.int32)
    episode = Episode(
        snapshots=(zeros, zeros),
        observations=np.zeros((steps + 1, 3), np.float32),
        actions=np.full(steps, EAST),
        rewards=np.zeros(steps, np.float32),
        values=td_errors,
        td_errors=td_errors,
        ended=False,
    )
    return Film(episode, TMaze(3), Title("t", "a"))


def test_a_film_has_a_frame_for_each_state_of_the_episode_of_eval(run, tmp_path, capsys):
    path = tmp_path / "film.gif"
    result = render(capsys, run, "--agent", 1, "--seed", 5, "--out", path)
    assert main(["eval", run, "--episodes", "1", "--seed", "5", "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)["returns"][1][0]
    assert result["return"] == pytest.approx(expected, rel=1e-5)
    assert result["ended"]
    assert (result["seed"], result["bytes"]) == (1, path.stat().st_size)
    with Image.open(path) as film:
        assert film.n_frames == result["frames"] == result["steps"] + 1
        assert film.size == (480, 432)
        assert film.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        assert len(np.unique(np.asarray(film))) > 5
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]


def test_a_film_stops_after_the_given_number_of_steps(run, tmp_path, capsys):
    path = tmp_path / "film.gif"
    result = render(capsys, run, "--steps", 2, "--fps", 10, "--greedy", "--out", path)
    assert (result["steps"], result["ended"], result["greedy"]) == (2, False, True)
    with Image.open(path) as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 100


def test_errors_are_one_line(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    error = render_error(capsys, run, "--out", tmp_path / "film.mp4")
    assert "ffmpeg is not found; install it, or give a name that ends in .gif" in error
    assert "ends in .gif or .mp4" in render_error(capsys, run, "--out", tmp_path / "film.avi")
    assert "no folder" in render_error(capsys, run, "--out", tmp_path / "nowhere" / "film.gif")
    error = render_error(capsys, run, "--agent", 2, "--out", tmp_path / "film.gif")
    assert "no agent 2: expected 0 to 1" in error
    assert "no run" in render_error(capsys, tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_every_frame_reaches_ffmpeg(tmp_path, monkeypatch):
    """This ffmpeg writes its input to its output file."""
    fake = tmp_path / "ffmpeg"
    fake.write_text('#!/bin/sh\nfor last; do :; done\ncat > "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    film = film_of([0, 0])
    size = write(film, tmp_path / "film.mp4", 5)
    raw = np.frombuffer((tmp_path / "film.mp4").read_bytes(), np.uint8)
    assert size == raw.size == 3 * 480 * 432 * 4
    frames = raw.reshape(3, 432, 480, 4)[..., :3]
    np.testing.assert_array_equal(frames[1], film.frame(1))


def test_charts_are_drawn_up_to_the_current_step():
    film = film_of([0, 0, 0, 0, 1, 0, 0, 0, 0, -1])

    def red(step):  # of the bar of a negative TD error, below the middle of the lower chart
        pixels = film.frame(step)[380:420].astype(int)
        return ((pixels[..., 0] > 180) & (pixels[..., 2] < 90)).sum()

    assert red(9) == 0
    assert red(10) > 50
    before = film.frame(3)
    film.frame(10)
    np.testing.assert_array_equal(film.frame(3), before, "a frame depends on earlier frames")


def test_a_recording_is_consistent_with_the_environment():
    environment, renderer = make("TMaze-3"), TMaze(3)
    agent = Random.uniform(environment)
    key = jax.random.key(2)
    frozen = agent.frozen(agent.init(key))
    whole = record(frozen, environment, renderer, key, 60)
    assert whole.ended
    position, north = whole.snapshots
    assert position.shape == north.shape == (whole.steps + 1,)
    assert position[0] == 0
    assert position[-1] == 3
    ahead = np.where(whole.actions == EAST, 1, np.where(whole.actions == 3, -1, 0))
    np.testing.assert_array_equal(position[1:], _walk(ahead))
    assert whole.rewards[-1] == (
        4 if (whole.actions[-1] == NORTH) == north[0] else np.float32(-0.1)
    )
    part = record(frozen, environment, renderer, key, whole.steps - 1)
    assert not part.ended
    np.testing.assert_array_equal(part.actions, whole.actions[:-1])


def _walk(ahead) -> list[int]:
    positions = [0]
    for step in ahead:
        positions.append(int(np.clip(positions[-1] + step, 0, 3)))
    return positions[1:]


class Clock(HostEnvironment):
    """Observes the time, ends at 3, and renders the time if `draws`."""

    draws: bool = True

    @property
    def observation_space(self):
        return Box.of(0, 3, (1,))

    @property
    def action_space(self):
        return Discrete(2)

    def make_vector(self, num_envs, processes=False, render=False):
        if render and not self.draws:
            raise RtrrlError("no screen; fix the environment")
        return Ticking()


class Ticking(VectorEnvironment):
    time = 0

    def reset(self, seeds, mask):
        self.time = 0
        return np.zeros((1, 1), np.float32)

    def step(self, actions):
        self.time += 1
        one = np.ones(1, np.float32)
        return VectorTimeStep(self.time * one[None], one, one, np.array([self.time == 3]))

    def render(self):
        return np.full((20, 30, 3), 60 * self.time, np.uint8)

    def close(self):
        pass


@pytest.mark.parametrize(("draws", "kind"), [(True, Pixels), (False, Bars)])
def test_a_host_environment_is_drawn_from_its_images_or_as_bars(draws, kind):
    environment = Clock(draws)
    renderer, fallback = host_renderer(environment)
    assert isinstance(renderer, kind)
    assert fallback == ("" if draws else "no screen")
    agent = Random.uniform(environment)
    frozen = agent.frozen(agent.init(jax.random.key(0)))
    episode = record(frozen, environment, renderer, jax.random.key(0), 9)
    assert (episode.steps, episode.ended) == (3, True)
    assert episode.observations.ravel().tolist() == [0, 1, 2, 3]
    if draws:
        (raster,) = renderer.scene(episode, 2).shapes
        assert isinstance(raster, Raster)
        assert (raster.pixels == 120).all()
