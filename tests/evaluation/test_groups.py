"""Evaluation where agents differ: errors, gains and cross-play group by group, against exact solutions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from nash_dqn.evaluation import exploitability, lq_error
from nash_dqn.evaluation.best_response import BestResponseSettings, measure, train
from nash_dqn.games import lq
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.basket import Basket
from nash_dqn.games.traders import Traders
from nash_dqn.networks import MLP, GroupedNetwork, ObservationNetwork, with_others
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

VISIBLE = ObservationSpec(inventories="visible")
GAME = Traders(
    sizes=(1, 2), horizon=2.0, n_steps=3, b1=(0.1, 0.2), b2=(0.2, 0.1), b3=(0.05, 0.0), discount=(0.8, 1.0),
    initial_inventory_mean=(3.0, 0.0), initial_inventory_var=(20.0, 10.0),
)  # fmt: skip
SETTINGS = BestResponseSettings([8], iterations=150, episodes=128, learning_rate=0.05, restarts=2, seed=1)
MIXED: Sequence[float] = (1.3, 0.6, 0.6)


def affine(game: Traders, policies: lq.LinearPolicies, seeds: Sequence[int] = (1,)) -> Policy:
    """A policy of affine terms per step and nothing else; within groups its gains are alike. Equal members."""
    scales, networks = game.market.scales, []
    for agents in game.groups:
        i, seen = agents.start, with_others(agents, game.groups)
        skip = torch.zeros(len(seeds), game.n_steps, 5 + len(seen), 1)
        for m in range(game.n_steps):
            gains = policies.gains[m, i]
            own = [gains[0] * scales.price, gains[1] * scales.impact, 0.0, gains[2 + i] * scales.inventory]
            others = [[j for j in group if j != i] for group in seen]
            pools = [sum(gains[2 + j] for j in group) * scales.inventory for group in others]
            skip[:, m, :, 0] = torch.tensor([policies.offsets[m, i], *(-x for x in (*own, *pools))])
        sigma = MLP([torch.zeros(len(seeds), 5 + len(seen), 1)], [torch.zeros(len(seeds), 1, 1)])
        networks.append(ObservationNetwork(None, sigma, skip, None, agents, game.groups))
    return Policy(GroupedNetwork(tuple(networks)), VISIBLE, list(seeds), "nash_dqn")


def scaled(game: Traders, factors: Sequence[float]) -> lq.LinearPolicies:
    """The equilibrium, each agent's action times its factor."""
    exact, factor = lq.solve_nash(game.as_lq()).policies, np.array(factors)
    return lq.LinearPolicies(exact.gains * factor[:, None], exact.offsets * factor)


def test_errors_are_of_the_group_asked_for() -> None:
    """The first group acts 1.3 times the equilibrium's action, the second 0.6 times."""
    policies = [affine(GAME, scaled(GAME, MIXED))]
    parts = [lq_error.evaluate(GAME, policies, 50, 7, group) for group in GAME.groups]
    for table, error in zip(parts, (0.3, 0.4), strict=True):
        known = (table["visited_by"] == "exact") | (table["step"] == "0")
        np.testing.assert_allclose(table.loc[known, "relative"], error, rtol=1e-4)
    exact = affine(GAME, lq.solve_nash(GAME.as_lq()).policies)
    assert lq_error.evaluate(GAME, [exact], 50, 7)["relative"].max() < 1e-5
    whole = lq_error.evaluate(GAME, policies, 50, 7)["rms_error"]
    first, second = (table["rms_error"] ** 2 for table in parts)
    np.testing.assert_allclose(whole**2, (first + 2 * second) / 3, rtol=1e-6)


def test_tables_of_all_groups() -> None:
    """What each group has alone, and actions that are those of its agents."""
    policies = [affine(GAME, scaled(GAME, MIXED), [1, 2])]
    table, actions = (lq_error.by_group(of, GAME, policies, 50, 7) for of in (lq_error.evaluate, lq_error.scatter))
    for of_groups in (table, actions):
        assert of_groups.columns[:4].tolist() == ["policy", "algorithm", "group", "seed"]
    for number, (group, factor) in enumerate(zip(GAME.groups, (1.3, 0.6), strict=True), start=1):
        alone = lq_error.evaluate(GAME, policies, 50, 7, group)
        pd.testing.assert_frame_equal(
            table[table["group"] == number].drop(columns="group").reset_index(drop=True), alone
        )
        of_group = actions[actions["group"] == number]
        assert len(of_group) == 2 * GAME.n_steps * min(lq_error.SCATTER_POINTS, 50 * len(group))
        np.testing.assert_allclose(of_group["learned"], factor * of_group["exact"], atol=2e-4)


def test_deviators_of_each_group_find_the_best_response() -> None:
    """Gains against the exact best response to the same profile, a Riccati recursion for one player."""
    profile, problem = scaled(GAME, MIXED), GAME.as_lq()
    exact = lq.exploitability(problem, profile)
    table = exploitability.evaluate(GAME, affine(GAME, profile), SETTINGS, 20_000, 500, ("same",))
    gains = table["gain"].to_numpy()
    np.testing.assert_allclose(gains[:3], exact, rtol=0.05)
    assert gains[3] == pytest.approx(gains[:3].sum(), rel=1e-5)
    assert abs(exact[0] / exact[1] - 1) > 0.2
    assert table["player"].tolist() == ["1", "2", "3", "nashconv"]
    value = lq.evaluate_policies(problem, profile).expected(problem.initial_mean, problem.initial_covariance)
    np.testing.assert_allclose(table["value"][:3], value, rtol=0.05)
    one = exploitability.evaluate(GAME, affine(GAME, profile), SETTINGS, 200, 500, ("same",), players=(2,))
    assert one["player"].tolist() == ["3", "nashconv"]


def test_deviators_with_vector_actions_find_the_best_response() -> None:
    """Everybody holds still, in two assets: the best response alone is exact."""
    game = Basket(n_agents=2, horizon=2.0, n_steps=2)
    size = game.observation_size(VISIBLE)
    sigma = MLP([torch.zeros(1, sum(size), 2)], [torch.zeros(1, 1, 2)])
    policy = Policy(ObservationNetwork(None, sigma), VISIBLE, [1], "nash_dqn")
    problem = game.as_lq()
    still = lq.LinearPolicies(np.zeros((2, 4, problem.state_dim)), np.zeros((2, 4)))
    response = train(game, policy, "same", SETTINGS)
    gains = measure(game, policy, response.deviation, 20_000, generator(2, "x"), seats=(0, 1)).gain.mean(-1)[0]
    np.testing.assert_allclose(gains, np.broadcast_to(lq.exploitability(problem, still), (2, 2)), rtol=0.05)
    assert (lq_error.evaluate(game, [policy], 20, 1)["relative"] == 1.0).all()
    cloud = lq_error.scatter(game, [policy], 20, 1)
    assert (cloud["step"].value_counts() == 20 * 2 * 2).all()
