"""Gradient rules: how ∂h/∂θ is carried forward in time; the local rules share one file."""

from rtrrl.gradients.base import GradientRule
from rtrrl.gradients.frozen import Frozen
from rtrrl.gradients.local import RFLO, DiagonalRTRL, Immediate, SnAp1
from rtrrl.gradients.rtrl import RTRL
from rtrrl.gradients.tbptt import TBPTT
from rtrrl.gradients.uoro import UORO
from rtrrl.utils.registry import Registry

RULES: Registry[GradientRule] = Registry(
    "rule",
    {
        "rtrl": RTRL,
        "snap1": SnAp1,
        "diagonal-rtrl": DiagonalRTRL,
        "rflo": RFLO,
        "immediate": Immediate,
        "uoro": UORO,
        "tbptt": TBPTT,
        "frozen": Frozen,
    },
)
"""The gradient rules by name."""

__all__ = [
    "RFLO",
    "RTRL",
    "RULES",
    "TBPTT",
    "UORO",
    "DiagonalRTRL",
    "Frozen",
    "GradientRule",
    "Immediate",
    "SnAp1",
]
