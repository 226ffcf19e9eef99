import math

import equinox as eqx
import jax.numpy as jnp
import pytest

from rtrrl.gradients import RTRL, GradientRule
from rtrrl.utils import validation


@pytest.mark.parametrize(
    ("check", "accepted", "refused"),
    [
        (validation.finite, (-1.0, 0.0, 1e30), (math.inf, math.nan)),
        (validation.positive, (1e-9, 3.0), (0.0, -1.0, math.inf, math.nan)),
        (validation.nonnegative, (0.0, 3.0), (-1.0, math.inf, math.nan)),
        (validation.nonnegative_or_inf, (0.0, math.inf), (-1.0, math.nan)),
        (validation.positive_or_inf, (1.0, math.inf), (0.0, math.nan)),
        (validation.in_unit_interval, (0.0, 1.0), (-0.1, 1.1, math.nan)),
        (validation.below_one, (0.0, 0.9), (-0.1, 1.0, math.nan)),
    ],
)
def test_bounds(check, accepted, refused):
    for value in accepted:
        check(a=value)
    check(a=jnp.array([-5.0, math.nan]))  # one entry per seed is not checked
    for value in refused:
        with pytest.raises(ValueError, match=f"b is {value}: it must "):
            check(a=accepted[0], b=value)


@pytest.mark.parametrize("check", [validation.require_static, validation.static_positive])
def test_a_static_setting_is_one_number(check):
    check(a=1.0)
    with pytest.raises(ValueError, match="all seeds share it, so it must be one number"):
        check(a=jnp.ones(2))
    with pytest.raises(ValueError, match=r"a is 0\.0: it must be positive"):
        validation.static_positive(a=0.0)


def test_a_part_of_another_type_is_refused():
    class Agent(eqx.Module):
        rule: GradientRule = RTRL()

    validation.check_parts(Agent())
    with pytest.raises(TypeError, match=r"rule is 3: expected GradientRule, such as RTRL\(\)"):
        validation.check_parts(Agent(rule=3))
