"""``nash-dqn check``: it passes the games here, and names what was changed in one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from nash_dqn import check
from nash_dqn.cli import main
from nash_dqn.games.interbank import Interbank
from nash_dqn.games.traders import Traders
from nash_dqn.seeding import generator
from tests.weights import refused


@dataclass(frozen=True)
class Other(Interbank):
    """Another game than the learners take it for, in one place."""

    n_agents: int = 3
    where: str = ""

    def step(self, state: Any, actions: Tensor, shocks: Any) -> Any:
        """As the game's, but for what ``where`` says."""
        after, rewards = super().step(state, actions, shocks)
        third = torch.eye(3, dtype=rewards.dtype)[2]
        if self.where == "batches" and rewards.dim() > 1:
            rewards = rewards + 1e-3 * rewards.mean(0)
        elif self.where == "linear-quadratic":
            rewards = rewards - third * state.reserves**4
        elif self.where == "equilibrium":
            rewards = -rewards
        elif self.where == "groups":  # agent 2 pays twice for its actions
            rewards = rewards - 0.05 * third * actions.squeeze(-1) ** 2
        elif self.where == "returns" and len(rewards) > 1000:
            rewards = rewards + 0.05
        elif self.where == "shape":
            rewards = rewards[..., :-1]
        return (after._replace(step=0) if self.where == "step" else after), rewards

    def features(self, state: Any) -> Any:
        """Logarithms of what may be below zero."""
        shared, own = super().features(state)
        return (shared.log(), own) if self.where == "observations" else (shared, own)

    @property
    def groups(self) -> tuple[range, ...]:
        """With one agent left out, or not."""
        return (range(2),) if self.where == "left out" else super().groups


def wrong(game: Any) -> dict[str, str]:
    found = list(check.findings(game, generator(1, "test_check"), 5_000))
    assert len({row.what for row in found}) == len(found) >= 3
    return {row.what: row.outcome for row in found if not row.passed}


@pytest.mark.parametrize("game", [Traders(), Other()], ids=lambda game: type(game).__name__)
def test_nothing_is_wrong(game: Any) -> None:
    assert wrong(game) == {}


def test_what_is_wrong_is_named() -> None:
    for what, outcome in {
        "batches": "6 episodes together and each alone differ by",
        "observations": "3 features, 1 of each",
        "linear-quadratic": "step 0: reward of agent 2 is not quadratic",
        "equilibrium": "step 9, player 0: the action value is not strictly concave",
        "groups": "agents within one differ by",
        "returns": "standard errors from that",
    }.items():
        found = wrong(Other(where=what))
        assert set(found) == {what} and outcome in found[what]


def test_a_game_that_cannot_be_played_is_refused() -> None:
    for where, message in {
        "step": "step: the state after step 0 says step = 0, expected 1",
        "left out": r"groups = \(range\(0, 2\),\): allowed are ranges that cut 0..2, in order",
        "shape": r"step: rewards: shape \(6, 2\), expected \(6, 3\)",
    }.items():
        with pytest.raises(ValueError, match=f"^{message}"):
            list(check.findings(Other(where=where), generator(1, "test_check"), 100))


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """With impact as strong as the second there is no equilibrium: status 1."""
    assert main(["check", "interbank.Interbank", "n_agents=3", "epsilon=3.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "interbank.Interbank with n_agents = 3, epsilon = 3.5" and len(lines) == 7
    assert main(["check", "traders.Traders", "eta=1.0", "gamma=1.0", "--json"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["settings"] == {"eta": 1.0, "gamma": 1.0} and not summary["findings"][-1]["passed"]


def test_the_command_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in {
        "traders.Trader": "nash_dqn.games.traders has no game Trader",
        "traders.Traders kappa": "'kappa': expected FIELD=VALUE, such as n_agents=3",
        "traders.Traders kappa=[": "'kappa=[': '[' is no YAML",
        "traders.Traders kappa=1 kappa=2": "kappa: given twice, expected each field once",
        "traders.Traders kapa=1": "did you mean 'kappa'?",
        "traders.Traders initial_inventory_mean=[1.0e+200,0.0]": "traders.Traders: a number of its settings is",
    }.items():
        error = refused(capsys, "check", *words.split())
        assert message in error and error.startswith("nash-dqn check: ")
