import inspect
import io
import json

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

from rtrrl.cells import CELLS, CTRNN, GRU, LRU, GRUConfig
from rtrrl.errors import RtrrlError, UnsupportedCellError
from rtrrl.gradients import RFLO, RTRL, RULES, TBPTT, DiagonalRTRL, Frozen, SnAp1
from rtrrl.gradients.certificates import Certificate, Kind, as_table, certify, certify_all, compare

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def leaky():
    return CTRNN(2, 3, key=KEY)


class Transposed(RTRL):
    """RTRL with a pullback that contracts a wrong axis, as in some published code."""

    def pullback(self, cell, influence, h_bar):
        return super().pullback(cell, influence, h_bar[:, ::-1])


class CoupledGRU(GRU):
    """Declares that no unit reads another, which is wrong."""

    diagonal = True


class CarriesOver(RTRL):
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


@pytest.mark.parametrize("rule", [RFLO(), Transposed(), CarriesOver(), TBPTT(16)])
def test_an_approximate_gradient_is_not_certified_as_exact(leaky, rule):
    for block in certify(leaky, rule).values():
        assert block.kind is Kind.APPROXIMATE
        assert 1e-10 < block.relative_error < 3
        assert block.cosine < 1


def test_a_window_is_exact_for_shorter_episodes(leaky):
    for block in certify(leaky, TBPTT(16), lengths=(1, 16)).values():
        assert block.kind is Kind.EXACT


def test_frozen_is_zero_except_for_feedforward_parameters():
    certificates = certify(LRU(2, 3, key=KEY), Frozen())
    kinds = {name: block.kind for name, block in certificates.items()}
    carried = dict.fromkeys(("nu", "theta_log", "gamma_log", "weight"), Kind.ZERO)
    assert kinds == carried | dict.fromkeys(("readout", "skip"), Kind.EXACT)
    assert certificates.memory == 0


def test_a_cell_that_is_diagonal_only_by_declaration_is_approximate():
    cell = CoupledGRU(2, 3, key=KEY)
    assert certify(cell, DiagonalRTRL())["weight"].kind is Kind.APPROXIMATE


def test_compare():
    g = jnp.array([3.0, 4.0])
    assert compare(g, g) == Certificate(Kind.EXACT, 1.0, 0.0)
    assert compare(0 * g, 0 * g) == Certificate(Kind.EXACT, 1.0, 0.0)
    assert compare(0 * g, g) == Certificate(Kind.ZERO, 0.0, 1.0)
    assert compare(-g, g) == Certificate(Kind.APPROXIMATE, -1.0, 2.0)
    assert compare(g, 0 * g).kind is Kind.APPROXIMATE


def test_memory_and_flops(leaky):
    weights = 3 * 6 + 3
    dense, local = certify(leaky, RTRL()), certify(leaky, RFLO())
    assert (dense.memory, local.memory) == (3 * weights, weights)
    assert dense.flops > 2 * local.flops > 0
    slow = certify(CTRNN(2, 3, key=KEY, dt=0.25), RFLO())
    assert 3 < slow.flops / local.flops < 5, "every micro-step is counted"


def test_flops_count_the_whole_window(leaky):
    short, long = (certify(leaky, TBPTT(window), (1,)).flops for window in (4, 16))
    assert 3 < long / short < 5


def test_precision_is_restored(leaky):
    certify(leaky, RFLO(), (2,))
    assert jnp.zeros(()).dtype == jnp.float32
    assert leaky.weight.dtype == jnp.float32


def test_refusals(leaky):
    with pytest.raises(UnsupportedCellError, match="use SnAp1"):
        certify(leaky, DiagonalRTRL())
    with pytest.raises(RtrrlError, match=r"lengths are \(3, 0\)"):
        certify(leaky, RTRL(), (3, 0))


def test_rows_and_table():
    chosen = ("ctrnn", "memoryless")
    rows = certify_all(
        {name: CELLS[name] for name in chosen},
        {name: RULES[name] for name in ("rflo", "frozen")},
        hidden_size=3,
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
    for part in ("ctrnn", "memoryless", "tau ~ ", "weight zero", "refused: RFLO"):
        assert part in text


def test_names_and_configs_are_built():
    by_name = certify("gru", "snap1", (3,))
    assert by_name == certify(GRUConfig(hidden_size=32), SnAp1(), (3,))
    assert by_name["weight"].kind is Kind.APPROXIMATE
    assert by_name.memory == 3 * 10 * 6 + 6, "3 inputs, 6 units"


@pytest.mark.parametrize(
    ("cell", "rule", "message"),
    [
        ("gruu", "rtrl", "unknown cell 'gruu': did you mean gru"),
        ("gru", "rtl", "unknown rule 'rtl': did you mean rtrl"),
        (GRU, "rtrl", "the cell is .*GRU.*: expected a Cell, a CellConfig or a name"),
        ("gru", RTRL, "the rule is .*RTRL.*: expected a GradientRule or a name"),
    ],
)
def test_anything_else_is_refused(cell, rule, message):
    with pytest.raises(RtrrlError, match=message):
        inspect.unwrap(certify)(cell, rule)  # without the tests' own check of types
