"""Recurrent cells: h' = f(h, x), one recurrence a file."""

from rtrrl.cells.base import Cell, CellConfig, LeakyCell, recurrent_parameters
from rtrrl.cells.complex_diagonal import ComplexDiagonalCell, ComplexDiagonalConfig
from rtrrl.cells.ctrnn import CTRNN, CTRNNConfig
from rtrrl.cells.eigenvalues import EigenvalueInitializer, LogUniformTimescales, UniformRing
from rtrrl.cells.gru import GRU, GRUConfig
from rtrrl.cells.lru import LRU, LRUConfig
from rtrrl.cells.lstm import LSTM, LSTMConfig
from rtrrl.cells.memoryless import Memoryless, MemorylessConfig
from rtrrl.cells.rtu import (
    RTU,
    NonlinearRTU,
    NonlinearRTUConfig,
    RTUConfig,
    SaturatingRTU,
    SaturatingRTUConfig,
)
from rtrrl.cells.wirings import NCP, Diagonal, FullyConnected, SparseRandom, Wiring
from rtrrl.utils.registry import Registry

CELLS: Registry[CellConfig] = Registry(
    "cell",
    {
        "ctrnn": CTRNNConfig,
        "rtu": RTUConfig,
        "nonlinear-rtu": NonlinearRTUConfig,
        "saturating-rtu": SaturatingRTUConfig,
        "lru": LRUConfig,
        "gru": GRUConfig,
        "lstm": LSTMConfig,
        "memoryless": MemorylessConfig,
    },
)
"""The cells by name."""

WIRINGS: Registry[Wiring] = Registry(
    "wiring",
    {
        "full": FullyConnected,
        "sparse": SparseRandom,
        "diagonal": Diagonal,
        "ncp": NCP,
    },
)
"""The wirings of a CT-RNN by name."""

EIGENVALUES: Registry[EigenvalueInitializer] = Registry(
    "eigenvalues",
    {
        "ring": UniformRing,
        "log-uniform": LogUniformTimescales,
    },
)
"""The distributions of initial eigenvalues by name."""

__all__ = [
    "CELLS",
    "CTRNN",
    "EIGENVALUES",
    "GRU",
    "LRU",
    "LSTM",
    "NCP",
    "RTU",
    "WIRINGS",
    "CTRNNConfig",
    "Cell",
    "CellConfig",
    "ComplexDiagonalCell",
    "ComplexDiagonalConfig",
    "Diagonal",
    "EigenvalueInitializer",
    "FullyConnected",
    "GRUConfig",
    "LRUConfig",
    "LSTMConfig",
    "LeakyCell",
    "LogUniformTimescales",
    "Memoryless",
    "MemorylessConfig",
    "NonlinearRTU",
    "NonlinearRTUConfig",
    "RTUConfig",
    "SaturatingRTU",
    "SaturatingRTUConfig",
    "SparseRandom",
    "UniformRing",
    "Wiring",
    "recurrent_parameters",
]
