import json
from dataclasses import asdict

import pytest

from rtrrl.environments import Box, Discrete, Masked, ScaledReward, TimeLimit, make, tasks
from rtrrl.errors import RtrrlError, UnknownNameError

PAPER = (
    "CartPole CartPole-vel CartPole-pos MetaMaze DiscountingChain UmbrellaChain "
    "BernoulliBandit GaussianBandit Reacher Swimmer MountainCarContinuous "
    "MountainCarContinuous-vel MountainCarContinuous-pos MemoryChain MemoryChain-4 "
    "MemoryChain-64 DeepSea DeepSea-4 DeepSea-16 Catch PointRobot Acrobot Pendulum FourRooms "
    "TMaze-10 DelayedRecall-5"
)


@pytest.mark.parametrize("name", PAPER.split())
def test_every_task_of_the_paper_answers_to_its_name(name):
    env = make(name)
    assert env.name == name
    assert isinstance(env.observation_space, Box)
    assert len(env.observation_space.shape) == 1


def test_numbers_in_names_arrive():
    deep = make("DeepSea-5").observation_space
    assert isinstance(deep, Box)
    assert deep.size == 25
    assert make("DelayedRecall-7-3").action_space == Discrete(7)
    assert make("DelayedRecall-7").action_space == Discrete(2)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CartPol", "CartPole"),
        ("cartpole-POS", "CartPole-pos"),
        ("CartPole-xyz", "CartPole-pos"),
        ("MemryChain-32", "MemoryChain-32"),
        ("TMaze", "TMaze-10"),
        ("Catch ", "Catch"),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(name, nearest):
    with pytest.raises(UnknownNameError, match=f"unknown task '{name}'.*{nearest}") as error:
        make(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["", "?"])
def test_a_name_like_no_other_gets_them_all(name):
    with pytest.raises(UnknownNameError, match="MetaMaze"):
        make(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MemoryChain-0", "MemoryChain-N takes N from 1 to 1000000, as in MemoryChain-32"),
        ("MemoryChain--3", "MemoryChain-N takes"),
        ("MemoryChain-", "MemoryChain-N takes"),
        ("MemoryChain-1e3", "MemoryChain-N takes"),
        ("MemoryChain-٣", "MemoryChain-N takes"),
        ("MemoryChain-4-5", "MemoryChain-N takes"),
        ("MemoryChain-" + "9" * 30, "MemoryChain-N takes"),
        ("DeepSea-abc", "DeepSea-N takes N from 1 to 100, as in DeepSea-8"),
        ("DeepSea-101", "DeepSea-N takes"),
        ("TMaze-0", "TMaze-N takes"),
        ("DelayedRecall-1-5", "DelayedRecall-K-N takes K from 2 to 1000 and N from 1"),
    ],
)
def test_a_number_that_is_none_or_out_of_range(name, expected):
    with pytest.raises(RtrrlError, match=expected) as error:
        make(name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


@pytest.mark.parametrize(
    "world", [ScaledReward(make("TMaze-3"), 100.0), TimeLimit(Masked(make("TMaze-3"), (0,)), 9)]
)
def test_a_wrapped_world_is_not_made_from_its_name(world):
    with pytest.raises(
        RtrrlError, match="cannot be made from its name: pass environment="
    ) as error:
        make(world.name)
    assert "\n" not in str(error.value)
    assert f"'{world.name}'" in str(error.value)


def test_the_list_of_tasks_is_plain_data():
    infos = tasks()
    assert len({info.name for info in infos}) == len(infos) >= 25
    assert json.loads(json.dumps([asdict(info) for info in infos]))[0]["name"] == "CartPole"
    for info in infos:
        assert make(info.example).name == info.example
        assert info.description
        assert "terminated" in info.ends or "truncated" in info.ends
