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

SPEC = ObservationSpec("S-Y", "others_mean", True, "visible")
SEEDS = [5, 1, 7]


def network(outputs: int, inputs: int = 6, seeds: list[int] = SEEDS) -> ObservationNetwork:
    """For SPEC: two label-invariant features, an inventory and its past order flow."""
    streams = [generator(seed, "test_policy", outputs) for seed in seeds]
    return ObservationNetwork.create(inputs, 2, (4, 3), (6, 5), outputs, streams)


def with_skip(net: ObservationNetwork, inputs: int = 6) -> ObservationNetwork:
    """The same with linear skip terms for GAME's four steps, coefficients of order one."""
    members, _, outputs = net.sigma.biases[-1].shape
    shape = (members, GAME.n_steps, inputs + 2, outputs)
    return net._replace(skip=torch.randn(shape, generator=generator(0, "test_policy", "skip")))


def nash_dqn_file(path: Path, skip: bool = False) -> ObservationNetwork:
    """A file as the trainer of Nash-DQN writes it; returns the advantage network in it."""
    advantage = network(output_size(1))
    advantage = with_skip(advantage) if skip else advantage
    tensors = {**advantage.state_dict("advantage"), **network(1).state_dict("value")}
    write_tensors(
        path, tensors, describe("nash_dqn", SPEC, SEEDS, 1, None, scenario="code", policy="nash-text", beta=10)
    )
    return advantage


def fictitious_play_file(path: Path, bound: float = 50.0) -> ObservationNetwork:
    """A file as the trainer of fictitious play writes it; returns the actor in it."""
    actor = network(1)
    tensors = {**actor.state_dict("actor"), **network(1, inputs=7).state_dict("critic")}
    write_tensors(path, tensors, describe("fictitious_play", SPEC, SEEDS, 1, bound, policy="fp-code"))
    return actor


def seen(members: int = 3, episodes: int = 4) -> Observation:
    shocks = GAME.sample_shocks(episodes, generator(1, "test_policy"))
    return GAME.observe(GAME.reset(shocks.map(lambda leaf: leaf.expand(members, *leaf.shape))), SPEC)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_mu_network_is_the_mu_part_of_the_advantage_network(d: int, skip: bool) -> None:
    advantage, observation = network(output_size(d)), seen()
    if skip:
        plain = mu_network(advantage, d)(observation)
        advantage = with_skip(advantage)
        assert (mu_network(advantage, d)(observation) - plain).abs().max() > 0.1
    mu = unpack(advantage(observation), d).mu
    torch.testing.assert_close(mu_network(advantage, d)(observation), mu)
    basis = torch.randn(len(SEEDS), GAME.n_steps, 6, 6, generator=generator(1, "test_policy", "basis"))
    turned = advantage._replace(basis=basis)
    torch.testing.assert_close(mu_network(turned, d)(observation), unpack(turned(observation), d).mu)
    # Views, not copies: a trainer plays the weights that it is about to change.
    for part, whole in zip(mu_network(advantage, d).parameters, advantage.parameters, strict=True):
        assert part.data_ptr() == whole.data_ptr()


def test_bound_clips_actions() -> None:
    policy = Policy(network(1), SPEC, SEEDS, "fictitious_play", bound=0.05)
    free = Policy(network(1), SPEC, SEEDS, "fictitious_play")(seen())
    assert ((free > 0.05).any(), (free < 0.05).any()) == (True, True)
    torch.testing.assert_close(policy(seen()), free.clamp(-0.05, 0.05), rtol=0, atol=0)
    negative = Policy(tensor_map(torch.neg, network(1)), SPEC, SEEDS, "fictitious_play", bound=0.05)
    assert negative(seen()).min() == pytest.approx(-0.05)


def test_act_observes_by_the_policys_own_specification() -> None:
    """Policies of different specifications meet in one game."""
    shocks = GAME.sample_shocks(4, generator(1, "test_policy")).map(lambda leaf: leaf.expand(3, *leaf.shape))
    state, _ = GAME.step(GAME.reset(shocks), torch.full((3, 4, 3, 1), 2.0), shocks)
    policy = Policy(network(1), SPEC, SEEDS, "nash_dqn")
    assert torch.equal(policy.act(GAME, state), policy(GAME.observe(state, SPEC)))
    some = slice(1, 3)
    torch.testing.assert_close(policy.act(GAME, state, some), policy.act(GAME, state)[..., some, :])
    private = ObservationNetwork.create(5, 0, (), (4,), 1, [generator(seed, "p") for seed in SEEDS])
    plain = Policy(private, ObservationSpec(), SEEDS, "nash_dqn")
    assert torch.equal(plain.act(GAME, state), private(GAME.observe(state, ObservationSpec())))


def test_select_and_member() -> None:
    policy = Policy(network(1), SPEC, SEEDS, "fictitious_play", 0.1, {"policy": "fp-code"})
    actions = policy(seen())
    some = policy.select([2, 0])
    assert (some.seeds, some.bound, some.meta, some.algorithm) == (
        [7, 5],
        0.1,
        {"policy": "fp-code"},
        "fictitious_play",
    )
    torch.testing.assert_close(some(seen(2)), actions[[2, 0]])
    one = policy.member(1)
    assert one.seeds == [1]
    assert one(seen(1)).shape == (1, 4, 3, 1)
    torch.testing.assert_close(one(seen(1)), actions[1:2])
    assert torch.equal(policy.to("cpu")(seen()), actions)


@pytest.mark.parametrize("skip", [False, True])
def test_nash_dqn_round_trip(tmp_path: Path, skip: bool) -> None:
    advantage = nash_dqn_file(tmp_path / "weights.safetensors", skip)
    policy = load_policy(tmp_path / "weights.safetensors")
    assert (policy.algorithm, policy.observation, policy.seeds, policy.bound) == ("nash_dqn", SPEC, SEEDS, None)
    assert policy.meta == {"scenario": "code", "policy": "nash-text", "beta": 10}
    torch.testing.assert_close(policy(seen()), unpack(advantage(seen()), 1).mu)
    assert len(policy.network.parameters) == len(advantage.parameters)


def test_fictitious_play_round_trip(tmp_path: Path) -> None:
    actor = fictitious_play_file(tmp_path / "weights.safetensors", bound=0.05)
    policy = load_policy(str(tmp_path / "weights.safetensors"))
    assert (policy.algorithm, policy.observation, policy.seeds, policy.bound) == ("fictitious_play", SPEC, SEEDS, 0.05)
    assert policy.meta == {"policy": "fp-code"}
    assert torch.equal(policy(seen()), actor(seen()).clamp(-0.05, 0.05))


@pytest.mark.parametrize("skip", [False, True])
def test_a_file_of_the_actor_alone(tmp_path: Path, skip: bool) -> None:
    """mu of Nash-DQN, kept along the training without the rest of its network."""
    advantage = network(output_size(1))
    mu = tensor_map(Tensor.contiguous, mu_network(with_skip(advantage) if skip else advantage, 1))
    path = tmp_path / "snapshots.safetensors"
    write_tensors(path, mu.state_dict("actor"), describe("nash_dqn", SPEC, SEEDS, 1, None, transitions=[10, 10, 31]))
    policy = load_policy(path)
    assert (policy.algorithm, policy.seeds, policy.meta) == ("nash_dqn", SEEDS, {"transitions": [10, 10, 31]})
    assert torch.equal(policy(seen()), mu(seen()))


def refused(path: Path) -> str:
    """The one line with which the file is refused."""
    with pytest.raises(ArtifactError) as caught:
        load_policy(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def without(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        (network(1).state_dict("actor"), {}),
        (network(1).state_dict("actor"), {"policy": "not JSON"}),
        (network(1).state_dict("actor"), {"policy": "[1, 2]"}),
        (network(1).state_dict("actor"), {"policy": "{}"}),
        (network(1).state_dict("value"), describe("nash_dqn", SPEC, SEEDS, 1, None)),
        (network(5).state_dict("advantage"), describe("fictitious_play", SPEC, SEEDS, 1, None)),
        (
            without(network(1).state_dict("actor"), "actor.sigma.1.bias"),
            describe("fictitious_play", SPEC, SEEDS, 1, 50.0),
        ),
    ],
)
def test_our_files_without_a_policy_are_refused(
    tensors: dict[str, Tensor], metadata: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    write_tensors(path, tensors, metadata)
    assert "not a policy as this package writes it" in refused(path)
