"""The numbers this project is compared with, each with its source and how well it is known.

Three kinds of number stand here and must not be mixed up:

* read off the paper's pictures (``reading``): the uncertainty is that of the reading and says nothing about the
  spread between trainings, of which the paper shows exactly one;
* measured by simulating the weights the authors released (``standard error``): the uncertainty is one standard error
  over simulated paths, again for one trained set of weights;
* quoted from such a measurement without an error (``rounding``): the uncertainty is half a unit of the last digit.

The last two stand in for the authors' policies where their weights are not at hand (:mod:`nash_dqn.authors`): where
they are, they are measured like any other, and what is measured takes the place of these.

The paper is P. Casgrain, B. Ning and S. Jaimungal, "Deep Q-Learning for Nash Equilibria: Nash-DQN", Applied
Mathematical Finance 29(1), 2022, 62-78.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

Key = TypeVar("Key")
UncertaintyKind = Literal["reading", "standard error", "rounding"]


@dataclass(frozen=True)
class Published:
    """One number to compare with.

    Attributes:
        value: the number, in the units of the quantity it is filed under.
        uncertainty: half-width of the reading or rounding error, or one standard error, in the same units.
        kind: which of these ``uncertainty`` is.
        source: where the number comes from.
    """

    value: float
    uncertainty: float
    kind: UncertaintyKind
    source: str

    def interval(self) -> tuple[float, float]:
        """Return what the number may be: 95 % (1.96 standard errors), or the whole reading or rounding error."""
        half = self.uncertainty * (1.96 if self.kind == "standard error" else 1.0)
        return self.value - half, self.value + half


def _table(
    values: Mapping[Key, float], uncertainty: float, kind: UncertaintyKind, source: str
) -> Mapping[Key, Published]:
    return {key: Published(value, uncertainty, kind, source) for key, value in values.items()}


FIG1_LOSS: Mapping[float, Published] = _table(
    {0.0: 86.0, 1.0: 79.8, 10.0: 59.5, 25.0: 55.2, 50.0: 54.8, 75.0: 55.9, 100.0: 53.7, 500.0: 57.3},
    uncertainty=0.2,
    kind="reading",
    source="the paper's Fig 1, digitised, ±0.2; one training a point",
)
"""Loss by the weight beta of the regulariser (23): squared errors (17) summed over ten episodes x ten steps x five
agents, averaged over 1,000 simulated episodes. The paper does not say what is summed; the sum is what its scale
fits."""

FIG1_BEST_BETA = 100.0
"""The weight the paper calls optimal, and trains with."""

FIG2_RATE_LIMIT = 10.0
"""End of Fig 2's diverging colour scale, from -10 to 10 shares/hour."""

FIG3_BINS = 20
"""Bins of each histogram in Fig 3."""

FIG3_MEANS: Mapping[str, Published] = _table(
    {"all_other": -1.349, "first_nash": -1.375, "first_other": -1.325, "all_nash": -1.342},
    uncertainty=0.003,
    kind="reading",
    source="the paper's Fig 3, digitised, ±0.003; one training of each algorithm",
)
"""Mean total reward of agent 1 by profile of policies (currency units); the other policy is fictitious play's."""

RELEASED_WEIGHTS_MEANS: Mapping[str, Published] = _table(
    {"all_other": -1.360, "first_nash": -1.400, "first_other": -1.320, "all_nash": -1.343},
    uncertainty=0.009,
    kind="standard error",
    source="the authors' released weights, simulated independently at the released parameters, 100 x 1,000 paths each",
)
"""As ``FIG3_MEANS``, from the authors' weights."""

RELEASED_WEIGHTS_PAIRED: Mapping[str, Published] = _table(
    {"first_nash-all_other": -0.0307, "first_other-all_nash": 0.0300},
    uncertainty=0.0003,
    kind="standard error",
    source="the authors' released weights, simulated independently at the released parameters, 200,000 common paths",
)
"""Difference of agent 1's mean total reward between two profiles (currency units). The paper's unpaired points
(standard deviation about 0.09 each) are too noisy to show differences of this size."""

RELEASED_WEIGHTS_EXPLOITABILITY: Mapping[tuple[str, str], Published] = _table(
    {
        ("fictitious_play", "same"): 0.076,
        ("nash_dqn", "same"): 0.096,
        ("fictitious_play", "memory"): 0.109,
        ("nash_dqn", "memory"): 0.127,
    },
    uncertainty=0.0005,
    kind="rounding",
    source="a trained best response to the authors' released weights, at the released parameters; a lower bound",
)
"""What one deviating agent gains (currency units), by (algorithm, class of the deviator): it sees the policies' own
observation (``same``), or that and its own past order flow (``memory``)."""

CODE_SCENARIO = "code"
"""The scenario with the released parameters: the only one where ``RELEASED_WEIGHTS_EXPLOITABILITY`` compares."""

AUTHORS_POLICIES = ("authors-nash", "authors-fp")
"""The policies made of the authors' weights, Nash-DQN's and fictitious play's."""

BUDGETS: Mapping[str, int] = {"nash_dqn": 2_000_000, "fictitious_play": 10_500_000}
"""Joint transitions a published training plays: ten episodes of ten steps in each of at most 20,000 iterations of
Nash-DQN (text, section 6.2), and in each of the 10,000 + 19 x 5,000 epochs of fictitious play (released code)."""
