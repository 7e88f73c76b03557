"""The comparison of a simulator with its matrices: it passes the games here, and names what was changed in one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nash_dqn.cli import main
from nash_dqn.config import load_yaml
from nash_dqn.games.basket import Basket
from nash_dqn.games.interbank import Interbank
from nash_dqn.games.lq import LQGame
from nash_dqn.games.market import Market
from nash_dqn.games.traders import Traders
from nash_dqn.games.verify import compare
from nash_dqn.seeding import generator

ROOT = Path(__file__).resolve().parents[2]
LINEAR = Market(**load_yaml(ROOT / "config/config.yaml")["scenarios"]["lq_released"])
EPISODES = 5_000


def failed(game: Any) -> dict[str, str]:
    found = compare(game, generator(1, "verify"), EPISODES)
    assert len({row.what for row in found}) == len(found) >= 8
    return {row.what: row.outcome for row in found if not row.passed}


@pytest.mark.parametrize("game", [LINEAR, Traders(), Basket(), Interbank(n_agents=4)], ids=lambda g: type(g).__name__)
def test_the_games_here_are_what_their_matrices_say(game: Any) -> None:
    assert failed(game) == {}


@dataclass(frozen=True)
class OtherStep(Interbank):
    """The simulator is another game than the matrices, in one place."""

    n_agents: int = 3
    where: str = ""

    def step(self, state: Any, actions: torch.Tensor, shocks: Any) -> Any:
        """As the game's, but for what ``where`` says."""
        if self.where == "noise":
            shocks = shocks.map(lambda leaf: 1.3 * leaf)
        after, rewards = super().step(state, actions, shocks)
        if self.where == "transition" and state.step == 2:
            after = after._replace(reserves=after.reserves + torch.tensor([0.0, 1e-4, 0.0]) * actions[..., 0])
        elif self.where == "reward" and state.step == 1:
            rewards = rewards + torch.tensor([0.0, 0.0, 1e-4]) * actions[..., 0] * actions.roll(1, -2)[..., 0]
        elif self.where == "constant" and state.step == 0:
            rewards = rewards + torch.tensor([0.05, 0.0, 0.0])
        return after, rewards


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("transition", {"transitions": "step 2, component 1"}),
        ("reward", {"rewards": "step 1, agent 2"}),
        ("constant", {"rewards' mean": "step 0, agent 0"}),
        ("noise", {"noise's covariance": "pair"}),
    ],
)
def test_a_difference_is_found_where_it_is(where: str, expected: dict[str, str]) -> None:
    found = failed(OtherStep(where=where))
    for what, place in expected.items():
        assert place in found[what]
    assert set(found) - {"rewards' mean"} == set(expected) - {"rewards' mean"}


def with_matrices(change: Callable[[LQGame], LQGame]) -> Any:
    @dataclass(frozen=True)
    class Changed(Interbank):
        n_agents: int = 3

        def as_lq(self) -> LQGame:
            return change(super().as_lq())

    return Changed()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda lq: replace(lq, initial_mean=lq.initial_mean + 0.1), "start's mean"),
        (lambda lq: replace(lq, initial_covariance=1.2 * lq.initial_covariance), "start's covariance"),
        (lambda lq: replace(lq, terminal=lq.terminal + 0.01 * np.eye(lq.state_dim + 1)), "rewards"),
        (lambda lq: replace(lq, steps=(replace(lq.steps[0], reward=-lq.steps[0].reward),) * lq.n_steps), "equilibrium"),
    ],
)
def test_changed_matrices_are_found(change: Callable[[LQGame], LQGame], what: str) -> None:
    assert what in failed(with_matrices(change))


def test_agents_of_a_group_who_differ_are_found() -> None:
    """Here agent 2 pays for its actions twice, in the simulator and in the matrices."""

    @dataclass(frozen=True)
    class Unequal(Interbank):
        n_agents: int = 3

        def step(self, state: Any, actions: torch.Tensor, shocks: Any) -> Any:
            after, rewards = super().step(state, actions, shocks)
            return after, rewards - torch.tensor([0.0, 0.0, 0.05]) * actions[..., 0] ** 2

        def as_lq(self) -> LQGame:
            lq = super().as_lq()
            reward = lq.steps[0].reward.copy()
            reward[2, -1, -1] -= 0.05
            steps = tuple(replace(step, reward=step.reward + reward - lq.steps[0].reward) for step in lq.steps)
            return replace(lq, steps=steps)

    assert set(failed(Unequal())) == {"groups"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lq: replace(lq, steps=lq.steps[1:]), "number of steps: 10 in the simulator, 9 in the matrices"),
        (lambda lq: replace(lq, action_dims=(3,), discount=lq.discount[:1], **_one_player(lq)), "action_dims: "),
    ],
)
def test_sizes_that_differ_are_named(change: Callable[[LQGame], LQGame], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(with_matrices(change), generator(1, "verify"), 100)


def _one_player(lq: LQGame) -> dict[str, Any]:
    steps = tuple(replace(step, reward=step.reward[:1]) for step in lq.steps)
    return {"steps": steps, "terminal": lq.terminal[:1]}


def test_shapes_that_differ_are_named() -> None:
    @dataclass(frozen=True)
    class Flat(Interbank):
        def state_vector(self, state: Any) -> torch.Tensor:
            return super().state_vector(state)[..., :-1]

    with pytest.raises(ValueError, match=r"state_vector: shape \(100, 9\), expected \(100, 10\)"):
        compare(Flat(), generator(1, "verify"), 100)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "interbank.Interbank", "n_agents=3", "epsilon=3.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "interbank.Interbank with n_agents = 3, epsilon = 3.5"
    assert lines[-1] == "all 9 agree" and len(lines) == 11
    assert main(["check", "interbank.Interbank", "n_agents=3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == {"n_agents": 3}


def test_the_command_says_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    """With impact as strong as that there is no equilibrium: status 1."""
    assert main(["check", "traders.Traders", "eta=1.0", "gamma=1.0"]) == 1
    printed = capsys.readouterr().out
    assert "DIFF  equilibrium" in printed and printed.endswith("1 of 8 differ\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["traders.Trader"], "there is no Trader in nash_dqn.games.traders; allowed here is traders.Traders"),
        (["traders.Traders", "kappa"], "'kappa': expected FIELD=VALUE, such as n_agents=3"),
        (["traders.Traders", "kappa=["], "'kappa=[': '[' is no YAML"),
        (["traders.Traders", "kapa=1"], "did you mean 'kappa'?"),
    ],
)
def test_the_command_refuses(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("nash-dqn check: ") and error.count("\n") == 1
