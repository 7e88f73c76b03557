"""Figure 1's losses where they are known, and read off a history by hand."""

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from nash_dqn.evaluation.beta_sweep import COLUMNS, Swept, diverged_by, evaluate, resets_by, table, window_before
from nash_dqn.evaluation.betas import names_of
from nash_dqn.games.base import ObservationSpec
from nash_dqn.networks import MLP, ObservationNetwork
from nash_dqn.seeding import generator
from tests.common import SMALL as GAME


def test_an_exact_value_and_advantage_leave_no_error() -> None:
    """One step from a known start (S = theta, Y = 0, q = 0) without noise, so V, mu, P and psi are single numbers.

    With c = eta + gamma, r_i = nu_i h (c h sum_j nu_j) - b1 nu_i^2 h - b2 nu_i^2 h^2. Nobody trades in equilibrium:
    V = 0, mu = 0, P11 = b1 h + b2 h^2 - c h^2, P12 = -c h^2, P22 = 0 and psi = 0. Any error in V shows squared.
    """
    game = replace(
        GAME, n_steps=1, impact="linear", b3=0.0, sigma=0.0, initial_inventory_var=0.0, initial_price_sd=0.0,
        initial_impact_sd=0.0,
    )  # fmt: skip
    h, c = 1.5, 0.05 + 0.1
    p11 = 0.1 * h + 0.2 * h**2 - c * h**2
    softplus_inverse = math.log(math.expm1(math.sqrt(p11)))
    outputs = torch.tensor([0.0, softplus_inverse, -c * h**2, 0.0, 0.0])

    def constant(*members: Tensor) -> ObservationNetwork:
        bias = torch.stack(members).unsqueeze(1)
        return ObservationNetwork(None, MLP([torch.zeros(len(members), 5, bias.shape[-1])], [bias]))

    wrong = outputs.clone()
    wrong[2] = 0.0
    advantage = constant(outputs, outputs, wrong).state_dict("advantage")
    value = constant(torch.zeros(1), torch.full((1,), 0.3), torch.zeros(1)).state_dict("value")
    loss, error = evaluate(game, {**advantage, **value}, ObservationSpec(), "cholesky", 2.0, 150, seed=4)
    assert loss[0].item() == pytest.approx(0.0, abs=1e-9)
    # Ten episodes of one step and three agents, each off by 0.3.
    assert loss[1].item() == pytest.approx(10 * 3 * 0.09, rel=1e-4)
    assert error[1].item() == pytest.approx(0.0, abs=1e-5)
    # Without the cross term the error is c h^2 nu_i sum_{j != i} nu_j, nu of the documented stream in chunks of 100.
    noise = generator(4, "beta_sweep", "exploration")
    nu = torch.cat([2.0 * torch.randn(count, 1, 3, 1, generator=noise) for count in (100, 50)]).double().view(150, 3)
    of_episode = 10 * (c * h**2 * nu * (nu.sum(1, keepdim=True) - nu)).square().sum(1)
    assert loss[2].item() == pytest.approx(of_episode.mean().item(), rel=1e-4)
    assert error[2].item() == pytest.approx(of_episode.std().item() / math.sqrt(150), rel=1e-4)
    # Where nobody explores, A at mu is zero whatever its parameters.
    quiet, _ = evaluate(game, {**advantage, **value}, ObservationSpec(), "cholesky", 0.0, 150, seed=4)
    assert quiet.tolist() == pytest.approx([0.0, 2.7, 0.0], rel=1e-4, abs=1e-9)


def history(seed: int, losses: list[float], resets: list[int]) -> pd.DataFrame:
    """A row each 10 iterations, exploration falling by 0.1 a row from 0.9."""
    done = range(1, len(losses) + 1)
    return pd.DataFrame(
        {
            "seed": seed, "iteration": [10 * row for row in done], "exploration": [1 - 0.1 * row for row in done],
            "total_loss": losses, "loss": 999.0, "resets": resets,
        }
    )  # fmt: skip


def member(seed: int, returned: int, iterations: int = 60, diverged: bool = False) -> dict[str, Any]:
    return {"seed": seed, "returned_iteration": returned, "iterations": iterations, "diverged": diverged}


def record(*members: dict[str, Any]) -> dict[str, Any]:
    recipe = {"history_every": 10, "episodes_per_iteration": 7, "penalty": {"beta": 10.0}}
    return {
        "scenario": "toy", "policy": "nash-unstopped+beta=10", "config": {"recipe": recipe}, "members": list(members)
    }  # fmt: skip


CALM = history(1, [90, 80, 70, 60, 50, 40], [0] * 6)
FINAL = torch.tensor([5.0, 6.0]), torch.tensor([0.5, 0.25])


def test_training_losses_are_means_over_the_window_before_an_iteration() -> None:
    """Windows of three rows: 90, 80, 70 end at iteration 30, and 60, 50, 40 at 60, standard error 10 / sqrt 3."""
    explodes = history(2, [90, 80, 70, 60, 20000, 100], [0, 0, 0, 0, 1, 1])
    swept = Swept(pd.concat([CALM, explodes]), record(member(1, 38), member(2, 41)), FINAL)
    rows = table([swept], [30, 60], window=30, episodes=400, exploration=0.4)
    assert tuple(rows.columns) == COLUMNS
    assert set(rows[["scenario", "policy", "base", "beta", "diverged"]].itertuples(index=False, name=None)) == {
        ("toy", "nash-unstopped+beta=10", "nash-unstopped", 10.0, False)
    }
    # A training at its policy's own beta is its own base.
    own = {**record(), "policy": "nash-unstopped"}
    assert names_of(own) == {"policy": "nash-unstopped", "base": "nash-unstopped", "beta": 10.0}
    expected = [
        (1, "training", 30, 80.0, 10 / math.sqrt(3), 210, 0.7, 0),
        (1, "training", 60, 50.0, 10 / math.sqrt(3), 210, 0.4, 0),
        (1, "returned", 38, 5.0, 0.5, 400, 0.4, 0),
        (2, "training", 30, 80.0, 10 / math.sqrt(3), 210, 0.7, 0),
        (2, "training", 60, 6720.0, pd.Series([60, 20000, 100]).std() / math.sqrt(3), 210, 0.4, 1),
        (2, "returned", 41, 6.0, 0.25, 400, 0.4, 1),
    ]
    names = ["seed", "measure", "iteration", "loss", "loss_se", "episodes", "exploration", "resets"]
    pd.testing.assert_frame_equal(rows[names], pd.DataFrame(expected, columns=names))


def test_a_training_that_diverged_has_no_loss_from_there_on() -> None:
    """It diverged at iteration 40: its loss at 30 stands."""
    ends = history(2, [90, 80, 70, math.inf], [0, 0, 2, 3])
    swept = Swept(pd.concat([CALM, ends]), record(member(1, 60), member(2, 30, 40, diverged=True)), FINAL)
    rows = table([swept], [30, 60], window=30, episodes=400, exploration=0.4)
    lost = rows[rows["seed"] == 2]
    assert lost["diverged"].tolist() == [False, True, True]
    assert lost["loss"].tolist() == pytest.approx([80.0, math.nan, 6.0], nan_ok=True)
    assert lost["resets"].tolist() == [2, 3, 2]
    assert not rows.loc[rows["seed"] == 1, "diverged"].any()


HISTORY = pd.DataFrame({"seed": 7, "iteration": [10, 20, 30, 40], "loss": [4.0, 3.0, 2.0, 1.0], "resets": [0, 0, 2, 3]})


def test_histories_are_read_at_the_right_rows() -> None:
    """Iterations 21 to 30 are in the third row; what comes after the last row is not known."""
    assert window_before(HISTORY, 30, 20, 10)["loss"].tolist() == [3.0, 2.0]
    assert window_before(HISTORY, 40, 40, 10)["loss"].tolist() == [4.0, 3.0, 2.0, 1.0]
    for iteration, found in ((50, 1), (10, 1), (35, 2)):
        message = f"history of seed 7: {found} rows in the 20 iterations before {iteration}, expected 2"
        with pytest.raises(ValueError, match=message):
            window_before(HISTORY, iteration, 20, 10)
    assert [resets_by(HISTORY, iteration) for iteration in (1, 20, 21, 30, 31, 99)] == [0, 0, 2, 2, 3, 3]
    lost = {"diverged": True, "iterations": 30}
    assert [diverged_by(lost, iteration) for iteration in (29, 30, 31)] == [False, True, True]
    assert not diverged_by({"diverged": False, "iterations": 30}, 31)
