"""Single changes to an agent that may affect whether it keeps what it learns."""

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Variant:
    """An agent that differs from a named one in one respect."""

    name: str
    expectation: str
    """The effect it may have."""
    agent: str = "default"
    changes: Mapping[str, float | int] = dataclasses.field(default_factory=dict)
    """By dotted path, as in `suite.Entry`."""
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    continuous: bool | None = None
    """Whether it applies to continuous actions alone, or to discrete ones alone."""


def _lambda(value: float) -> dict[str, float]:
    return {f"lambda_{group}": value for group in ("actor", "critic", "recurrent")}


REFERENCE = Variant("default", "the reference")

VARIANTS = (
    Variant("λ = 0.8", "less variance from old actions", changes=_lambda(0.8)),
    Variant("λ = 0.9", "less variance from old actions", changes=_lambda(0.9)),
    Variant("λ = 1", "no bias from inaccurate values", changes=_lambda(1.0)),
    Variant("λ of the recurrence 0.9", "a shorter trace there", changes={"lambda_recurrent": 0.9}),
    Variant(
        "λ of the readouts 0.9",
        "shorter traces there",
        changes={"lambda_actor": 0.9, "lambda_critic": 0.9},
    ),
    Variant(
        "average reward, γ = 1",
        "no discounting",
        changes={"gamma": 1.0, "average_reward_rate": 1e-3},
    ),
    Variant("γ = 0.995", "a longer horizon", changes={"gamma": 0.995}),
    Variant(
        "recurrent rate as the actor's",
        "features that adapt as fast as the readouts",
        changes={"optimizer.recurrent_multiple": 2.0},
    ),
    Variant(
        "recurrent rate 0.1 of the critic's",
        "features that change slowly",
        changes={"optimizer.recurrent_multiple": 0.1},
    ),
    Variant(
        "recurrent rate 0.03 of the critic's",
        "features that change more slowly",
        changes={"optimizer.recurrent_multiple": 0.03},
    ),
    Variant(
        "rate of Λ as that of B", "faster eigenvalues", changes={"cell.eigenvalue_lr_scale": 1.0}
    ),
    Variant("frozen recurrence", "a reservoir", parts={"rule": "frozen"}),
    Variant(
        "critic's rate as the actor's",
        "a more accurate baseline",
        changes={"optimizer.learning_rate": 1e-3}
        | {"optimizer.actor_multiple": 1.0, "optimizer.recurrent_multiple": 0.15},
    ),
    Variant(
        "actor's rate as the critic's", "smaller steps", changes={"optimizer.actor_multiple": 1.0}
    ),
    Variant("all rates × 2", "larger steps", changes={"optimizer.learning_rate": 1e-3}),
    Variant("all rates × 0.5", "smaller steps", changes={"optimizer.learning_rate": 2.5e-4}),
    Variant("gradient norm clipped at 1", "as published", changes={"optimizer.clip": 1.0}),
    Variant("Adam's ε = 1e-8", "as published", changes={"optimizer.epsilon": 1e-8}),
    Variant(
        "Adam's ε = 1e-2", "smaller steps at small gradients", changes={"optimizer.epsilon": 1e-2}
    ),
    Variant("Adam's β₁ = 0", "averaging by the trace alone", changes={"optimizer.b1": 0.0}),
    Variant("Adam's β₂ = 0.9999", "a longer average of squares", changes={"optimizer.b2": 0.9999}),
    Variant("ObGD", "steps that cannot overshoot", parts={"optimizer": "obgd"}),
    Variant("adaptive ObGD", "the same, weight by weight", parts={"optimizer": "adaptive-obgd"}),
    Variant("intentional updates", "steps chosen by effect", parts={"optimizer": "intentional"}),
    Variant("random feedback", "no weight transport", parts={"feedback": "random"}),
    Variant("replacing traces", "bounded traces", parts={"trace": "replacing"}),
    Variant("raw rewards", "one normalizer less", parts={"rewards": "raw"}),
    Variant("raw observations", "one normalizer less", parts={"observations": "raw"}),
    Variant("normalized observations", "equal scales", parts={"observations": "normalized"}),
    Variant("no exploration bonus", "the task's reward alone", parts={"bonus": "none"}),
    Variant("white noise", "independent actions", parts={"noise": "white"}, continuous=True),
    Variant(
        "state-dependent σ", "adaptive exploration", parts={"spread": "state"}, continuous=True
    ),
    Variant("mean with gain 1", "as usual", changes={"policy.gain": 1.0}, continuous=True),
    Variant(
        "σ almost unbounded", "as usual", changes={"policy.narrowest": 0.0067}, continuous=True
    ),
    Variant("no random actions", "as usual", changes={"policy.exploration": 0.0}, continuous=False),
    Variant(
        "saturating input",
        "inputs that suppress others",
        changes={"cell.eigenvalue_lr_scale": 0.03},
        parts={"cell": "saturating-rtu", "eigenvalues": "log-uniform"},
    ),
    Variant("ring of eigenvalues", "as in the literature", parts={"eigenvalues": "ring"}),
    Variant("larger entropy bonus", "1e-2 instead of 1e-5", changes={"entropy_coefficient": 1e-2}),
    Variant("64 units", "more features", changes={"cell.hidden_size": 64}),
)
"""Each is the default with one change."""

CANDIDATES = tuple(
    variant
    for variant in VARIANTS
    if variant.name in ("actor's rate as the critic's", "saturating input", "64 units")
)
"""What is tried where the default misses its target."""

PAPER = Variant("paper", "as published", agent="paper")
STABLE = Variant("paper-stable", "the paper's cell, rule and feedback", agent="paper-stable")

PAPER_VARIANTS = (
    PAPER,
    Variant("paper, norm not clipped", "", agent="paper", changes={"optimizer.clip": math.inf}),
    STABLE,
)
