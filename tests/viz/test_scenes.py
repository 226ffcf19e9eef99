import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rtrrl.environments import (
    Box,
    Discrete,
    Flattened,
    Gymnax,
    Masked,
    MultiDiscrete,
    Product,
    TimeLimit,
    TMaze,
    make,
    tasks,
)
from rtrrl.environments.memory.tmaze import EAST, NORTH, SOUTH, TMazeState
from rtrrl.environments.popgym.stateless_cartpole import CartPoleState
from rtrrl.viz.colors import GREEN, RED
from rtrrl.viz.films.canvas import Canvas
from rtrrl.viz.scenes import Bars, Episode, brax, classic, grids, renderer_for, unwrapped
from rtrrl.viz.scenes.pixels import MAX_SIDE, shrink
from rtrrl.viz.scenes.shapes import Disc, Line


def episode_of(env_state, renderer, actions=(), ended=False, observation=(0.0,)) -> Episode:
    """An episode whose state and observation are constant, with a step for each of `actions`."""
    steps = len(actions)
    snapshot = jax.tree.map(np.asarray, renderer.extract(env_state))
    zeros = np.zeros(steps, np.float32)
    return Episode(
        snapshots=jax.tree.map(lambda leaf: np.stack([leaf] * (steps + 1)), snapshot),
        observations=np.stack([observation] * (steps + 1)).astype(np.float32),
        actions=np.array(actions),
        rewards=zeros,
        values=zeros,
        td_errors=zeros,
        ended=ended,
    )


def shapes(env_state, renderer, *actions, ended=False) -> list:
    episode = episode_of(env_state, renderer, actions, ended)
    return list(renderer.scene(episode, len(actions)).shapes)


COMPILED = [
    info.example
    for info in tasks()
    if info.backend in ("gymnax", "rtrrl", "popgym")
    and not info.example.endswith(("-pos", "-vel", "Medium", "Hard"))
]


@pytest.fixture(scope="module")
def canvas() -> Canvas:
    figure = Figure((3.0, 2.0), dpi=50)
    FigureCanvasAgg(figure).draw()
    return Canvas(figure, (0.0, 0.0, 1.0, 1.0))


@pytest.mark.parametrize("name", dict.fromkeys(COMPILED))
def test_every_task_can_be_drawn(name, canvas):
    environment = make(name)
    renderer = renderer_for(environment)
    env_state, observation = environment.reset(jax.random.key(0))
    action = np.asarray(environment.action_space.sample(jax.random.key(0)))
    episode = episode_of(unwrapped(env_state), renderer, [action], observation=observation)
    for step in (0, 1):
        scene = renderer.scene(episode, step)
        x0, x1, y0, y1 = scene.window
        assert x0 < x1
        assert y0 < y1
        agg = canvas._figure.canvas
        agg.get_renderer().clear()
        canvas.draw(scene)
        assert np.ptp(np.asarray(agg.buffer_rgba())[..., :3]) > 50, "the image is blank"


def test_the_renderer_is_chosen_by_the_wrapped_environment():
    assert renderer_for(TimeLimit(TMaze(7), 9)) == grids.TMaze(7)
    assert renderer_for(make("CartPole-vel")) == classic.CartPole()
    assert renderer_for(make("StatelessCartPoleHard")) == classic.CartPole()
    assert renderer_for(make("DeepSea-12")) == grids.DeepSea(12)
    board = Flattened(Gymnax("Breakout-MinAtar", random=False))
    assert renderer_for(board) == grids.MinAtar(4)
    hidden = Masked(board, (0, 1))
    assert renderer_for(hidden) == Bars(hidden.action_space)
    other = Flattened(Gymnax("MetaMaze-misc", options={"maze_size": 11}))
    assert isinstance(renderer_for(other), Bars), "the map has another size"


def test_maps_are_those_of_gymnax():
    import gymnax

    for id, cells in (("FourRooms-misc", grids.four_rooms()), ("MetaMaze-misc", grids.pillars())):
        theirs = np.asarray(gymnax.make(id)[0].env_map)
        np.testing.assert_array_equal(np.array([list(row) for row in cells]) == " ", theirs)


def cart(angle):
    return CartPoleState(jnp.array([1.0, 0, angle, 0]), jnp.array(0))


def test_a_pole_is_drawn_at_its_angle():
    (pole,) = (shape for shape in shapes(cart(0.3), classic.CartPole()) if isinstance(shape, Line))
    foot, tip = pole.points
    assert foot[0] == pytest.approx(1)
    np.testing.assert_allclose(tip - foot, [np.sin(0.3), np.cos(0.3)], rtol=1e-6)


def test_a_cart_shows_the_last_push():
    still = shapes(cart(0.0), classic.CartPole())
    left, right = (shapes(cart(0.0), classic.CartPole(), push)[-1] for push in (0, 1))
    assert len(shapes(cart(0.0), classic.CartPole(), 1)) == len(still) + 1
    assert left.points[:, 0].max() < 1 < right.points[:, 0].min()


def test_pendulums_are_drawn_at_their_angles():
    @eqx.filter_jit
    def first(name):
        return make(name).reset(jax.random.key(0))[0]

    upright = first("Pendulum").replace(theta=jnp.array(0.0))
    (rod,) = (s for s in shapes(upright, classic.Pendulum()) if isinstance(s, Line))
    np.testing.assert_allclose(rod.points, [[0, 0], [0, 1]], atol=1e-6)
    quarter = jnp.array(np.pi / 2)
    bent = first("Acrobot").replace(joint_angle1=quarter, joint_angle2=quarter)
    links = [s for s in shapes(bent, classic.Acrobot()) if isinstance(s, Line)][-2:]
    np.testing.assert_allclose(links[0].points, [[0, 0], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(links[1].points, [[1, 0], [1, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("action", "ended", "row"), [(NORTH, True, 1), (SOUTH, True, -1), (EAST, False, 0)]
)
def test_the_final_turn_in_a_t_maze_is_drawn(action, ended, row):
    state = TMazeState(jnp.array(3), jnp.array(True))
    drawn = shapes(state, grids.TMaze(3), action, ended=ended)
    (agent,) = (shape for shape in drawn if isinstance(shape, Disc))
    assert agent.center == (3, row)
    goals = [shape for shape in drawn if getattr(shape, "color", "") == GREEN]
    assert [goal.points[:, 1].mean() for goal in goals] == [pytest.approx(1)]


def test_of_a_long_corridor_the_part_around_the_agent_is_drawn():
    state = TMazeState(jnp.array(500), jnp.array(True))
    scene = grids.TMaze(1000).scene(episode_of(state, grids.TMaze(1000)), 0)
    x0, x1, *_ = scene.window
    assert x0 < 500 < x1
    assert x1 - x0 < 20


def test_bars_are_as_high_as_the_observation():
    renderer = Bars(Discrete(3))
    observations = np.array([[1.0, -4.0], [-0.5, 2.0]], np.float32)
    episode = dataclasses.replace(episode_of((), renderer, [2]), observations=observations)
    scene = renderer.scene(episode, 1)
    heights = [np.ptp(shape.points[:, 1]) for shape in scene.shapes[3:5]]
    assert heights == pytest.approx([0.8, 0.8]), "half of the largest, 1.6 high"
    chosen = [shape for shape in scene.shapes if isinstance(shape, Disc)]
    assert len({shape.color for shape in chosen[:2]}) == 1
    assert chosen[2].color != chosen[0].color


def test_bars_show_integers_and_numbers_whatever_their_bounds():
    numbers = Box.of([0, -1e20, 10, -2], [0, 1e20, np.inf, 4], (4,))
    renderer = Bars(Product(MultiDiscrete((3,)), numbers))
    scene = renderer.scene(episode_of((), renderer, [[1.0, 0, 0.5, 12, -2]]), 1)
    heights = [np.ptp(shape.points[:, 1]) for shape in scene.shapes if shape.color == RED]
    assert heights == pytest.approx([0.25, 0, 0.25, 0.5, 0.25]), "a full bar is 0.5 high"


def test_the_bodies_of_brax_are_capsules_at_their_links():
    pytest.importorskip("brax")
    renderer = brax.Bodies("inverted_pendulum", "spring")
    quarter = np.array([np.sqrt(0.5), 0, np.sqrt(0.5), 0])  # about y: up becomes ahead
    snapshots = np.array([[[0.5, 0, 0], [0.5, 0, 0]]]), np.array([[[1.0, 0, 0, 0], quarter]])
    episode = dataclasses.replace(episode_of(None, Bars(Discrete(2))), snapshots=snapshots)
    scene = renderer.scene(episode, 0)
    pole = scene.shapes[-1]
    assert isinstance(pole, Line)
    ends = sorted(pole.points.tolist())
    np.testing.assert_allclose(ends, [[0.5, 0], [1.1, 0]], atol=2e-3)


def test_large_images_are_halved():
    pixels = np.zeros((MAX_SIDE + 3, 2 * MAX_SIDE, 3), np.uint8)
    pixels[::2] = 100
    small = shrink(pixels)
    assert small.shape == (MAX_SIDE // 2 + 1, MAX_SIDE, 3)
    assert (small == 50).all()
