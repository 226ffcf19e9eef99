"""Recurrent cells: h' = f(h, x), one recurrence a file."""

from rtrrl.cells.base import Cell, LeakyCell, Recipe, recurrent_parameters
from rtrrl.cells.ctrnn import CTRNN, CTRNNRecipe
from rtrrl.cells.gru import GRU, GRURecipe
from rtrrl.cells.lru import LRU, LRURecipe
from rtrrl.cells.lstm import LSTM, LSTMRecipe
from rtrrl.cells.memoryless import Memoryless, MemorylessRecipe
from rtrrl.cells.retentions import LogUniformTimes, Retention, UniformRing
from rtrrl.cells.rtu import (
    RTU,
    NonlinearRTU,
    NonlinearRTURecipe,
    RTURecipe,
    SaturatingRTU,
    SaturatingRTURecipe,
)
from rtrrl.cells.wirings import NCP, Diagonal, FullyConnected, SparseRandom, Wiring

RECIPES: dict[str, Recipe] = {
    "ctrnn": CTRNNRecipe(),
    "rtu": RTURecipe(),
    "nonlinear-rtu": NonlinearRTURecipe(),
    "saturating-rtu": SaturatingRTURecipe(),
    "lru": LRURecipe(),
    "gru": GRURecipe(),
    "lstm": LSTMRecipe(),
    "memoryless": MemorylessRecipe(),
}
"""The cells by the names that the command line knows."""

WIRINGS: dict[str, Wiring] = {
    "full": FullyConnected(),
    "sparse": SparseRandom(),
    "diagonal": Diagonal(),
    "ncp": NCP(),
}
"""The wirings of a CT-RNN, likewise."""

RETENTIONS: dict[str, Retention] = {"ring": UniformRing(), "log-uniform": LogUniformTimes()}
"""The initial retentions by the names that the command line knows."""

__all__ = [
    "CTRNN",
    "GRU",
    "LRU",
    "LSTM",
    "NCP",
    "RECIPES",
    "RETENTIONS",
    "RTU",
    "WIRINGS",
    "CTRNNRecipe",
    "Cell",
    "Diagonal",
    "FullyConnected",
    "GRURecipe",
    "LRURecipe",
    "LSTMRecipe",
    "LeakyCell",
    "LogUniformTimes",
    "Memoryless",
    "MemorylessRecipe",
    "NonlinearRTU",
    "NonlinearRTURecipe",
    "RTURecipe",
    "Recipe",
    "Retention",
    "SaturatingRTU",
    "SaturatingRTURecipe",
    "SparseRandom",
    "UniformRing",
    "Wiring",
    "recurrent_parameters",
]
