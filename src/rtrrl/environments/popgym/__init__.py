"""Environments of POPGym, written in JAX and tested against the package popgym 1.0.7.

The defaults of an environment are POPGym's level "Easy"; its docstring has the other two.

Source: Morad et al., "POPGym: Benchmarking Partially Observable Reinforcement Learning", ICLR 2023.
"""

from rtrrl.environments.popgym.autoencode import Autoencode as Autoencode
from rtrrl.environments.popgym.concentration import Concentration as Concentration
from rtrrl.environments.popgym.count_recall import CountRecall as CountRecall
from rtrrl.environments.popgym.higher_lower import HigherLower as HigherLower
from rtrrl.environments.popgym.minesweeper import Minesweeper as Minesweeper
from rtrrl.environments.popgym.multi_armed_bandit import MultiArmedBandit as MultiArmedBandit
from rtrrl.environments.popgym.repeat_first import RepeatFirst as RepeatFirst
from rtrrl.environments.popgym.repeat_previous import RepeatPrevious as RepeatPrevious
from rtrrl.environments.popgym.stateless_cartpole import (
    NoisyStatelessCartPole as NoisyStatelessCartPole,
)
from rtrrl.environments.popgym.stateless_cartpole import StatelessCartPole as StatelessCartPole
