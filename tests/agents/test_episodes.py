"""Episodes against the game they were played in, and the replay buffer against a list."""

import dataclasses

import pytest
import torch
from torch import Tensor

from nash_dqn.agents.episodes import Episodes, Replay, next_values, play_episodes
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.market import MarketState, Shocks
from nash_dqn.seeding import generator
from tests.common import SHORT

GAME = dataclasses.replace(SHORT, discount=0.9)
MEMBERS, EPISODES = 2, 5


def numbered(first: int, count: int, items: bool, critic: bool = False) -> Episodes:
    """Episodes that say who they are: entry e of member k is 1000 k + first + e, and in eighths what it belongs to.

    Rewards 0, actions 1, observation 2 and its items 3, the critic's 4 and 5.
    """
    label = 1000.0 * torch.arange(MEMBERS).view(-1, 1) + torch.arange(first, first + count)

    def leaf(eighths: int, *shape: int) -> Tensor:
        tagged = label + eighths / 8
        return tagged.view(MEMBERS, count, *[1] * len(shape)).expand(MEMBERS, count, *shape).clone()

    return Episodes(
        Observation(leaf(2, 4, 3, 5), leaf(3, 4, 3, 1) if items else None),
        Observation(leaf(4, 4, 3, 6), leaf(5, 4, 3, 2)) if critic else None,
        leaf(1, 4, 3, 1),
        leaf(0, 4, 3),
    )


def named(episodes: Episodes) -> dict[int, Tensor]:
    """The tensors of :func:`numbered` by their eighths."""
    parts = [episodes.rewards, episodes.actions, episodes.observation.own, episodes.observation.items]
    if episodes.critic is not None:
        parts += [episodes.critic.own, episodes.critic.items]
    return {eighths: leaf for eighths, leaf in enumerate(parts) if leaf is not None}


@pytest.mark.parametrize(("capacity", "batch", "hidden"), [(5, 2, True), (7, 5, False)])
def test_replay_agrees_with_a_list(capacity: int, batch: int, hidden: bool) -> None:
    """A ring: slot s holds the latest episode n with n mod capacity = s; the extremes of [0, 1) are valid draws.

    With items and a critic's view, or, where all is hidden, without.
    """
    items = critic = not hidden
    replay = Replay.like(numbered(0, batch, items, critic), capacity)
    ring: list[int] = []
    added = 0
    for _ in range(8):
        replay = replay.add(numbered(added, batch, items, critic))
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
        parts = named(sample)
        assert parts.keys() == named(numbered(0, 1, items, critic)).keys()
        for eighths, leaf in parts.items():
            flat = leaf.flatten(2) - eighths / 8
            assert (flat == flat[..., :1]).all(), "an episode stays in one piece"
            assert flat[0, :, 0].tolist() == ring
            assert flat[1, :, 0].tolist() == [1000 + n for n in reversed(ring)]
        edge = torch.tensor([[0.0, 1.0 - 2**-24]]).expand(MEMBERS, 2)
        assert replay.sample(edge).rewards[0, :, 0, 0].tolist() == [ring[0], ring[-1]]


def test_next_values_by_hand() -> None:
    """V(x') of a step is V(x) of the next; at the end of the horizon it is zero (section 2)."""
    values = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    assert next_values(values).tolist() == [[[2.0, 3.0, 0.0], [5.0, 6.0, 0.0]]]
    agents = values.unsqueeze(-1).repeat(1, 1, 1, 2)
    assert torch.equal(next_values(agents)[..., 1], next_values(values))
    assert next_values(torch.ones(1, 1, 1)).tolist() == [[[0.0]]]


def assert_seen(stored: Observation | None, k: int, e: int, m: int, seen: Observation) -> None:
    """What is stored of a step of an episode is what was seen there; ``step`` is left to the dimension of time."""
    assert stored is not None
    assert stored.step is None
    torch.testing.assert_close(stored.own[k, e, m], seen.own)
    assert (stored.items is None) == (seen.items is None)
    if stored.items is not None:
        torch.testing.assert_close(stored.items[k, e, m], seen.items)


@pytest.mark.parametrize(
    ("spec", "critic"),
    [
        (ObservationSpec("S-Y", "others_mean", False, "visible"), None),
        (ObservationSpec(own_flow=True), ObservationSpec("S-Y", own_flow=True, inventories="visible")),
    ],
    ids=["alone", "critic"],
)
def test_what_is_stored_is_what_happened(spec: ObservationSpec, critic: ObservationSpec | None) -> None:
    """x, u and r of every step, played again through the game one member and one episode at a time.

    What a critic sees is stored beside, and the agents act on what *they* see.
    """
    shocks = GAME.shocks_from_normals(
        torch.randn(MEMBERS, EPISODES, GAME.normals_per_episode, generator=generator(1, "test_episodes"))
    )
    calls = []

    def act(state: MarketState, observation: Observation) -> Tensor:
        assert not torch.is_grad_enabled()
        assert observation.step == state.step
        calls.append(state.step)
        return observation.own.sum(-1, keepdim=True) - 2.0 * state.step

    episodes = play_episodes(GAME, spec, act, shocks, critic)
    assert calls == [0, 1, 2, 3]
    features, _ = GAME.observation_size(spec)
    assert episodes.observation.own.shape == (MEMBERS, EPISODES, 4, 3, features)
    assert episodes.actions.shape == (MEMBERS, EPISODES, 4, 3, 1)
    assert episodes.rewards.shape == (MEMBERS, EPISODES, 4, 3)
    assert (episodes.critic is None) == (critic is None)
    for k in range(MEMBERS):
        for e in range(EPISODES):
            own_shocks = Shocks(*(leaf[k, e] for leaf in shocks))
            state = GAME.reset(own_shocks)
            for m in range(4):
                seen = GAME.observe(state, spec)
                assert_seen(episodes.observation, k, e, m, seen)
                if critic is not None:
                    assert_seen(episodes.critic, k, e, m, GAME.observe(state, critic))
                action = seen.own.sum(-1, keepdim=True) - 2.0 * m
                torch.testing.assert_close(episodes.actions[k, e, m], action, rtol=1e-5, atol=1e-5)
                state, rewards = GAME.step(state, episodes.actions[k, e, m], own_shocks)
                torch.testing.assert_close(episodes.rewards[k, e, m], rewards, rtol=1e-5, atol=1e-5)
