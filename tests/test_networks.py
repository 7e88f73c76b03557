"""Networks of one group of agents and of several, against plain loops: equation (16), skip terms, members, files."""

import itertools
import math

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from nash_dqn.games.base import Observation
from nash_dqn.networks import MLP, GroupedNetwork, Network, ObservationNetwork, create
from nash_dqn.seeding import generator
from nash_dqn.trees import tensor_map

ALL = (range(4),)
"""All agents are one group, as in the paper."""
GROUPS = (range(2), range(2, 5), range(5, 6))
"""Several groups, one of which has a single agent."""
PHI = (7, 6)


def streams(*seeds: int) -> list[Generator]:
    return [generator(seed, "test_networks") for seed in seeds]


def normal(*shape: int, seed: int = 9) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "test_networks", "input"))


def example(
    groups: tuple[range, ...] = ALL,
    degree: int | None = None,
    phi_hidden: tuple[int, ...] = PHI,
    items: int = 2,
    seeds: tuple[int, ...] = (1, 2),
) -> Network:
    """Four own features, three outputs; skip terms for two steps, random where trainers start them at zero."""
    skip = None if degree is None else (2, degree)
    net = create(groups, 4, items, phi_hidden, (8, 5), 3, streams(*seeds), skip)
    rows = range(len(seeds))

    def filled(tensor: Tensor) -> Tensor:
        if tensor.any():
            return tensor
        return torch.stack([normal(*tensor.shape[1:], seed=seeds[k]) for k in rows])

    return tensor_map(filled, net)


def seen(agents: int = 4, members: int = 2, items: int = 2) -> Observation:
    """Observations [K, 3, 2, N, .]: episodes and steps."""
    of_agents = normal(members, 3, 2, agents, items, seed=8) if items else None
    return Observation(normal(members, 3, 2, agents, 4), of_agents)


def at_step(observation: Observation, m: int) -> Observation:
    return tensor_map(lambda leaf: leaf[:, :, m], observation)._replace(step=m)


def reference(net: MLP, member: int) -> torch.nn.Sequential:
    """The member in torch.nn layers."""
    layers: list[torch.nn.Module] = []
    for weight, bias in zip(net.weights, net.biases, strict=True):
        # skip_init: torch.nn.Linear would draw from the global generator.
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *weight.shape[1:], dtype=weight.dtype)
        linear.weight.data.copy_(weight[member].T)
        linear.bias.data.copy_(bias[member, 0])
        layers += [linear, torch.nn.SiLU()]
    return torch.nn.Sequential(*layers[:-1])


# --- what a network computes --------------------------------------------------------------------------------


def by_loop(net: ObservationNetwork, observation: Observation, groups: tuple[range, ...], *at: int) -> Tensor:
    """Member k's output in episode 1 at step m, agent i: (16) group by group, and the step's skip terms.

    sigma of the own features and, for each group that has other agents, the mean of phi of their items, zero for a lone
    trader; coefficients of 1, the own features but time, and the mean items, or of the products of each two.
    """
    k, m, i = at
    x, z = [observation.own[k, 1, m, i]], [1.0, *observation.own[k, 1, m, i, 1:].tolist()]
    if observation.items is not None:
        others = [[j for j in group if j != i] for group in groups]
        seen_groups = [group for group in others if group] or [[]]
        for h, group in enumerate(seen_groups):
            items = [observation.items[k, 1, m, j] for j in group]
            phi = None if net.phi is None else reference(net.phi[h], k)
            embedded = [item if phi is None else functional.silu(phi(item)) for item in items]
            size = 2 if net.phi is None else PHI[-1]
            x.append(torch.stack(embedded).mean(0) if group else torch.zeros(size, dtype=torch.float64))
            z += torch.stack(items).mean(0).tolist() if group else [0.0, 0.0]
    output: Tensor = reference(net.sigma, k)(torch.cat(x))
    if net.skip is not None:
        terms = z
        if net.skip.shape[-2] != len(z):
            terms = [a * b for a, b in itertools.combinations_with_replacement(z, 2)]
        output = output + torch.tensor(terms, dtype=torch.float64) @ net.skip[k, m]
    return output


@pytest.mark.parametrize(
    ("groups", "degree", "phi_hidden", "items"),
    [
        (ALL, None, PHI, 2),
        (ALL, 1, (), 2),
        (ALL, 2, PHI, 2),
        (ALL, 2, PHI, 0),
        ((range(1),), 2, PHI, 2),
        ((range(2),), 1, PHI, 2),
        (GROUPS, None, PHI, 2),
        (GROUPS, 1, (), 2),
        (GROUPS, 2, PHI, 2),
    ],
)
def test_networks_agree_with_a_loop(
    groups: tuple[range, ...], degree: int | None, phi_hidden: tuple[int, ...], items: int
) -> None:
    agents = groups[-1].stop
    net, observation = tensor_map(
        Tensor.double, (example(groups, degree, phi_hidden, items), seen(agents, items=items))
    )
    output = net(observation)
    assert output.shape == (2, 3, 2, agents, 3)
    for k, m, i in itertools.product(range(2), range(2), range(agents)):
        networks = net.networks if isinstance(net, GroupedNetwork) else (net,)
        of_agent = next(network for network in networks if network.agents is None or i in network.agents)
        torch.testing.assert_close(output[k, 1, m, i], by_loop(of_agent, observation, groups, k, m, i))


@pytest.mark.parametrize("groups", [ALL, GROUPS], ids=["one", "several"])
@pytest.mark.parametrize("degree", [1, 2])
def test_some_agents_at_one_step_are_a_part_of_all(groups: tuple[range, ...], degree: int) -> None:
    """What a policy computes at a decision point is what the trainer computes there for whole episodes."""
    agents = groups[-1].stop
    net, observation = tensor_map(Tensor.double, (example(groups, degree), seen(agents)))
    together = net(observation)
    for some in (slice(None), slice(0, 1), slice(1, agents - 1), slice(agents - 2, None), slice(agents, None)):
        torch.testing.assert_close(net(observation, some), together[..., some, :], rtol=1e-12, atol=1e-13)
        for m in range(2):
            now = net(at_step(observation, m), some)
            torch.testing.assert_close(now, together[:, :, m, some], rtol=1e-12, atol=1e-13)
    other = at_step(observation, 0)._replace(step=1)
    assert (net(other) - together[:, :, 0]).abs().amin() > 1e-4, "the step matters"


@pytest.mark.parametrize("groups", [ALL, GROUPS], ids=["one", "several"])
def test_an_action_is_an_input_after_the_features(groups: tuple[range, ...]) -> None:
    """Q(x, u), of all agents and of some."""
    agents = groups[-1].stop
    net = create(groups, 4 + 2, 2, (7,), (8,), 1, streams(1, 2))
    action, observation = normal(2, 3, 2, agents, 2, seed=3), seen(agents)
    wider = net(observation._replace(own=torch.cat((observation.own, action), -1)))
    torch.testing.assert_close(net(observation, slice(None), action), wider)
    torch.testing.assert_close(net(observation, slice(1, 4), action[..., 1:4, :]), wider[..., 1:4, :])


def test_a_basis_is_a_change_of_the_own_features() -> None:
    """Step by step, before anything else sees them, for all steps at once and for one; it is no trained tensor."""
    plain = example(degree=2)
    assert isinstance(plain, ObservationNetwork)
    matrices = normal(2, 4, 4, seed=5)
    created = ObservationNetwork.create(4, 2, PHI, (8, 5), 3, streams(1, 2), basis=matrices)
    assert created.basis is not None and torch.equal(created.basis, torch.stack((matrices, matrices)))
    net, plain, observation = tensor_map(Tensor.double, (plain._replace(basis=created.basis), plain, seen()))
    own = torch.stack([observation.own[:, :, m] @ matrices[m].double() for m in range(2)], 2)
    expected = plain(observation._replace(own=own))
    torch.testing.assert_close(net(observation), expected, rtol=1e-11, atol=1e-12)
    now = net(at_step(observation, 1), slice(1, 3))
    torch.testing.assert_close(now, expected[:, :, 1, 1:3], rtol=1e-11, atol=1e-12)
    assert all(a is b or torch.equal(a, b) for a, b in zip(net.parameters, plain.parameters, strict=True))
    again = ObservationNetwork.from_state_dict(net.state_dict("net"), "net")
    assert again.basis is not None and torch.equal(again(observation), net(observation))


def test_without_gradients_the_input_is_left_alone() -> None:
    """Activations are in place then; the observations that a replay buffer holds must not be."""
    for net in (example(), example(degree=2, phi_hidden=())):
        observation = seen()
        before = tensor_map(Tensor.clone, observation)
        recorded = net(observation)
        with torch.no_grad():
            assert torch.equal(net(observation), recorded)
        assert torch.equal(before.own, observation.own)
        assert before.items is not None and observation.items is not None
        assert torch.equal(before.items, observation.items)


def test_what_is_done_to_the_last_layer_is_done_to_the_outputs() -> None:
    """Skip terms too; the network itself is left as it was."""
    for groups in (ALL, GROUPS):
        net, observation = example(groups, 2), seen(groups[-1].stop)
        before, plain = [t.clone() for t in net.parameters], net(observation)
        torch.testing.assert_close(net.with_outputs(lambda tensor: -4.5 * tensor)(observation), -4.5 * plain)
        assert all(torch.equal(a, b) for a, b in zip(net.parameters, before, strict=True))


# --- members, groups and their beginning --------------------------------------------------------------------


def test_initial_weights_are_those_of_torch_linear() -> None:
    """torch.nn.Linear: weights and biases uniform on +-1 / sqrt(fan in), so of variance 1 / (3 fan in)."""
    net = MLP.create((100, 50, 40), streams(1, 2))
    for weight, bias, fan_in in zip(net.weights, net.biases, (100, 50), strict=True):
        bound = 1 / math.sqrt(fan_in)
        assert bias.shape == (2, 1, weight.shape[2])
        for tensor in (weight, bias):
            assert tensor.abs().max() <= bound
        assert weight.abs().max() > 0.99 * bound
        assert bias.abs().max() > 0.8 * bound
        assert weight.var().item() == pytest.approx(bound**2 / 3, rel=0.05)
        assert weight.mean().abs() < 4 * bound / math.sqrt(3 * weight.numel())


def test_skip_terms_start_at_zero_and_move_nothing_else() -> None:
    """Four own features and two of the mean item; phi and sigma draw the numbers they draw without."""
    plain = example()
    for degree, terms in ((1, 6), (2, 21)):
        net = ObservationNetwork.create(4, 2, PHI, (8, 5), 3, streams(1, 2), skip=(2, degree))
        assert net.skip is not None and torch.equal(net.skip, torch.zeros(2, 2, terms, 3))
        assert all(torch.equal(a, b) for a, b in zip(net.parameters[:-1], plain.parameters, strict=True))
        assert net.parameters[-1] is net.skip
        assert torch.equal(net(seen()), plain(seen()))


def test_a_member_starts_from_its_own_generator_only() -> None:
    together, alone, other_company = (example(seeds=seeds) for seeds in ((1, 2, 3), (2,), (7, 2)))
    for name, tensor in together.state_dict("net").items():
        assert torch.equal(tensor[1:2], alone.state_dict("net")[name])
        assert torch.equal(tensor[1], other_company.state_dict("net")[name][1])
        assert not torch.equal(tensor[1], tensor[2])


def test_a_member_computes_what_it_computes_alone() -> None:
    """And no gradient flows from one member to another."""
    together, alone = (example(degree=2, seeds=seeds) for seeds in ((1, 2, 3), (2,)))
    observation = seen(members=3)
    torch.testing.assert_close(together(observation)[1:2], alone(tensor_map(lambda leaf: leaf[1:2], observation)))
    net = tensor_map(lambda t: t.requires_grad_(), together)
    gradients = torch.autograd.grad(net(observation)[1].sum(), net.parameters)
    assert all(not g[0].any() and not g[2].any() and g[1].any() for g in gradients)


def test_groups_share_nothing() -> None:
    """A group's outputs have no gradient with respect to another's tensors."""
    net = tensor_map(lambda t: t.requires_grad_(), example(GROUPS, 1))
    for g, group in enumerate(GROUPS):
        total = net(seen(6), slice(group.start, group.stop)).sum()
        for h, part in enumerate(net.parts):
            gradients = torch.autograd.grad(total, part, retain_graph=True, allow_unused=True)
            assert all((gradient is not None) == (g == h) for gradient in gradients)
    assert len({tensor.data_ptr() for tensor in net.parameters}) == len(net.parameters)


# --- tensors by name ----------------------------------------------------------------------------------------


def test_names_of_the_tensors() -> None:
    assert {name: tuple(tensor.shape) for name, tensor in example(phi_hidden=(7,)).state_dict("value").items()} == {
        "value.phi.0.weight": (2, 2, 7), "value.phi.0.bias": (2, 1, 7),
        "value.sigma.0.weight": (2, 11, 8), "value.sigma.0.bias": (2, 1, 8),
        "value.sigma.1.weight": (2, 8, 5), "value.sigma.1.bias": (2, 1, 5),
        "value.sigma.2.weight": (2, 5, 3), "value.sigma.2.bias": (2, 1, 3),
    }  # fmt: skip


@pytest.mark.parametrize("phi_hidden", [PHI, ()])
def test_tensors_by_name_and_back(phi_hidden: tuple[int, ...]) -> None:
    """By its prefix: a network without skip terms in the same file stays without."""
    net, other, groups = example(ALL, 2, phi_hidden), example(phi_hidden=(3,)), example(GROUPS, 1, phi_hidden)
    tensors = net.state_dict("one") | other.state_dict("two") | groups.state_dict("three")
    assert len(tensors) == sum(len(each.parameters) for each in (net, other, groups))
    again = [ObservationNetwork.from_state_dict(tensors, name) for name in ("one", "two")]
    assert torch.equal(again[0](seen()), net(seen())) and torch.equal(again[1](seen()), other(seen()))
    of_groups = GroupedNetwork.from_state_dict(tensors, "three", [2, 3, 1])
    assert of_groups.groups == GROUPS and torch.equal(of_groups(seen(6)), groups(seen(6)))


def test_a_missing_tensor_is_a_key_error() -> None:
    tensors = example().state_dict("net")
    with pytest.raises(KeyError, match=r"value\.group_0\.sigma"):
        GroupedNetwork.from_state_dict(tensors, "value", [2, 2])
    for missing in ("net.sigma.2.bias", "net.sigma.0.weight"):
        del tensors[missing]
        with pytest.raises(KeyError, match=missing):
            ObservationNetwork.from_state_dict(tensors, "net")
