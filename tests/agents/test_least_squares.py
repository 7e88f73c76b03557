"""Policy iteration by least squares, where action values, replies and the iteration's fixed point are known exactly."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from nash_dqn.agents import least_squares
from nash_dqn.agents.episodes import Episodes, play_episodes
from nash_dqn.agents.least_squares import STATE, LeastSquares, LeastSquaresRecipe, features, train
from nash_dqn.artifacts import read_json, write_training
from nash_dqn.evaluation.rollout import play, trajectory
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.lq import action_value, evaluate_policies
from nash_dqn.games.market import MarketState
from nash_dqn.games.traders import Traders
from nash_dqn.policy import Policy, load_policy
from nash_dqn.seeding import generator
from nash_dqn.settings.fields import ConfigError
from nash_dqn.studies import projection
from tests.common import LQ_MARKET

CPU = torch.device("cpu")
MARKET = dataclasses.replace(LQ_MARKET, initial_inventory_var=4.0)
MEMORY = ObservationSpec(own_flow=True)
SETTINGS: dict[str, Any] = {
    "observation": {"own_flow": True}, "iterations": 12, "episodes_per_iteration": 200,
    "exploration": {"first": 2.0, "all": 2.0, "one": 1.0}, "damping": {"start": 0.3, "end": 0.6}, "averaged": 0.5,
    "history_every": 5,
}  # fmt: skip


def recipe(**changes: Any) -> LeastSquaresRecipe:
    return LeastSquaresRecipe.from_dict({**SETTINGS, **changes})


def explored(trainer: LeastSquares, episodes: int, seed: int = 2) -> Episodes:
    """Episodes in which all explore, with a standard deviation of two shares/hour."""
    game, stream = trainer.game, generator(seed, "test")
    shocks = game.sample_shocks(episodes, stream).map(lambda leaf: leaf.double()[None])
    noise = 2 * torch.randn(1, episodes, game.n_steps, game.n_agents, 1, generator=stream).double()

    def act(state: MarketState, observation: Any) -> Tensor:
        seen = least_squares.seen(observation)
        return seen @ trainer.gains[0, state.step] + noise[:, :, state.step]

    return play_episodes(game, trainer.recipe.observation, act, shocks, STATE)


def plain(trainer: LeastSquares) -> np.ndarray:
    """Gains as the exact analysis has them, ``[M, F]`` of u = -gains o, in shares and $."""
    sizes = trainer.game.scales
    units = [sizes.price, sizes.impact, sizes.flow, sizes.inventory, sizes.inventory]
    gains: np.ndarray = -trainer.gains[0, :, 1:, 0].numpy() / np.array(units)
    return gains


# --- evaluation ---------------------------------------------------------------------------------------------


def test_action_values_are_exact_in_a_linear_quadratic_market() -> None:
    """Without noise least squares has no error: Q of linear policies is that of the recursion over matrices."""
    market = dataclasses.replace(MARKET, sigma=0.0)
    trainer = LeastSquares(market, recipe(), [3], CPU)
    unsettled = 0.3 * torch.randn(trainer.gains.shape, generator=generator(1, "test")).double()
    unsettled[:, :, 0] = 0  # the exact analysis knows policies without a constant
    trainer.gains = trainer.gains + unsettled
    everyone, thetas = explored(trainer, 400), {}
    after = torch.zeros_like(everyone.rewards[:, :, 0])
    for m in reversed(range(market.n_steps)):
        thetas[m], loss = trainer.evaluate(everyone, m, after)
        assert float(loss) < 1e-10
        after = trainer.value(everyone, m, trainer.gains, thetas[m])

    game, seen = projection.market_with_flows(market), projection.views(market, MEMORY)
    values = evaluate_policies(game, projection.profile(seen, plain(trainer))).matrices
    fresh = explored(trainer, 20, seed=5)
    state = fresh.seen_by_critic
    found = features(market, state, fresh.actions)
    assert state.items is not None
    sizes = market.scales
    x = torch.cat(
        (
            sizes.price * state.own[..., 0, 1:2],
            sizes.impact * state.own[..., 0, 2:3],
            *(sizes.inventory * state.items[..., i] for i in (0, 1)),
        ),
        -1,
    )
    for m in range(market.n_steps):
        y = torch.cat((x[0, :, m], torch.ones(20, 1), fresh.actions[0, :, m, :, 0]), -1).numpy()
        for i in range(market.n_agents):
            exact = np.einsum("ea,ab,eb->e", y, action_value(game, m, i, values[m + 1, i]), y)
            np.testing.assert_allclose((found[0, :, m, i] @ thetas[m][0])[:, 0], exact, rtol=1e-5, atol=1e-5)


def test_roots_make_a_step_of_square_root_impact_exact() -> None:
    """Rewards are (q + u h)(g w + ...) - b u^2 h, w the signed root of the total rate: w times what is linear."""
    market = dataclasses.replace(MARKET, sigma=0.0, gamma=0.5, impact="sqrt", n_steps=1, horizon=1.0)
    trainer = LeastSquares(market, recipe(), [3], CPU)
    fresh = explored(trainer, 400)
    assert float(trainer.evaluate(fresh, 0, torch.zeros_like(fresh.rewards[:, :, 0]))[1]) < 1e-6
    products = features(market, fresh.seen_by_critic, fresh.actions)[..., :-10].flatten(0, -2)  # all but the roots
    rewards = fresh.rewards.flatten().unsqueeze(-1)
    without = products @ torch.linalg.lstsq(products, rewards, driver="gelsd").solution - rewards
    assert float(without.square().mean()) > 1e-3


# --- the reply ----------------------------------------------------------------------------------------------


def test_best_is_the_vertex_of_a_parabola_within_reach() -> None:
    for slope, curvature, expected in ((3, -2, 1.5), (-3, -0.1, -10), (3, 0, 10), (-3, 4, -10), (0, 0, 0)):
        below, at, above = (torch.tensor([slope * a + 0.5 * curvature * a**2]).double() for a in (-0.5, 0.0, 0.5))
        assert float(least_squares.best(below, at, above, 0.5, 10.0)) == pytest.approx(expected)


def test_a_step_is_short_along_what_hardly_varies() -> None:
    """(C + C_0)^-1 E[o reply] at the last decision point, by plain sums over the first iteration's episodes."""
    trainer, twin = (LeastSquares(MARKET, recipe(), [3], CPU) for _ in range(2))
    before, last = trainer.gains.clone(), MARKET.n_steps - 1
    trainer.iterate()
    everyone, alone = twin.play(2.0)
    theta, _ = twin.evaluate(everyone, last, torch.zeros_like(everyone.rewards[:, :, 0]))
    own, reply = (leaf[0].numpy() for leaf in twin.reply(alone, last, theta))
    wide = least_squares.seen(everyone.observation)[0, :, last].flatten(0, 1).numpy()
    moments = sum(np.outer(o, o) for o in own) / len(own) + sum(np.outer(o, o) for o in wide) / len(wide)
    expected = 0.3 * np.linalg.solve(moments, (own * reply).mean(0))
    np.testing.assert_allclose((trainer.gains - before)[0, last, :, 0], expected, rtol=1e-5, atol=1e-7)


def test_begins_with_liquidation() -> None:
    """Whatever agents see, what is held is sold at a constant rate until the end."""
    for spec in (MEMORY, ObservationSpec(price="S-Y", order_flow="others_mean", inventories="visible")):
        trainer = LeastSquares(MARKET, recipe(observation=dataclasses.asdict(spec)), [3], CPU)
        policy = Policy(trainer.policy, spec, [3], "least_squares")
        shocks = MARKET.sample_shocks(50, generator(1, "test"))
        for m, transition in enumerate(trajectory(MARKET, [(policy, slice(None))], shocks)):
            expected = -transition.state.inventory / (MARKET.horizon - m * MARKET.dt)
            torch.testing.assert_close(transition.actions.squeeze(-1), expected.expand_as(transition.actions[..., 0]))
        assert m == MARKET.n_steps - 1


def test_settles_where_the_exact_iteration_does() -> None:
    """The fixed point of :mod:`nash_dqn.studies.projection` at the same exploration, in actions that are played."""
    settings = recipe(iterations=40, episodes_per_iteration=1000)
    trainer = LeastSquares(MARKET, settings, [3], CPU)
    start = plain(trainer)
    for _ in range(settings.iterations):
        trainer.iterate()
    trainer.gains = trainer.mean_gains
    point = projection.fixed_point(MARKET, MEMORY, "reply", 1.0, 0.3, 500, 1e-6)
    assert point.converged
    game, seen = projection.market_with_flows(MARKET), projection.views(MARKET, MEMORY)
    moments = projection._moments(game, projection.profile(seen, point.gains))[:-1]

    def size(gains: np.ndarray) -> float:
        return math.sqrt(np.einsum("mf,fa,mab,gb,mg->", gains, seen[0], moments, seen[0], gains))

    assert size(plain(trainer) - point.gains) < 0.03 * size(point.gains) < 0.3 * size(start - point.gains)


# --- the whole run ------------------------------------------------------------------------------------------


def test_history_record_and_files_of_a_run(tmp_path: Path) -> None:
    """Rows at 5, 10 and 12 iterations of 200 episodes of four steps; what is returned is the mean of the last six."""
    seen: list[Tensor] = []
    iterate = LeastSquares.iterate

    def watched(trainer: LeastSquares) -> Tensor:
        statistics = iterate(trainer)
        seen.append(trainer.gains)
        return statistics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LeastSquares, "iterate", watched)
        result = train(MARKET, recipe(), [3, 8], scenario="toy")
    assert result.history.columns.tolist() == ["seed", "iteration", "transitions", "loss", "step"]
    assert result.history["transitions"].tolist() == [4000, 8000, 9600] * 2
    assert not [member for member in result.record["members"] if member["diverged"]]
    paths = [tmp_path / name for name in ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")]
    write_training(result, *paths)
    policy = load_policy(paths[0])
    assert (policy.algorithm, policy.seeds, policy.observation) == ("least_squares", [3, 8], MEMORY)
    assert read_json(paths[3])["config"]["recipe"]["exploration"] == {"first": 2.0, "all": 2.0, "one": 1.0}

    state = MARKET.reset(MARKET.sample_shocks(10, generator(1, "test")).map(lambda leaf: leaf.expand(2, *leaf.shape)))
    own = MARKET.observe(state, MEMORY).own.double()
    own[..., 0] = 1
    mean = torch.stack(seen[-6:]).mean(0)[:, 0]
    torch.testing.assert_close(policy.act(MARKET, state).double(), own @ mean[:, None], rtol=1e-4, atol=1e-4)


def test_members_train_as_if_alone() -> None:
    together, alone = (train(MARKET, recipe(), seeds) for seeds in ([3, 8], [8]))
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(together.tensors[name][1:], tensor, rtol=1e-4, atol=1e-5)
    rows = together.history[together.history["seed"] == 8].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, alone.history, rtol=1e-4)
    assert not torch.equal(together.tensors["actor.skip"][0], together.tensors["actor.skip"][1])


def test_a_member_that_is_not_finite_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    build = LeastSquares.__init__

    def broken(trainer: LeastSquares, *arguments: Any) -> None:
        build(trainer, *arguments)
        if len(trainer.gains) == 2:
            trainer.gains[0, 0] = math.nan

    monkeypatch.setattr(LeastSquares, "__init__", broken)
    result, alone = train(MARKET, recipe(), [3, 8]), train(MARKET, recipe(), [8])
    assert [member["stopped"] for member in result.record["members"]] == ["diverged", "iterations"]
    torch.testing.assert_close(result.tensors["actor.skip"][1:], alone.tensors["actor.skip"], rtol=1e-4, atol=1e-5)


def test_improves_on_liquidation_with_square_root_impact() -> None:
    """Where nothing is exact: what agents earn in the profile that is returned, against what they began with."""
    market = dataclasses.replace(MARKET, impact="sqrt", gamma=0.1, price_floor=0.01)
    trainer = LeastSquares(market, recipe(), [3], CPU)
    start = Policy(trainer.policy, MEMORY, [3], "least_squares")
    for _ in range(12):
        trainer.iterate()
    shocks = market.sample_shocks(2000, generator(1, "test"))
    replies = [(dataclasses.replace(start, network=trainer.policy), [0]), (start, [1, 2])]
    gain = play(market, replies, shocks)[..., 0] - play(market, [(start, slice(None))], shocks)[..., 0]
    assert float(gain.mean()) > 4 * float(gain.std()) / math.sqrt(2000)


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^algorithm = 'least_squares': allowed in the market only, not in Traders$"):
        train(Traders(), recipe(), [3])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"damping.end: got 0.3, expected at least start \(0.6\)"):
        recipe(damping={"start": 0.6, "end": 0.3})
