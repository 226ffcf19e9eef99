import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rtrrl.errors import RtrrlError, SettingError
from rtrrl.gradients import RTRL, GradientRule
from rtrrl.utils import validation

BOUNDS = [
    (validation.finite, (-1.0, 0.0, 1e30), (math.inf, math.nan)),
    (validation.positive, (1e-9, 3.0), (0.0, -1.0, math.inf, math.nan)),
    (validation.nonnegative, (0.0, 3.0), (-1.0, math.inf, math.nan)),
    (validation.nonnegative_or_inf, (0.0, math.inf), (-1.0, math.nan)),
    (validation.positive_or_inf, (1.0, math.inf), (0.0, math.nan)),
    (validation.in_unit_interval, (0.0, 1.0), (-0.1, 1.1, math.nan)),
    (validation.below_one, (0.0, 0.9), (-0.1, 1.0, math.nan)),
]


@pytest.mark.parametrize(("check", "accepted", "refused"), BOUNDS)
def test_bounds(check, accepted, refused):
    for value in accepted:
        check(a=value)
    check(a=jnp.array(accepted), b=np.array(accepted), c=np.float32(accepted[0]))
    check(a=jnp.array(accepted[0]))
    for value in refused:
        with pytest.raises(SettingError, match=f"b is {value}: it must "):
            check(a=accepted[0], b=value)
        with pytest.raises(SettingError, match=rf"b\[1\] is {value}: it must "):
            check(a=accepted[0], b=jnp.array([accepted[0], value]))


def test_whole_numbers_are_counted_from_one():
    validation.counts(a=1, b=np.int64(3))
    with pytest.raises(SettingError, match="b is 0: it must be 1 or more"):
        validation.counts(a=1, b=0)
    with pytest.raises(SettingError, match=r"b is 2\.0: it must be one whole number"):
        validation.counts(a=1, b=2.0)


def test_what_is_traced_is_not_checked():
    jax.jit(lambda x: validation.in_unit_interval(a=x) or x)(3.0)


@pytest.mark.parametrize("check", [validation.require_static, validation.static_positive])
def test_a_static_setting_is_one_number(check):
    check(a=1.0)
    with pytest.raises(SettingError, match="all seeds share it, so it must be one number"):
        check(a=jnp.ones(2))
    with pytest.raises(SettingError, match=r"a is 0\.0: it must be positive"):
        validation.static_positive(a=0.0)


def test_a_refusal_is_a_mistake_of_the_user_in_one_line():
    with pytest.raises(RtrrlError) as caught:
        validation.positive(a=np.ones((30, 30)))
    assert str(caught.value).startswith("a is float64[30,30]: it must be a number, or an array")
    assert "\n" not in str(caught.value)


def test_a_part_of_another_type_is_refused():
    class Agent(validation.Settings):
        rule: GradientRule = RTRL()
        anything: eqx.Module | None = None

    Agent()
    with pytest.raises(SettingError, match=r"rule is 3: expected GradientRule, such as RTRL\(\)"):
        Agent(rule=3)
