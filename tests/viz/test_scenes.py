import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rtrrl.environments import Discrete, Flattened, Gymnax, Masked, TimeLimit, TMaze, make, tasks
from rtrrl.environments.memory.tmaze import EAST, NORTH, SOUTH, TMazeState
from rtrrl.environments.popgym.stateless_cartpole import CartPoleState
from rtrrl.viz.films.canvas import Canvas
from rtrrl.viz.scenes import Bars, Episode, brax, classic, grids, innermost, picture_of
from rtrrl.viz.scenes.pixels import MOST, shrunk
from rtrrl.viz.scenes.shapes import GREEN, Disc, Line


def episode_of(state, picture, actions=(), ended=False) -> Episode:
    """An episode that stays where it is, a step for each of `actions`."""
    steps = len(actions)
    sight = jax.tree.map(np.asarray, picture.look(state))
    none = np.zeros(steps, np.float32)
    return Episode(
        sights=jax.tree.map(lambda leaf: np.stack([leaf] * (steps + 1)), sight),
        observations=np.zeros((steps + 1, 1), np.float32),
        actions=np.array(actions),
        rewards=none,
        values=none,
        td_errors=none,
        ended=ended,
    )


def shapes(state, picture, *actions, ended=False) -> list:
    episode = episode_of(state, picture, actions, ended)
    return list(picture.scene(episode, len(actions)).shapes)


HERE = [
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


@pytest.mark.parametrize("name", dict.fromkeys(HERE))
def test_every_task_has_a_picture(name, canvas):
    world = make(name)
    picture = picture_of(world)
    state, observation = world.reset(jax.random.key(0))
    sight = jax.tree.map(np.asarray, picture.look(innermost(state)))
    action = np.asarray(world.action_space.sample(jax.random.key(0)))
    none = np.zeros(1, np.float32)
    episode = Episode(
        jax.tree.map(lambda leaf: np.stack([leaf] * 2), sight),
        np.stack([observation] * 2),
        action[None],
        none,
        none,
        none,
        ended=False,
    )
    for moment in (0, 1):
        scene = picture.scene(episode, moment)
        x0, x1, y0, y1 = scene.window
        assert x0 < x1
        assert y0 < y1
        agg = canvas._figure.canvas
        agg.get_renderer().clear()
        canvas.draw(scene)
        assert np.ptp(np.asarray(agg.buffer_rgba())[..., :3]) > 50, "the picture is blank"


def test_a_picture_is_found_inside_wrappers():
    assert picture_of(TimeLimit(TMaze(7), 9)) == grids.TMaze(7)
    assert picture_of(make("CartPole-vel")) == classic.CartPole()
    assert picture_of(make("StatelessCartPoleHard")) == classic.CartPole()
    assert picture_of(make("DeepSea-12")) == grids.DeepSea(12)
    board = Flattened(Gymnax("Breakout-MinAtar", random=False))
    assert picture_of(board) == grids.MinAtar(4)
    hidden = Masked(board, (0, 1))
    assert picture_of(hidden) == Bars(hidden.action_space)
    other = Flattened(Gymnax("MetaMaze-misc", options={"maze_size": 11}))
    assert isinstance(picture_of(other), Bars), "the map is that of another size"


def test_maps_are_those_of_gymnax():
    import gymnax

    for id, cells in (("FourRooms-misc", grids.four_rooms()), ("MetaMaze-misc", grids.pillars())):
        theirs = np.asarray(gymnax.make(id)[0].env_map)
        np.testing.assert_array_equal(np.array([list(row) for row in cells]) == " ", theirs)


def cart(angle):
    return CartPoleState(jnp.array([1.0, 0, angle, 0]), jnp.array(0))


def test_a_pole_leans_to_where_its_angle_says():
    (pole,) = (shape for shape in shapes(cart(0.3), classic.CartPole()) if isinstance(shape, Line))
    foot, tip = pole.points
    assert foot[0] == pytest.approx(1)
    np.testing.assert_allclose(tip - foot, [np.sin(0.3), np.cos(0.3)], rtol=1e-6)


def test_a_cart_shows_the_push_that_brought_it_here():
    still = shapes(cart(0.0), classic.CartPole())
    left, right = (shapes(cart(0.0), classic.CartPole(), push)[-1] for push in (0, 1))
    assert len(shapes(cart(0.0), classic.CartPole(), 1)) == len(still) + 1
    assert left.points[:, 0].max() < 1 < right.points[:, 0].min()


def test_pendulums_stand_and_hang():
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
def test_the_turn_in_a_t_maze_is_seen(action, ended, row):
    state = TMazeState(jnp.array(3), jnp.array(True))
    drawn = shapes(state, grids.TMaze(3), action, ended=ended)
    (agent,) = (shape for shape in drawn if isinstance(shape, Disc))
    assert agent.centre.tolist() == [3, row]
    goals = [shape for shape in drawn if getattr(shape, "color", "") == GREEN]
    assert [goal.points[:, 1].mean() for goal in goals] == [pytest.approx(1)]


def test_a_long_corridor_is_shown_where_the_agent_is():
    state = TMazeState(jnp.array(500), jnp.array(True))
    scene = grids.TMaze(1000).scene(episode_of(state, grids.TMaze(1000)), 0)
    x0, x1, *_ = scene.window
    assert x0 < 500 < x1
    assert x1 - x0 < 20


def test_bars_are_as_high_as_what_is_seen():
    picture = Bars(Discrete(3))
    episode = episode_of((), picture, [2])
    seen = np.array([[1.0, -4.0], [-0.5, 2.0]], np.float32)
    episode = Episode(**{**vars(episode), "observations": seen})
    scene = picture.scene(episode, 1)
    heights = [np.ptp(shape.points[:, 1]) for shape in scene.shapes[3:5]]
    assert heights == pytest.approx([0.8, 0.8]), "half of the largest, 1.6 high"
    chosen = [shape for shape in scene.shapes if isinstance(shape, Disc)]
    assert len({shape.color for shape in chosen[:2]}) == 1
    assert chosen[2].color != chosen[0].color


def test_the_bodies_of_brax_are_capsules_at_the_places_of_their_links():
    pytest.importorskip("brax")
    picture = brax.Bodies("inverted_pendulum", "spring")
    quarter = np.array([np.sqrt(0.5), 0, np.sqrt(0.5), 0])  # about y: up becomes ahead
    sights = np.array([[[0.5, 0, 0], [0.5, 0, 0]]]), np.array([[[1.0, 0, 0, 0], quarter]])
    episode = episode_of(None, Bars(Discrete(2)))
    scene = picture.scene(Episode(**{**vars(episode), "sights": sights}), 0)
    pole = scene.shapes[-1]
    assert isinstance(pole, Line)
    ends = sorted(pole.points.tolist())
    np.testing.assert_allclose(ends, [[0.5, 0], [1.1, 0]], atol=2e-3)


def test_large_pictures_are_halved():
    pixels = np.zeros((MOST + 3, 2 * MOST, 3), np.uint8)
    pixels[::2] = 100
    small = shrunk(pixels)
    assert small.shape == (MOST // 2 + 1, MOST, 3)
    assert (small == 50).all()
