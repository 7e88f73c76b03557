"""Policies: their files, their parts, and files that are not theirs."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nash_dqn.advantage import mu_network, output_size, unpack
from nash_dqn.agents.training import describe
from nash_dqn.artifacts import ArtifactError, write_tensors
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import Policy, load_policy
from nash_dqn.seeding import generator
from nash_dqn.trees import tensor_map
from tests.common import SHORT as GAME
from tests.weights import FULL, SEEDS, network, write_networks


def plain(outputs: int) -> ObservationNetwork:
    """Without skip terms."""
    return network(FULL, outputs)._replace(skip=None)


def seen(members: int = 3, episodes: int = 4) -> Observation:
    shocks = GAME.sample_shocks(episodes, generator(1, "test_policy"))
    return GAME.observe(GAME.reset(shocks.map(lambda leaf: leaf.expand(members, *leaf.shape))), FULL)


@pytest.mark.parametrize("d", [1, 3])
def test_mu_network_is_the_mu_part_of_the_advantage_network(d: int) -> None:
    advantage, observation = network(FULL, output_size(d)), seen()
    basis = torch.randn(len(SEEDS), GAME.n_steps, 6, 6, generator=generator(1, "test_policy", "basis"))
    for whole in (advantage._replace(skip=None), advantage, advantage._replace(basis=basis)):
        torch.testing.assert_close(mu_network(whole, d)(observation), unpack(whole(observation), d).mu)
    # Views, not copies: a trainer plays the weights that it is about to change.
    for part, own in zip(mu_network(advantage, d).parameters, advantage.parameters, strict=True):
        assert part.data_ptr() == own.data_ptr()


def test_bound_clips_actions() -> None:
    for net in (network(FULL, 1), tensor_map(torch.neg, network(FULL, 1))):
        free = Policy(net, FULL, SEEDS, "fictitious_play")(seen())
        bound = free.abs().median().item()
        clipped = Policy(net, FULL, SEEDS, "fictitious_play", bound)(seen())
        torch.testing.assert_close(clipped, free.clamp(-bound, bound), rtol=0, atol=0)
        assert 0 < (clipped != free).float().mean() < 1


def test_act_observes_by_the_policys_own_specification() -> None:
    """Policies of different specifications meet in one game."""
    shocks = GAME.sample_shocks(4, generator(1, "test_policy")).map(lambda leaf: leaf.expand(3, *leaf.shape))
    state, _ = GAME.step(GAME.reset(shocks), torch.full((3, 4, 3, 1), 2.0), shocks)
    for spec in (FULL, ObservationSpec()):
        policy = Policy(network(spec, 1), spec, SEEDS, "nash_dqn")
        assert torch.equal(policy.act(GAME, state), policy(GAME.observe(state, spec)))
        some = slice(1, 3)
        torch.testing.assert_close(policy.act(GAME, state, some), policy.act(GAME, state)[..., some, :])


def test_select_and_member() -> None:
    policy = Policy(network(FULL, 1), FULL, SEEDS, "fictitious_play", 0.1, {"policy": "fp-code"})
    actions = policy(seen())
    some = policy.select([2, 0])
    assert (some.seeds, some.bound, some.name, some.algorithm) == ([7, 5], 0.1, "fp-code", "fictitious_play")
    torch.testing.assert_close(some(seen(2)), actions[[2, 0]])
    one = policy.member(1)
    assert one.seeds == [1]
    torch.testing.assert_close(one(seen(1)), actions[1:2])


def test_round_trips(tmp_path: Path) -> None:
    """Of Nash-DQN's networks with and without skip terms, of mu alone, and of fictitious play's."""
    path = tmp_path / "weights.safetensors"
    advantage = network(FULL, output_size(1))
    for whole in (advantage, advantage._replace(skip=None)):
        write_networks(path, {"advantage": whole, "value": plain(1)}, FULL, beta=10)
        policy = load_policy(str(path))
        assert (policy.algorithm, policy.observation, policy.seeds, policy.bound) == ("nash_dqn", FULL, SEEDS, None)
        assert policy.meta == {"scenario": "toy", "policy": "mine", "beta": 10}
        torch.testing.assert_close(policy(seen()), unpack(whole(seen()), 1).mu)
        assert len(policy.network.parameters) == len(whole.parameters)
        mu = tensor_map(Tensor.contiguous, mu_network(whole, 1))
        write_networks(path, {"actor": mu}, FULL, transitions=[10, 10, 31])
        assert load_policy(path).meta["transitions"] == [10, 10, 31]
        assert torch.equal(load_policy(path)(seen()), mu(seen()))
    write_networks(path, {"actor": plain(1), "critic": plain(2)}, FULL, "fictitious_play", bound=0.05)
    policy = load_policy(path)
    assert (policy.algorithm, policy.bound) == ("fictitious_play", 0.05)
    assert torch.equal(policy(seen()), plain(1)(seen()).clamp(-0.05, 0.05))


def test_our_files_without_a_policy_are_refused(tmp_path: Path) -> None:
    path, actor = tmp_path / "weights.safetensors", plain(1).state_dict("actor")
    ours, fp = (describe(algorithm, FULL, SEEDS, 1, None) for algorithm in ("nash_dqn", "fictitious_play"))
    cut = {key: tensor for key, tensor in actor.items() if key != "actor.sigma.1.bias"}
    files: list[tuple[dict[str, Tensor], dict[str, str]]] = [
        *((actor, {"policy": text}) for text in ("not JSON", "[1, 2]", "{}")),
        (actor, {}),
        (plain(1).state_dict("value"), ours),
        (plain(5).state_dict("advantage"), fp),
        (cut, fp),
    ]
    for tensors, metadata in files:
        write_tensors(path, tensors, metadata)
        with pytest.raises(ArtifactError, match=r"^[^\n]*: not a policy as this package writes it \([^\n]*$"):
            load_policy(path)
