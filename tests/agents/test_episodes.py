"""Episodes against the game they were played in, and the replay buffer against a list."""

import pytest
import torch
from torch import Tensor

from nash_dqn.agents.episodes import Episodes, Replay, next_values, play_episodes
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.market import Market, MarketState, Shocks
from nash_dqn.seeding import generator

GAME = Market(
    n_agents=3, horizon=2.0, n_steps=4, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.5, eta=0.05, b1=0.1, b2=0.1,
    discount=0.9,
)  # fmt: skip
MEMBERS, EPISODES = 2, 5


def numbered(first: int, count: int, items: bool) -> Episodes:
    """Episodes that say who they are: entry e of member k is 1000 k + first + e everywhere."""
    label = 1000.0 * torch.arange(MEMBERS).view(-1, 1) + torch.arange(first, first + count)

    def leaf(*shape: int) -> Tensor:
        return label.view(MEMBERS, count, *[1] * len(shape)).expand(MEMBERS, count, *shape).clone()

    return Episodes(leaf(4, 3, 5), leaf(4, 3, 1) if items else None, leaf(4, 3, 1), leaf(4, 3))


# --- replay -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [False, True])
@pytest.mark.parametrize(("capacity", "batch"), [(5, 2), (6, 3), (4, 4), (7, 5)])
def test_replay_agrees_with_a_list(capacity: int, batch: int, items: bool) -> None:
    """A ring: slot s holds the latest episode n with n mod capacity = s."""
    replay = Replay(capacity)
    ring: list[int] = []
    added = 0
    for _ in range(8):
        replay.add(numbered(added, batch, items))
        for n in range(added, added + batch):
            if len(ring) < capacity:
                ring.append(n)
            else:
                ring[n % capacity] = n
        added += batch
        assert replay.size == len(ring)
        # The middle of each slot's share of [0, 1), for one member in order and for the other in reverse.
        middle = (torch.arange(len(ring)) + 0.5) / len(ring)
        sample = replay.sample(torch.stack((middle, middle.flip(0))))
        for leaf in sample:
            if leaf is None:
                assert not items
                continue
            flat = leaf.flatten(2)
            assert (flat == flat[..., :1]).all(), "an episode stays in one piece"
            assert flat[0, :, 0].tolist() == ring
            assert flat[1, :, 0].tolist() == [1000 + n for n in reversed(ring)]


def test_every_episode_is_as_likely_as_any_other() -> None:
    """With replacement; 20,000 draws of 7 episodes within 4 standard errors, and the extremes of [0, 1) are valid."""
    replay = Replay(10)
    replay.add(numbered(0, 7, False))
    draws = 20_000
    sample = replay.sample(torch.rand(MEMBERS, draws, generator=generator(1, "test_episodes")))
    for k in range(MEMBERS):
        counts = torch.bincount((sample.rewards[k, :, 0, 0] - 1000 * k).long(), minlength=10)
        assert counts[7:].sum() == 0
        assert (counts[:7] - draws / 7).abs().max() < 4 * (draws * 6 / 49) ** 0.5
    edge = torch.tensor([[0.0, 1.0 - 2**-24]]).expand(MEMBERS, 2)
    assert replay.sample(edge).rewards[0, :, 0, 0].tolist() == [0, 6]


def test_a_sample_is_a_copy() -> None:
    replay = Replay(4)
    replay.add(numbered(0, 2, True))
    replay.sample(torch.zeros(MEMBERS, 3)).rewards.fill_(-1.0)
    assert (replay.sample(torch.zeros(MEMBERS, 1)).rewards[0] == 0).all()
    batch = numbered(2, 2, True)
    replay.add(batch)
    batch.rewards.fill_(-1.0)
    assert (replay.sample(torch.full((MEMBERS, 1), 0.99)).rewards[0] == 3).all()


def test_replay_of_some_members() -> None:
    replay = Replay(4)
    replay.select([1])  # nothing yet to select from
    replay.add(numbered(0, 3, True))
    replay.select([1])
    sample = replay.sample(torch.tensor([[0.5]]))
    assert sample.own.shape == (1, 1, 4, 3, 5)
    assert (sample.rewards == 1001).all()


def test_an_empty_replay_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="replay is empty: add episodes before sampling"):
        Replay(4).sample(torch.zeros(1, 1))


# --- play ---------------------------------------------------------------------------------------------------


def test_next_values_by_hand() -> None:
    """V(x') of a step is V(x) of the next; at the end of the horizon it is zero (section 2)."""
    values = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    assert next_values(values).tolist() == [[[2.0, 3.0, 0.0], [5.0, 6.0, 0.0]]]
    agents = values.unsqueeze(-1).repeat(1, 1, 1, 2)
    assert torch.equal(next_values(agents)[..., 1], next_values(values))
    assert next_values(torch.ones(1, 1, 1)).tolist() == [[[0.0]]]


@pytest.mark.parametrize(
    "spec",
    [ObservationSpec(), ObservationSpec(own_flow=True), ObservationSpec("S-Y", "others_mean", False, "visible")],
    ids=str,
)
def test_what_is_stored_is_what_happened(spec: ObservationSpec) -> None:
    """x, u and r of every step, played again through the game one member and one episode at a time."""
    shocks = GAME.shocks_from_normals(
        torch.randn(MEMBERS, EPISODES, GAME.normals_per_episode, generator=generator(1, "test_episodes"))
    )
    calls = []

    def act(state: MarketState, observation: Observation) -> Tensor:
        assert not torch.is_grad_enabled()
        calls.append(state.step)
        return observation.own.sum(-1, keepdim=True) - 2.0 * state.step

    episodes = play_episodes(GAME, spec, act, shocks)
    assert calls == [0, 1, 2, 3]
    features, _ = GAME.observation_size(spec)
    assert episodes.own.shape == (MEMBERS, EPISODES, 4, 3, features)
    assert episodes.actions.shape == (MEMBERS, EPISODES, 4, 3, 1)
    assert episodes.rewards.shape == (MEMBERS, EPISODES, 4, 3)
    assert episodes.observation.own is episodes.own
    for k in range(MEMBERS):
        for e in range(EPISODES):
            own_shocks = Shocks(*(leaf[k, e] for leaf in shocks))
            state = GAME.reset(own_shocks)
            for m in range(4):
                seen = GAME.observe(state, spec)
                torch.testing.assert_close(episodes.own[k, e, m], seen.own)
                if seen.items is None:
                    assert episodes.items is None
                else:
                    assert episodes.items is not None
                    torch.testing.assert_close(episodes.items[k, e, m], seen.items)
                action = seen.own.sum(-1, keepdim=True) - 2.0 * m
                torch.testing.assert_close(episodes.actions[k, e, m], action, rtol=1e-5, atol=1e-5)
                state, rewards = GAME.step(state, episodes.actions[k, e, m], own_shocks)
                torch.testing.assert_close(episodes.rewards[k, e, m], rewards, rtol=1e-5, atol=1e-5)
