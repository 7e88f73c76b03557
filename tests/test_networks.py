"""Ensembles against torch's own layers and members alone; DeepSets, equation (16), and skip terms against loops."""

import itertools
import math

import pytest
import torch
from torch import Generator, Tensor

from nash_dqn.games.base import Observation
from nash_dqn.networks import MLP, ObservationNetwork, monomials
from nash_dqn.seeding import generator
from nash_dqn.trees import tensor_map


def streams(*seeds: int) -> list[Generator]:
    return [generator(seed, "test_networks") for seed in seeds]


def normal(*shape: int, seed: int = 9) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "test_networks", "input"))


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


def example(
    phi_hidden: tuple[int, ...] = (7, 6), action: int = 0, seeds: tuple[int, ...] = (1, 2)
) -> ObservationNetwork:
    """Four own features (with the action), two per item, three outputs."""
    return ObservationNetwork.create(4 + action, 2, phi_hidden, (8, 5), 3, streams(*seeds))


def with_skip(degree: int, phi_hidden: tuple[int, ...] = (7, 6), seeds: tuple[int, ...] = (1, 2)) -> ObservationNetwork:
    """The example with skip terms for two steps, the coefficients random: trainers start them at zero."""
    net = ObservationNetwork.create(4, 2, phi_hidden, (8, 5), 3, streams(*seeds), skip=(2, degree))
    assert net.skip is not None
    rows = [torch.randn(net.skip.shape[1:], generator=generator(seed, "test_networks", "skip")) for seed in seeds]
    return net._replace(skip=torch.stack(rows))


def seen(agents: int = 4, members: int = 2) -> Observation:
    """Observations [K, 3, 2, N, .]: episodes and steps."""
    return Observation(normal(members, 3, 2, agents, 4), normal(members, 3, 2, agents, 2, seed=8))


@pytest.mark.parametrize("sizes", [(5, 3), (5, 8, 1), (5, 32, 32, 32, 32, 5)])
def test_mlp_agrees_with_torch_layers(sizes: tuple[int, ...]) -> None:
    net = MLP.create(sizes, streams(1, 2, 3))
    x = normal(3, 11, 5)
    out = net(x)
    assert out.shape == (3, 11, sizes[-1])
    for k in range(3):
        torch.testing.assert_close(out[k], reference(net, k)(x[k]))


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


def test_without_gradients_the_input_is_left_alone() -> None:
    """Activations are in place then; the observations that a replay buffer holds must not be."""
    for net in (example(), example(phi_hidden=()), with_skip(1), with_skip(2)):
        observation = seen()
        before = tensor_map(Tensor.clone, observation)
        recorded = net(observation)
        with torch.no_grad():
            assert torch.equal(net(observation), recorded)
        assert torch.equal(before.own, observation.own)
        assert before.items is not None and observation.items is not None
        assert torch.equal(before.items, observation.items)


def test_a_member_starts_from_its_own_generator_only() -> None:
    together, alone = example(seeds=(1, 2, 3)), example(seeds=(2,))
    other_company = example(seeds=(7, 2))
    for name, tensor in together.state_dict("net").items():
        assert torch.equal(tensor[1:2], alone.state_dict("net")[name])
        assert torch.equal(tensor[1], other_company.state_dict("net")[name][1])
        assert not torch.equal(tensor[1], tensor[2])


@pytest.mark.parametrize("degree", [None, 1, 2])
def test_a_member_computes_what_it_computes_alone(degree: int | None) -> None:
    together, alone = (
        example(seeds=seeds) if degree is None else with_skip(degree, seeds=seeds) for seeds in ((1, 2, 3), (2,))
    )
    observation = seen(members=3)
    own = Observation(observation.own[1:2], observation.items[1:2] if observation.items is not None else None)
    torch.testing.assert_close(together(observation)[1:2], alone(own))
    # The same with gradients: nothing flows from one member to another.
    net = tensor_map(lambda t: t.requires_grad_(), together)
    gradients = torch.autograd.grad(net(observation)[1].sum(), net.parameters)
    assert all(not g[0].any() and not g[2].any() and g[1].any() for g in gradients)


@pytest.mark.parametrize("phi_hidden", [(7, 6), ()])
@pytest.mark.parametrize("agents", [1, 2, 4])
def test_deep_sets_agree_with_a_loop_over_the_others(phi_hidden: tuple[int, ...], agents: int) -> None:
    """Equation (16): sigma(own_i, mean over j != i of phi(item_j)), where the pool of a lone agent is zero."""
    net, observation = tensor_map(Tensor.double, example(phi_hidden)), seen(agents)
    observation = tensor_map(Tensor.double, observation)
    assert observation.items is not None
    out = net(observation)
    assert out.shape == (2, 3, 2, agents, 3)
    for k in range(2):
        sigma = reference(net.sigma, k)
        for e in range(3):
            for m in range(2):
                for i in range(agents):
                    pool = torch.zeros(phi_hidden[-1] if phi_hidden else 2, dtype=torch.float64)
                    for j in set(range(agents)) - {i}:
                        item = observation.items[k, e, m, j]
                        if net.phi is not None:  # phi's layers are all hidden layers: an activation after each
                            item = torch.nn.functional.silu(reference(net.phi[0], k)(item))
                        pool += item / (agents - 1)
                    expected = sigma(torch.cat((observation.own[k, e, m, i], pool)))
                    torch.testing.assert_close(out[k, e, m, i], expected)


@pytest.mark.parametrize("degree", [None, 1, 2])
def test_the_order_of_the_others_is_not_seen_but_each_of_them_is(degree: int | None) -> None:
    net, observation = tensor_map(Tensor.double, (example() if degree is None else with_skip(degree))), seen()
    observation = tensor_map(Tensor.double, observation)
    assert observation.items is not None
    out = net(observation)
    swapped = Observation(observation.own, observation.items[..., [0, 3, 1, 2], :])
    torch.testing.assert_close(net(swapped)[..., 0, :], out[..., 0, :], rtol=1e-12, atol=1e-13)
    for j in range(4):
        items = observation.items.clone()
        items[..., j, :] += 0.5
        moved = (net(Observation(observation.own, items)) - out).abs().amax((0, 1, 2, 4))
        assert moved[j] < 1e-13, "an agent's own item is not among those that it sees"
        assert all(moved[i] > 1e-4 for i in range(4) if i != j)


def test_private_observations_have_no_pool() -> None:
    net = ObservationNetwork.create(4, 0, (7, 6), (8, 5), 3, streams(1))
    assert net.phi is None
    x = normal(1, 3, 2, 4, 4)
    torch.testing.assert_close(net(Observation(x, None))[0], reference(net.sigma, 0)(x[0]))


@pytest.mark.parametrize("degree", [None, 1, 2])
def test_some_agents_only(degree: int | None) -> None:
    net, observation = example() if degree is None else with_skip(degree), seen()
    for agents in (slice(0, 1), slice(1, None), slice(2, 3)):
        torch.testing.assert_close(net(observation, agents), net(observation)[..., agents, :])


def test_an_action_is_an_input_beside_the_features() -> None:
    """Q(x, u): the action stands between the own features and the pool."""
    net, observation = example((), action=1), seen()
    assert observation.items is not None
    action = normal(2, 3, 2, 1, 1, seed=7)
    out = net(observation, slice(0, 1), action)
    pool = observation.items[..., 1:, :].mean(-2, keepdim=True)
    x = torch.cat((observation.own[..., :1, :], action, pool), -1)
    for k in range(2):
        torch.testing.assert_close(out[k], reference(net.sigma, k)(x[k]))


def test_monomials_by_hand() -> None:
    """Of (time, 2, -3), time replaced by 1: themselves, or 1, 2, -3, 2 * 2, 2 * -3 and -3 * -3."""
    features = torch.tensor([[9.0, 2.0, -3.0], [-1.0, 2.0, -3.0]])
    before = features.clone()
    assert monomials(features, 1).tolist() == [[1, 2, -3]] * 2
    assert monomials(features, 2).tolist() == [[1, 2, -3, 4, -6, 9]] * 2
    assert torch.equal(features, before)


@pytest.mark.parametrize(("degree", "terms"), [(1, 6), (2, 21)])
def test_skip_terms_start_at_zero_and_move_nothing_else(degree: int, terms: int) -> None:
    """Four own features and two of the mean item; phi and sigma draw the numbers they draw without."""
    plain = example()
    net = ObservationNetwork.create(4, 2, (7, 6), (8, 5), 3, streams(1, 2), skip=(2, degree))
    assert net.skip is not None
    assert torch.equal(net.skip, torch.zeros(2, 2, terms, 3))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters[:-1], plain.parameters, strict=True))
    assert net.parameters[-1] is net.skip
    assert torch.equal(net(seen()), plain(seen()))


@pytest.mark.parametrize("phi_hidden", [(7, 6), ()])
@pytest.mark.parametrize("agents", [1, 2, 4])
@pytest.mark.parametrize("degree", [1, 2])
def test_skip_terms_agree_with_a_loop(degree: int, agents: int, phi_hidden: tuple[int, ...]) -> None:
    """Beside sigma, a step's own coefficients of 1, the own features but time, and the mean of the *others'* items."""
    net, observation = tensor_map(Tensor.double, with_skip(degree, phi_hidden)), tensor_map(Tensor.double, seen(agents))
    assert net.skip is not None and observation.items is not None
    skipped = net(observation) - net._replace(skip=None)(observation)
    for k, e, m, i in itertools.product(range(2), range(3), range(2), range(agents)):
        z = [1.0, *observation.own[k, e, m, i, 1:].tolist()]
        others = [observation.items[k, e, m, j].tolist() for j in range(agents) if j != i]
        z += [sum(item[c] for item in others) / max(agents - 1, 1) for c in range(2)]
        terms = z if degree == 1 else [a * b for a, b in itertools.combinations_with_replacement(z, 2)]
        for output in range(3):
            coefficients = net.skip[k, m, :, output].tolist()
            expected = sum(c * term for c, term in zip(coefficients, terms, strict=True))
            assert skipped[k, e, m, i, output].item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("agents", [slice(None), slice(0, 1), slice(1, 3)], ids=str)
@pytest.mark.parametrize("degree", [1, 2])
def test_one_step_is_that_step_of_all(degree: int, agents: slice) -> None:
    """What a policy computes at a decision point is what the trainer computes there for whole episodes."""
    net, observation = tensor_map(Tensor.double, with_skip(degree)), tensor_map(Tensor.double, seen())
    assert observation.items is not None
    together = net(observation, agents)
    for m in range(2):
        now = Observation(observation.own[:, :, m], observation.items[:, :, m], step=m)
        torch.testing.assert_close(net(now, agents), together[:, :, m], rtol=1e-12, atol=1e-13)
        other = now._replace(step=1 - m)
        assert (net(other, agents) - together[:, :, m]).abs().amin() > 1e-4, "the step matters"


@pytest.mark.parametrize("degree", [None, 1, 2])
def test_a_basis_is_a_change_of_the_own_features(degree: int | None) -> None:
    """Step by step, before anything else sees them, for all steps at once and for one; it is no trained tensor."""
    plain = tensor_map(Tensor.double, (example() if degree is None else with_skip(degree)))
    matrices = normal(2, 4, 4, seed=5).double()
    created = ObservationNetwork.create(4, 2, (7, 6), (8, 5), 3, streams(1, 2), basis=matrices)
    assert created.basis is not None
    assert torch.equal(created.basis, torch.stack((matrices, matrices)))
    net, observation = plain._replace(basis=created.basis), tensor_map(Tensor.double, seen())
    assert observation.items is not None
    own = torch.stack([observation.own[:, :, m] @ matrices[m] for m in range(2)], 2)
    for agents in (slice(None), slice(1, 3)):
        expected = plain(observation._replace(own=own), agents)
        torch.testing.assert_close(net(observation, agents), expected, rtol=1e-11, atol=1e-12)
        for m in range(2):
            now = Observation(observation.own[:, :, m], observation.items[:, :, m], step=m)
            torch.testing.assert_close(net(now, agents), expected[:, :, m], rtol=1e-11, atol=1e-12)
    assert all(a is b for a, b in zip(net.parameters, plain.parameters, strict=True))
    again = ObservationNetwork.from_state_dict(net.state_dict("net"), "net")
    assert again.basis is not None
    assert torch.equal(again.basis, created.basis)
    assert torch.equal(again(observation), net(observation))


@pytest.mark.parametrize("phi_hidden", [(7, 6), ()])
def test_state_dict_round_trip(phi_hidden: tuple[int, ...]) -> None:
    """By its prefix: a network without skip terms in the same file stays without."""
    net = with_skip(2, phi_hidden)
    tensors = {**net.state_dict("one"), **example((3,)).state_dict("two")}
    again = ObservationNetwork.from_state_dict(tensors, "one")
    assert (again.phi is None) == (not phi_hidden)
    assert len(again.parameters) == len(net.parameters) == len(net.state_dict("one"))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters, net.parameters, strict=True))
    assert torch.equal(again(seen()), net(seen()))


def test_names_of_the_tensors() -> None:
    assert {name: tuple(tensor.shape) for name, tensor in example((7,)).state_dict("value").items()} == {
        "value.phi.0.weight": (2, 2, 7), "value.phi.0.bias": (2, 1, 7),
        "value.sigma.0.weight": (2, 11, 8), "value.sigma.0.bias": (2, 1, 8),
        "value.sigma.1.weight": (2, 8, 5), "value.sigma.1.bias": (2, 1, 5),
        "value.sigma.2.weight": (2, 5, 3), "value.sigma.2.bias": (2, 1, 3),
    }  # fmt: skip


@pytest.mark.parametrize("missing", ["net.sigma.0.weight", "net.sigma.2.bias"])
def test_a_missing_tensor_is_a_key_error(missing: str) -> None:
    tensors = example().state_dict("net")
    del tensors[missing]
    with pytest.raises(KeyError, match=missing):
        ObservationNetwork.from_state_dict(tensors, "net")


@pytest.mark.parametrize("degree", [None, 1, 2])
def test_what_is_done_to_the_last_layer_is_done_to_the_outputs(degree: int | None) -> None:
    """Skip terms too; the network itself is left as it was."""
    net, observation = example() if degree is None else with_skip(degree), seen()
    before, plain = [t.clone() for t in net.parameters], net(observation)
    scaled = net.with_outputs(lambda tensor: -4.5 * tensor)
    torch.testing.assert_close(scaled(observation), -4.5 * plain)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters, before, strict=True))
    torch.testing.assert_close(net.sigma.with_outputs(torch.neg)(normal(2, 3, 10)), -net.sigma(normal(2, 3, 10)))
