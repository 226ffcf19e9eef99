"""Figures and films: learning curves, scenes of environments, recorded episodes.

`plot` and `plot_variance` are imported on first access: `import rtrrl.viz` does not import
matplotlib.
"""

from typing import TYPE_CHECKING, Any

from rtrrl.viz import bands as bands

if TYPE_CHECKING:
    from rtrrl.viz.curves import plot as plot
    from rtrrl.viz.curves import plot_variance as plot_variance


def __getattr__(name: str) -> Any:
    if name in ("plot", "plot_variance"):
        from rtrrl.viz import curves

        return getattr(curves, name)
    raise AttributeError(f"module 'rtrrl.viz' has no attribute '{name}'")
