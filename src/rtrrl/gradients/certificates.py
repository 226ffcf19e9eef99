"""Which gradients are exact, approximate or zero: measured against BPTT."""

import dataclasses
import enum
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.extend
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rtrrl.cells import CELLS, Cell, CellConfig
from rtrrl.errors import RtrrlError, UnsupportedCellError
from rtrrl.gradients import RULES, GradientRule
from rtrrl.types import Key, PyTree, Scalar, parameters
from rtrrl.utils.arrays import in_words
from rtrrl.utils.forking import refuse_after_fork

if TYPE_CHECKING:
    from rich.table import Table

LENGTHS = (1, 5, 20)
"""The last is longer than the default window of TBPTT, which is exact in shorter episodes."""
TOLERANCE = 1e-10
"""The relative error, in float64, below which a gradient counts as exact."""
RUN_ONCE = {"xla_backend_optimization_level": 0}
"""Compiler options for programs that run once on small arrays, where compilation dominates."""


class Kind(enum.Enum):
    """How a gradient relates to that of BPTT."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    ZERO = "zero"


@dataclasses.dataclass(frozen=True)
class Certificate:
    """One parameter block: its online gradient g beside the gradient g* of BPTT."""

    kind: Kind
    cosine: float
    """g·g* / (|g| |g*|); 0 where g alone is zero."""
    relative_error: float
    """|g − g*| / |g*|."""


@dataclasses.dataclass(frozen=True)
class Certificates(Mapping[str, Certificate]):
    """One `Certificate` for each parameter block of a cell, and the cost of the rule."""

    blocks: dict[str, Certificate]
    memory: int
    """The number of floats in the influence."""
    flops: float
    """Of one step and one pullback."""

    def __getitem__(self, name: str) -> Certificate:
        return self.blocks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)


class Episodes(eqx.Module):
    """Consecutive episodes, and the cotangent of the features at every step."""

    x: Float[Array, "time inputs"]
    start: Bool[Array, "time"]
    features_bar: Float[Array, "time features"]

    @classmethod
    def random(cls, cell: Cell, lengths: Sequence[int], key: Key) -> "Episodes":
        """One episode of each length, inputs and cotangents uniform in (−1, 1)."""
        input_key, features_key = jax.random.split(key)
        time = sum(lengths)
        starts = [sum(lengths[:episode]) for episode in range(len(lengths))]
        return cls(
            x=jax.random.uniform(input_key, (time, cell.input_size), minval=-1.0),
            start=jnp.zeros(time, bool).at[jnp.array(starts)].set(True),
            features_bar=jax.random.uniform(features_key, (time, cell.feature_size), minval=-1.0),
        )


def certify(
    cell: Cell | CellConfig | str,
    rule: GradientRule | str,
    lengths: Sequence[int] = LENGTHS,
    *,
    key: Key | None = None,
) -> Certificates:
    """Measure a rule's gradient of each parameter block of a cell against BPTT.

        L = Σₜ f̄ₜ · features(hₜ, xₜ),   hₜ = f(hₜ₋₁, xₜ), reset where an episode starts
        g = Σₜ pullback(Pₜ, ∂L/∂hₜ) + immediate,   g* = dL/dθ through the unrolled sequence

    in float64, over one episode of each of the `lengths` with random inputs and cotangents f̄. A
    rule that samples is measured by one sample. `cell` and `rule` may be names; a `CellConfig` is
    built with 3 inputs and 6 units.

    **Raises** `UnsupportedCellError` where the rule does not fit the cell, `UnknownNameError` for
    an unknown name, `RtrrlError` for another type or a length below 1.

    >>> certify("rtu", "snap1")["nu"].kind
    <Kind.EXACT: 'exact'>
    >>> import jax, rtrrl
    >>> cell = rtrrl.cells.RTU(input_size=2, hidden_size=2, key=jax.random.key(0))
    >>> certify(cell, rtrrl.gradients.Frozen())["nu"].kind
    <Kind.ZERO: 'zero'>
    """
    refuse_after_fork()
    if not lengths or min(lengths) < 1:
        raise RtrrlError(f"lengths are {tuple(lengths)}: expected episodes of 1 step or more")
    model = _build(CELLS[cell] if isinstance(cell, str) else cell)
    rule = RULES[rule] if isinstance(rule, str) else rule
    if not isinstance(rule, GradientRule):
        raise RtrrlError(f"the rule is {in_words(rule)}: expected a GradientRule or a name")
    key = jax.random.key(0) if key is None else key
    with jax.enable_x64(True):
        model = jax.tree.map(lambda a: a.astype(float) if eqx.is_inexact_array(a) else a, model)
        episodes = Episodes.random(model, lengths, key)
        influence = rule.init(model, jax.random.fold_in(key, 1))
        online = _compiled_online(model, rule, influence, episodes)
        pairs = jax.tree.map(compare, online, _compiled_unrolled(model, episodes))
        blocks = jax.tree_util.tree_leaves_with_path(pairs)
        floats = jax.tree.leaves(eqx.filter(influence, eqx.is_inexact_array))
        return Certificates(
            blocks={jax.tree_util.keystr(path, simple=True): block for path, block in blocks},
            memory=sum(leaf.size for leaf in floats),
            flops=flops_per_step(model, rule, influence),
        )


def _build(cell: Any, input_size: int = 3, hidden_size: int = 6) -> Cell:
    if isinstance(cell, CellConfig):
        cell = dataclasses.replace(cell, hidden_size=hidden_size)(input_size, jax.random.key(0))
    if not isinstance(cell, Cell):
        raise RtrrlError(f"the cell is {in_words(cell)}: expected a Cell, a CellConfig or a name")
    return cell


def compare(online: Float[Array, "*block"], unrolled: Float[Array, "*block"]) -> Certificate:
    """The certificate of one block.

    >>> import jax.numpy as jnp
    >>> compare(jnp.array([0.0, 1.0]), jnp.array([0.0, 2.0]))
    Certificate(kind=<Kind.APPROXIMATE: 'approximate'>, cosine=1.0, relative_error=0.5)
    """
    norm, true_norm = float(jnp.linalg.norm(online)), float(jnp.linalg.norm(unrolled))
    if norm == true_norm == 0:
        return Certificate(Kind.EXACT, 1.0, 0.0)
    error = float(jnp.linalg.norm(online - unrolled)) / (true_norm or 1.0)
    cosine = float(jnp.vdot(online, unrolled)) / ((norm * true_norm) or 1.0)
    if norm == 0:
        return Certificate(Kind.ZERO, 0.0, error)
    return Certificate(Kind.EXACT if error < TOLERANCE else Kind.APPROXIMATE, cosine, error)


def online_gradient(
    cell: Cell, rule: GradientRule, influence: PyTree, episodes: Episodes
) -> PyTree:
    """Σₜ h̄ₜᵀ Pₜ, and the immediate gradient of feed-forward parameters; forward in time."""
    trained = parameters(cell)

    def step(carry: PyTree, row: Episodes) -> tuple[PyTree, None]:
        h, P, total = carry
        initial = (cell.initial_state(), rule.restart(cell, P))
        h, P = jax.tree.map(functools.partial(jnp.where, row.start), initial, (h, P))
        h, P = rule.step(cell, P, h, row.x)
        _, vjp = jax.vjp(lambda p, h: eqx.combine(p, cell).features(h, row.x), trained, h)
        immediate, h_bar = vjp(row.features_bar)
        gradient = eqx.combine(rule.pullback(cell, P, h_bar), immediate)
        return (h, P, jax.tree.map(jnp.add, total, gradient)), None

    start = (cell.initial_state(), influence, jax.tree.map(jnp.zeros_like, trained))
    return jax.lax.scan(step, start, episodes)[0][2]


def unrolled_gradient(cell: Cell, episodes: Episodes) -> PyTree:
    """dL/dθ by backpropagation through the unrolled sequence."""

    def loss(trained: PyTree) -> Scalar:
        model = eqx.combine(trained, cell)

        def step(h: Array, row: Episodes) -> tuple[Array, Array]:
            h = model(jnp.where(row.start, model.initial_state(), h), row.x)
            return h, row.features_bar @ model.features(h, row.x)

        return jax.lax.scan(step, model.initial_state(), episodes)[1].sum()

    return jax.grad(loss)(parameters(cell))


_compiled_online = jax.jit(online_gradient, compiler_options=RUN_ONCE)
_compiled_unrolled = jax.jit(unrolled_gradient, compiler_options=RUN_ONCE)


def flops_per_step(cell: Cell, rule: GradientRule, influence: PyTree) -> float:
    """Floating-point operations of one step and one pullback, as XLA counts them.

    XLA counts the body of a loop once, so the loops (micro-steps, a window) are unrolled. It
    counts before optimisation: an upper bound, by the same measure for every rule.
    """
    arrays, static = eqx.partition((cell, influence), eqx.is_array)

    def work(arrays: PyTree, h: Array, x: Array, h_bar: Array) -> PyTree:
        cell, influence = eqx.combine(arrays, static)
        h, influence = rule.step(cell, influence, h, x)
        return h, influence, rule.pullback(cell, influence, h_bar)

    h = cell.initial_state()
    inputs = (arrays, h, jnp.zeros(cell.input_size), h)
    with jax.disable_jit():  # a loop is then a Python loop over traced values
        unrolled = jax.extend.core.jaxpr_as_fun(jax.make_jaxpr(work)(*inputs))
    costs = jax.jit(unrolled).lower(*jax.tree.leaves(inputs)).cost_analysis() or {}
    return float(costs.get("flops", 0.0))


def certify_all(
    cells: Mapping[str, CellConfig] = CELLS,
    rules: Mapping[str, GradientRule] = RULES,
    *,
    input_size: int = 3,
    hidden_size: int = 6,
    lengths: Sequence[int] = LENGTHS,
) -> list[dict[str, Any]]:
    """Measure every cell with every rule: one JSON-able row per pair.

    A row is `{"cell", "rule", "refused", "blocks", "memory", "flops"}`. Where the rule does not fit
    the cell, `refused` is the message that says what to use and the rest is None; else it is None.

    >>> [row] = certify_all({"gru": CELLS["gru"]}, {"rflo": RULES["rflo"]})
    >>> row["refused"]
    'RFLO carries the constant leak of a unit and GRU has none: use SnAp1 ...'
    """
    rows = []
    for cell_name, config in cells.items():
        cell = _build(config, input_size, hidden_size)
        for rule_name, rule in rules.items():
            row = {"cell": cell_name, "rule": rule_name, "refused": None}
            try:
                measured = dataclasses.asdict(certify(cell, rule, lengths))
            except UnsupportedCellError as refusal:
                measured = {"refused": str(refusal), "blocks": None, "memory": None, "flops": None}
            for block in (measured["blocks"] or {}).values():
                block["kind"] = block["kind"].value
            rows.append(row | measured)
    return rows


def as_table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    """The rows of `certify_all` for a terminal: exact blocks green, zero ones red."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="Online gradients against BPTT, float64",
        caption="~ cosine (relative error) to BPTT; memory in floats of influence",
    )
    for heading in ("cell", "rule", "parameters"):
        table.add_column(heading, overflow="fold")
    for heading in ("memory", "FLOPs/step"):
        table.add_column(heading, justify="right")
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        if row["refused"]:
            columns = (Text(f"refused: {row['refused']}", style="dim"), "", "")
        else:
            lines = [Text(*_line(name, block)) for name, block in row["blocks"].items()]
            columns = (Text("\n").join(lines), f"{row['memory']:,}", f"{row['flops']:,.0f}")
        last = following is not None and following["cell"] != row["cell"]
        table.add_row(row["cell"], row["rule"], *columns, end_section=last)
    return table


def _line(name: str, block: Mapping[str, Any]) -> tuple[str, str]:
    """The text of one block and its style."""
    if block["kind"] == Kind.APPROXIMATE.value:
        return f"{name} ~ {block['cosine']:.2f} ({block['relative_error']:.2g})", "yellow"
    return f"{name} {block['kind']}", "green" if block["kind"] == Kind.EXACT.value else "red"
