"""What can be pulled to make an agent keep what it learns: each lever is one change."""

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Lever:
    """An agent that differs from another in one thing."""

    name: str
    why: str
    """What one might expect of it, in half a sentence."""
    agent: str = "default"
    changes: Mapping[str, float | int] = dataclasses.field(default_factory=dict)
    """By dotted path, as `suite.Entry` takes them."""
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    continuous: bool | None = None
    """Whether it means something only where actions are numbers; or only where they are not."""


def _traces(decay: float) -> dict[str, float]:
    return {f"lambda_{group}": decay for group in ("actor", "critic", "recurrent")}


REFERENCE = Lever("default", "what the levers below are pulled on")

LEVERS = (
    Lever("λ = 0.8", "less noise of old actions", changes=_traces(0.8)),
    Lever("λ = 0.9", "less noise of old actions", changes=_traces(0.9)),
    Lever("λ = 1", "no bias by values that are wrong", changes=_traces(1.0)),
    Lever("λ of the recurrence 0.9", "shorter there alone", changes={"lambda_recurrent": 0.9}),
    Lever(
        "λ of the readouts 0.9",
        "shorter there alone",
        changes={"lambda_actor": 0.9, "lambda_critic": 0.9},
    ),
    Lever(
        "average reward, γ = 1",
        "no horizon",
        changes={"gamma": 1.0, "average_reward_rate": 1e-3},
    ),
    Lever("γ = 0.995", "a longer horizon", changes={"gamma": 0.995}),
    Lever(
        "recurrence as fast as the actor",
        "features that change under the readouts",
        changes={"optimizer.recurrent_multiple": 2.0},
    ),
    Lever("recurrence at 0.1", "a calmer ground", changes={"optimizer.recurrent_multiple": 0.1}),
    Lever("recurrence at 0.03", "calmer still", changes={"optimizer.recurrent_multiple": 0.03}),
    Lever("Λ as fast as B", "memories that turn round", changes={"cell.eigenvalue_lr_scale": 1.0}),
    Lever("recurrence frozen", "a reservoir", parts={"rule": "frozen"}),
    Lever(
        "critic as fast as the actor",
        "a baseline that keeps up",
        changes={"optimizer.learning_rate": 1e-3}
        | {"optimizer.actor_multiple": 1.0, "optimizer.recurrent_multiple": 0.15},
    ),
    Lever(
        "actor as slow as the critic", "smaller steps", changes={"optimizer.actor_multiple": 1.0}
    ),
    Lever("twice as fast", "larger steps", changes={"optimizer.learning_rate": 1e-3}),
    Lever("half as fast", "smaller steps", changes={"optimizer.learning_rate": 2.5e-4}),
    Lever("gradient norm clipped at 1", "as published", changes={"optimizer.clip": 1.0}),
    Lever("Adam's ε = 1e-8", "as published", changes={"optimizer.epsilon": 1e-8}),
    Lever(
        "Adam's ε = 1e-2", "calmer where gradients are small", changes={"optimizer.epsilon": 1e-2}
    ),
    Lever("Adam's β₁ = 0", "the trace is momentum enough", changes={"optimizer.b1": 0.0}),
    Lever("Adam's β₂ = 0.9999", "a longer memory of scale", changes={"optimizer.b2": 0.9999}),
    Lever("ObGD", "steps that cannot overshoot", parts={"optimizer": "obgd"}),
    Lever("adaptive ObGD", "the same, weight by weight", parts={"optimizer": "adaptive-obgd"}),
    Lever("intentional updates", "steps by their effect", parts={"optimizer": "intentional"}),
    Lever("random feedback", "as in a brain", parts={"feedback": "random"}),
    Lever("replacing traces", "traces that do not pile up", parts={"trace": "replacing"}),
    Lever("rewards as they come", "one scale less", parts={"rewards": "raw"}),
    Lever("observations as they come", "one scale less", parts={"observations": "raw"}),
    Lever("observations normalised", "inputs of one size", parts={"observations": "normalized"}),
    Lever("nothing sought", "no reward for what is new", parts={"bonus": "none"}),
    Lever("white noise", "each action by itself", parts={"noise": "white"}, continuous=True),
    Lever("σ of the state", "a width for each", parts={"spread": "state"}, continuous=True),
    Lever("mean with gain 1", "as usual", changes={"policy.gain": 1.0}, continuous=True),
    Lever("σ that may close", "as usual", changes={"policy.narrowest": 0.0067}, continuous=True),
    Lever("no blind actions", "as usual", changes={"policy.exploration": 0.0}, continuous=False),
    Lever(
        "input that saturates",
        "inputs that silence one another",
        changes={"cell.eigenvalue_lr_scale": 0.03},
        parts={"cell": "saturating-rtu", "eigenvalues": "log-uniform"},
    ),
    Lever("usual ring of retentions", "as in the literature", parts={"eigenvalues": "ring"}),
    Lever("stronger entropy bonus", "1e-2 for 1e-5", changes={"entropy_coefficient": 1e-2}),
    Lever("64 units", "more features", changes={"cell.hidden_size": 64}),
)
"""Each is the default but for one thing."""

_HOPES = ("actor as slow as the critic", "input that saturates", "64 units")
ATTEMPTS = tuple(lever for lever in LEVERS if lever.name in _HOPES)
"""What could be hoped to help where the default misses its target."""

PAPER = Lever("paper", "as published", agent="paper")
STABLE = Lever("paper-stable", "the paper's cell, rule and feedback", agent="paper-stable")

PAPER_LEVERS = (
    PAPER,
    Lever("paper, norm not clipped", "", agent="paper", changes={"optimizer.clip": math.inf}),
    STABLE,
)
