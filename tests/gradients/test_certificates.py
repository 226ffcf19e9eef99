import io
import json

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

from rtrrl.cells import CELLS, CTRNN, LRU
from rtrrl.errors import UnsupportedCellError
from rtrrl.gradients import RFLO, RTRL, RULES, TBPTT, DiagonalRTRL, Frozen
from rtrrl.gradients.certificates import Certificate, Kind, as_table, certify, certify_all, compare

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def leaky():
    return CTRNN(2, 3, key=KEY)


class Transposed(RTRL):
    """RTRL as some published code has it: the pullback contracts a wrong axis."""

    def pullback(self, cell, influence, h_bar):
        return super().pullback(cell, influence, h_bar[:, ::-1])


class Forgetful(RTRL):
    """Carries the influence of one episode into the next."""

    def restart(self, cell, influence):
        return influence


def test_exact_is_measured(leaky):
    certificates = certify(leaky, RTRL())
    assert list(certificates) == ["weight", "tau"]
    for block in certificates.values():
        assert block.kind is Kind.EXACT
        assert block.relative_error < 1e-12
        assert block.cosine == pytest.approx(1)


@pytest.mark.parametrize("rule", [RFLO(), Transposed(), Forgetful(), TBPTT(16)])
def test_what_is_not_exact_is_not_called_exact(leaky, rule):
    for block in certify(leaky, rule).values():
        assert block.kind is Kind.APPROXIMATE
        assert 1e-10 < block.relative_error < 3
        assert block.cosine < 1


def test_a_window_is_exact_while_episodes_are_shorter(leaky):
    for block in certify(leaky, TBPTT(16), lengths=(1, 16)).values():
        assert block.kind is Kind.EXACT


def test_a_frozen_recurrence_is_zero_and_what_shapes_features_exact():
    certificates = certify(LRU(2, 3, key=KEY), Frozen())
    kinds = {name: block.kind for name, block in certificates.items()}
    carried = dict.fromkeys(("nu", "theta_log", "gamma_log", "weight"), Kind.ZERO)
    assert kinds == carried | dict.fromkeys(("readout", "skip"), Kind.EXACT)
    assert certificates.memory == 0


def test_compare():
    g = jnp.array([3.0, 4.0])
    assert compare(g, g) == Certificate(Kind.EXACT, 1.0, 0.0)
    assert compare(0 * g, 0 * g) == Certificate(Kind.EXACT, 1.0, 0.0)
    assert compare(0 * g, g) == Certificate(Kind.ZERO, 0.0, 1.0)
    assert compare(-g, g) == Certificate(Kind.APPROXIMATE, -1.0, 2.0)
    assert compare(g, 0 * g).kind is Kind.APPROXIMATE


def test_memory_and_work(leaky):
    weights = 3 * 6 + 3
    dense, local = certify(leaky, RTRL()), certify(leaky, RFLO())
    assert (dense.memory, local.memory) == (3 * weights, weights)
    assert dense.flops > 2 * local.flops > 0
    slow = certify(CTRNN(2, 3, key=KEY, dt=0.25), RFLO())
    assert 3 < slow.flops / local.flops < 5, "every micro-step is counted"


def test_a_window_is_counted_whole(leaky):
    short, long = (certify(leaky, TBPTT(window), (1,)).flops for window in (4, 16))
    assert 3 < long / short < 5


def test_precision_is_left_as_it_was(leaky):
    certify(leaky, RFLO(), (2,))
    assert jnp.zeros(()).dtype == jnp.float32
    assert leaky.weight.dtype == jnp.float32


def test_refusals(leaky):
    with pytest.raises(UnsupportedCellError, match="use SnAp1"):
        certify(leaky, DiagonalRTRL())
    with pytest.raises(ValueError, match=r"lengths are \(3, 0\)"):
        certify(leaky, RTRL(), (3, 0))


def test_rows_and_table():
    chosen = ("ctrnn", "memoryless")
    rows = certify_all(
        {name: CELLS[name] for name in chosen},
        {name: RULES[name] for name in ("rflo", "frozen")},
        hidden=3,
        lengths=(1, 3),
    )
    assert [(row["cell"], row["rule"]) for row in rows] == [
        (cell, rule) for cell in chosen for rule in ("rflo", "frozen")
    ]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert rows[0]["refused"] is None
    assert rows[0]["blocks"]["tau"].keys() == {"kind", "cosine", "relative_error"}
    assert rows[1]["blocks"]["tau"]["kind"] == "zero"
    assert "use SnAp1" in rows[2]["refused"]
    assert rows[2]["blocks"] is None
    console = Console(width=120, file=io.StringIO())
    console.print(as_table(rows))
    text = console.file.getvalue()
    for shown in ("ctrnn", "memoryless", "tau ~ ", "weight zero", "refused: RFLO"):
        assert shown in text
