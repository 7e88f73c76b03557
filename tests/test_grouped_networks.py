"""Networks of groups against loops over agents; who is interchangeable; files."""

import itertools

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from nash_dqn.games.base import Observation
from nash_dqn.networks import GroupedNetwork, ObservationNetwork, create
from nash_dqn.seeding import generator
from nash_dqn.trees import select, tensor_map

GROUPS = (range(2), range(2, 5), range(5, 6))
SIZES = [2, 3, 1]


def streams(*seeds: int) -> list[Generator]:
    return [generator(seed, "test_grouped_networks") for seed in seeds]


def normal(*shape: int, seed: int = 9) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "test_grouped_networks", "input"))


def example(phi_hidden: tuple[int, ...] = (7, 6), skip: int | None = None, items: int = 2) -> GroupedNetwork:
    """Four own features, three outputs; skip terms of some degree, not zero as trainers start them."""
    steps = None if skip is None else (2, skip)
    net = create(GROUPS, 4, items, phi_hidden, (8, 5), 3, streams(1, 2), steps)
    assert isinstance(net, GroupedNetwork)
    return tensor_map(lambda t: t if t.abs().max() > 0 else normal(*t.shape, seed=int(t.shape[-2])), net)


def seen(step: int | None = None) -> Observation:
    """Observations [K, 3, 2, N, .]: episodes and steps; of one step, [K, 3, N, .]."""
    own, items = normal(2, 3, 2, 6, 4), normal(2, 3, 2, 6, 2, seed=8)
    return Observation(own, items) if step is None else Observation(own[:, :, step], items[:, :, step], step)


def test_no_agents_have_no_outputs() -> None:
    """Such as those after a last agent who is alone in its group."""
    output = example()(seen(), slice(6, None))
    assert output.shape == (2, 3, 2, 0, 3)


def test_groups_agree_with_a_loop_over_agents() -> None:
    """Each agent: its group's sigma of its own features and, for each group with others, the mean of their phi."""
    net, observation = example(), seen()
    assert observation.items is not None
    output = net(observation)
    assert output.shape == (2, 3, 2, 6, 3)
    for k, i in itertools.product(range(2), range(6)):
        network = next(network for network in net.networks if i in (network.agents or ()))
        others = [[j for j in group if j != i] for group in GROUPS]
        x = [observation.own[k, :, :, i]]
        for phi, group in zip(network.phi or (), [group for group in others if group], strict=True):
            member = select(phi, [k])
            embedded = [functional.silu(member(observation.items[k, :, :, j].reshape(1, 6, 2))) for j in group]
            x.append(torch.stack(embedded).mean(0).view(3, 2, -1))
        sigma = select(network.sigma, [k])
        expected = sigma(torch.cat(x, -1).reshape(1, 6, -1)).view(3, 2, 3)
        torch.testing.assert_close(output[k, :, :, i], expected)


@pytest.mark.parametrize("skip", [None, 1, 2])
@pytest.mark.parametrize("phi_hidden", [(), (7, 6)])
def test_agents_are_interchangeable_within_a_group_alone(phi_hidden: tuple[int, ...], skip: int | None) -> None:
    net, observation = example(phi_hidden, skip), seen()
    output = net(observation)

    def swapped(*order: int) -> Tensor:
        return net(tensor_map(lambda leaf: leaf[..., list(order), :], observation))[..., list(order), :]

    torch.testing.assert_close(swapped(1, 0, 2, 3, 4, 5), output)
    torch.testing.assert_close(swapped(0, 1, 2, 4, 3, 5), output)
    for other in ((2, 1, 0, 3, 4, 5), (0, 1, 2, 3, 5, 4)):  # its own inverse
        assert ((swapped(*other) - output).abs().amax((0, 1, 2, 4)) > 1e-3).all()  # of everybody, not of the two alone


@pytest.mark.parametrize("skip", [None, 1, 2])
@pytest.mark.parametrize("some", [slice(0, 1), slice(1, 4), slice(4, None), slice(2, 5)])
def test_a_slice_is_a_part_of_all(some: slice, skip: int | None) -> None:
    net, observation = example(skip=skip), seen()
    torch.testing.assert_close(net(observation, some), net(observation)[..., some, :])


@pytest.mark.parametrize("skip", [1, 2])
def test_a_step_is_a_part_of_all_steps(skip: int) -> None:
    net = example(skip=skip)
    torch.testing.assert_close(net(seen(1)), net(seen())[:, :, 1])


def test_groups_share_nothing() -> None:
    """A group's outputs have no gradient with respect to another's tensors."""
    net = tensor_map(lambda t: t.requires_grad_(), example(skip=1))
    for g, group in enumerate(GROUPS):
        total = net(seen(), slice(group.start, group.stop)).sum()
        for h, part in enumerate(net.parts):
            gradients = torch.autograd.grad(total, part, retain_graph=True, allow_unused=True)
            assert all((gradient is not None) == (g == h) for gradient in gradients)
    assert len({tensor.data_ptr() for tensor in net.parameters}) == len(net.parameters)


def test_an_action_is_one_more_input() -> None:
    net = create(GROUPS, 4 + 2, 2, (7,), (8,), 1, streams(1, 2))
    action, observation = normal(2, 3, 2, 6, 2, seed=3), seen()
    wider = observation._replace(own=torch.cat((observation.own, action), -1))
    torch.testing.assert_close(net(observation, slice(None), action), net(wider))
    torch.testing.assert_close(net(observation, slice(1, 4), action[..., 1:4, :]), net(wider)[..., 1:4, :])


@pytest.mark.parametrize("phi_hidden", [(), (7, 6)])
@pytest.mark.parametrize("items", [0, 2])
def test_tensors_by_name_and_back(items: int, phi_hidden: tuple[int, ...]) -> None:
    net = example(phi_hidden, 1, items)
    tensors = net.state_dict("actor")
    assert len(tensors) == len(net.parameters)
    again = GroupedNetwork.from_state_dict(tensors, "actor", SIZES)
    assert again.groups == net.groups == GROUPS
    observation = seen() if items else seen()._replace(items=None)
    assert torch.equal(again(observation), net(observation))
    with pytest.raises(KeyError, match=r"value\.group_0\.sigma"):
        GroupedNetwork.from_state_dict(tensors, "value", SIZES)


def test_one_group_has_the_network_of_all_agents() -> None:
    one = create([range(6)], 4, 2, (7,), (8,), 3, streams(1, 2))
    assert isinstance(one, ObservationNetwork)
    several = create(GROUPS, 4, 2, (7,), (8,), 3, streams(1, 2), (2, 1))
    assert isinstance(several, GroupedNetwork)
    assert several.groups == GROUPS
