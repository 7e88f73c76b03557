"""Algorithm 2 where agents differ, or act in several assets: who plays what, and what is left behind."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nash_dqn.agents.ddpg import DDPG, Excursions
from nash_dqn.agents.episodes import Episodes
from nash_dqn.agents.fictitious_play import FictitiousPlay, FictitiousPlayRecipe, train
from nash_dqn.artifacts import write_tensors
from nash_dqn.games.base import Game
from nash_dqn.games.basket import Basket
from nash_dqn.games.traders import Traders
from nash_dqn.networks import GroupedNetwork
from nash_dqn.policy import load_policy
from nash_dqn.seeding import generator
from nash_dqn.trees import copied

SETTINGS: dict[str, Any] = {
    "observation": {"inventories": "visible"}, "actor_hidden": [6], "critic_hidden": [6], "phi_hidden": [3],
    "iterations": 3, "first_epochs": 4, "epochs": 3, "episodes_per_epoch": 5, "learning_rate": 0.01,
    "weight_decay": 0.01, "target_rate": 0.5, "exploration": {"start": 0.5, "end": 0.1, "target_sd": None},
    "action_bound": 50.0, "action_scale": 2.0, "returned": "target", "optimisers": "renewed", "opponents": "last",
    "gradient_clip": None, "largest_loss": None, "history_every": 2,
}  # fmt: skip
TRADERS, BASKET = Traders(sizes=(2, 3), horizon=2.0, n_steps=3), Basket(n_agents=2, horizon=2.0, n_steps=3)
CPU = torch.device("cpu")


def recipe(**changes: Any) -> FictitiousPlayRecipe:
    return FictitiousPlayRecipe.from_dict({**SETTINGS, **changes})


def epochs_of(game: Game, made: FictitiousPlayRecipe, trainer: FictitiousPlay, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the learners played in one epoch."""
    played: list[Episodes] = []
    play = DDPG.play

    def spy(agent: DDPG, *args: Any) -> Episodes:
        played.append(play(agent, *args))
        return played[-1]

    monkeypatch.setattr(DDPG, "play", spy)
    trainer.epoch(0.5)
    return played


@pytest.mark.parametrize("opponents", ["last", "average"])
def test_the_others_play_their_groups_past_policies(opponents: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first nothing, then each the past best response of its own group; the learner plays its present actor."""
    made = recipe(opponents=opponents, exploration={"start": 0.0, "end": 0.0, "target_sd": None})
    trainer = FictitiousPlay(TRADERS, made, [1, 2], CPU)
    past = copied(trainer.policy)
    present = [agent.actor.snapshot().with_outputs(lambda t: 2.0 * t) for agent in trainer.agents]
    for learner, played in zip((0, 2), epochs_of(TRADERS, made, trainer, monkeypatch), strict=True):
        others = [i for i in range(5) if i != learner]
        assert (played.actions[..., others, :] == 0).all()
        at = slice(learner, learner + 1)
        torch.testing.assert_close(played.actions[..., at, :], present[learner // 2](played.observation, at))
    trainer.remember(past)
    for learner, played in zip((0, 2), epochs_of(TRADERS, made, trainer, monkeypatch), strict=True):
        others = [i for i in range(5) if i != learner]
        expected = past(played.observation)[..., others, :]
        same = (played.actions[..., others, :] - expected).abs().amax((2, 3, 4)) < 1e-5
        still = (played.actions[..., others, :] == 0).flatten(2).all(2)
        assert (same | still).all()
        assert same.any() and (opponents == "average" or same.all())


def test_groups_learn_from_their_own_learner_alone() -> None:
    """Another group's episodes move nothing but its own networks."""
    trainer = FictitiousPlay(TRADERS, recipe(), [1], CPU)
    trainer.epoch(0.0)
    before = trainer.agents[0].actor.snapshot(), trainer.agents[1].actor.snapshot()
    shocks = TRADERS.sample_shocks(4, generator(1, "x")).map(lambda leaf: leaf[None])
    noise = generator(2, "x")
    excursions = Excursions(torch.ones(1, 4, 3, dtype=torch.bool), torch.randn(1, 4, 3, 1, generator=noise), None)
    opponents = trainer.opponents(torch.zeros(1, 4), trainer.agents[1].learner)
    trainer.agents[1].update(trainer.agents[1].play(opponents, shocks, excursions))
    pairs = zip(before, (agent.actor.network for agent in trainer.agents), strict=True)
    moved = [any(not torch.equal(a, b) for a, b in zip(x.parameters, y.parameters, strict=True)) for x, y in pairs]
    assert moved == [False, True]


@pytest.mark.parametrize(("game", "sizes"), [(TRADERS, [2, 3]), (BASKET, None)])
@pytest.mark.parametrize("opponents", ["last", "average"])
def test_a_training_and_its_file(game: Game, sizes: list[int] | None, opponents: str, tmp_path: Path) -> None:
    result = train(game, recipe(opponents=opponents), [1, 2])
    assert result.history["transitions"].max() == 10 * 5 * 3 * len(game.groups)
    assert all(not member["diverged"] for member in result.record["members"])
    write_tensors(tmp_path / "weights", result.tensors, result.metadata)
    policy = load_policy(tmp_path / "weights")
    assert policy.meta.get("groups") == sizes
    assert isinstance(policy.network, GroupedNetwork) == (sizes is not None)
    state = game.reset(game.sample_shocks(5, generator(1, "x")).map(lambda leaf: leaf.expand(2, *leaf.shape)))
    assert policy.act(game, state).shape == (2, 5, game.n_agents, game.action_dim)


@pytest.mark.parametrize("sd", [None, 10.0])
def test_excursions_head_for_inventories_in_every_asset(sd: float | None) -> None:
    """At rates z - q, asset by asset; z of the initial inventories' spread, or of a given one."""
    shocks = BASKET.sample_shocks(6, generator(1, "x"))
    normals = torch.randn(6, 1, 2, generator=generator(2, "x"))
    spread = torch.tensor(BASKET.initial_inventory_var).sqrt() if sd is None else torch.tensor(sd)
    state = BASKET.reset(shocks)
    for _ in range(BASKET.n_steps):
        rates = BASKET.excursion(state, normals, sd)
        torch.testing.assert_close(rates, spread * normals - state.inventory)
        state, _ = BASKET.step(state, rates, shocks)
