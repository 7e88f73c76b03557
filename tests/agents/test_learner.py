"""An ensemble under one optimiser against each member under an optimiser of its own."""

import pytest
import torch
from torch import Tensor

from nash_dqn.agents.learner import Learner, clip_per_member
from nash_dqn.games.base import Observation
from nash_dqn.networks import ObservationNetwork
from nash_dqn.seeding import generator
from nash_dqn.trees import select, tensor_map

SEEDS = (1, 2, 3)
RATE, DECAY = 0.01, 0.1


def network(*seeds: int, skip: tuple[int, int] | None = None) -> ObservationNetwork:
    streams = [generator(seed, "test_learner") for seed in seeds]
    return ObservationNetwork.create(4, 2, (5,), (6,), 2, streams, skip)


def observation(step: int) -> Observation:
    """The same for every member, another at each step of the optimiser; of decision points 0, 1 and 2 in turn."""
    draw = torch.randn(20, 3, 6, generator=generator(step, "test_learner", "observation"))
    return Observation(draw[None, ..., :4], draw[None, ..., 4:], step % 3)


def loss(net: ObservationNetwork, seeds: tuple[int, ...], step: int) -> Tensor:
    """Sum over the members of mean (net - seed)^2: each has a target of its own, so gradients of its own size."""
    seen = tensor_map(lambda leaf: leaf.expand(len(seeds), *leaf.shape[1:]), observation(step))
    target = torch.tensor(seeds).view(-1, 1, 1, 1)
    return (net(seen) - target).square().flatten(1).mean(1).sum()


RATES = (1.0, 0.5, 0.25, 1.0, 0.0, 1.0)
"""Relative learning rates of six steps: any, and 1 again after less."""


def train(learner: Learner[ObservationNetwork], seeds: tuple[int, ...], steps: range) -> None:
    for step in steps:
        learner.step(loss(learner.network, seeds, step), RATES[step % 6])


def torch_alone(
    seed: int, clip: float | None, beta2: float = 0.999, other: list[Tensor] | None = None, renew: bool = False
) -> list[Tensor]:
    """A member's weights after six steps under torch's own AdamW; its decay shrinks with the rate.

    Where there are ``other`` weights it goes on from them after three steps, with a new optimiser or as it is.
    """
    net = tensor_map(lambda t: t.requires_grad_(), network(seed))

    def new_optimiser() -> torch.optim.AdamW:
        return torch.optim.AdamW(net.parameters, betas=(0.9, beta2), weight_decay=DECAY, foreach=False, fused=False)

    optimiser = new_optimiser()
    for step, rate in enumerate(RATES):
        if step == 3 and other is not None:
            for parameter, weight in zip(net.parameters, other, strict=True):
                parameter.data.copy_(weight)
            optimiser = new_optimiser() if renew else optimiser
        optimiser.zero_grad()
        loss(net, (seed,), step).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(net.parameters, clip)
        optimiser.param_groups[0]["lr"] = rate * RATE
        optimiser.step()
    return net.parameters


@pytest.mark.parametrize(("clip", "beta2"), [(0.5, 0.999), (None, 0.9)])
def test_adamw_agrees_with_torch_member_by_member(clip: float | None, beta2: float) -> None:
    learner = Learner.create(network(*SEEDS), RATE, DECAY, clip, beta2)
    train(learner, SEEDS, range(6))
    for k, seed in enumerate(SEEDS):
        for ours, theirs in zip(learner.network.parameters, torch_alone(seed, clip, beta2), strict=True):
            torch.testing.assert_close(ours[k : k + 1], theirs, rtol=2e-5, atol=2e-6)


def test_a_basis_is_not_trained() -> None:
    """Nor does weight decay reach it; it goes with its members."""
    bases = torch.randn(3, 3, 4, 4, generator=generator(4, "test_learner"))
    learner = Learner.create(network(*SEEDS)._replace(basis=bases), RATE, DECAY, None)
    train(learner, SEEDS, range(3))
    assert learner.network.basis is not None
    assert torch.equal(learner.network.basis, bases)
    learner = select(learner, [2, 0])
    snapshot = learner.snapshot()
    assert snapshot.basis is not None
    assert torch.equal(snapshot.basis, bases[[2, 0]])


def test_an_exploding_member_leaves_the_others_gradients_alone() -> None:
    gradients = [torch.ones(2, 3), torch.ones(2, 1)]
    gradients[0][1, 0] = torch.nan
    clipped = clip_per_member(gradients, 1.0)
    assert clipped[0][0].tolist() == pytest.approx([0.5] * 3, rel=1e-5)
    assert not clipped[1][1].isfinite().any()


def test_select_keeps_the_state_of_the_optimiser() -> None:
    """Five steps together, five more without the others: the same ten steps as alone."""
    kept, skip = (2, 1), (3, 2)
    learner = Learner.create(network(*SEEDS, skip=skip), RATE, DECAY, 0.5)
    train(learner, SEEDS, range(5))
    learner = select(learner, kept)
    seeds = tuple(SEEDS[k] for k in kept)
    train(learner, seeds, range(5, 10))
    for position, seed in enumerate(seeds):
        alone = Learner.create(network(seed, skip=skip), RATE, DECAY, 0.5)
        train(alone, (seed,), range(10))
        for ours, theirs in zip(learner.network.parameters, alone.network.parameters, strict=True):
            torch.testing.assert_close(ours[position : position + 1], theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("renew", [True, False])
def test_load_goes_on_from_other_weights(renew: bool) -> None:
    """With a new optimiser as a new learner would, or with its state kept as torch's AdamW does with other weights."""
    learner, other = Learner.create(network(1), RATE, DECAY, 0.5), network(7)
    train(learner, (1,), range(3))
    before = [t.clone() for t in other.parameters]
    learner = learner.with_network(other, renew)
    assert all(torch.equal(a, b) for a, b in zip(learner.network.parameters, before, strict=True))
    train(learner, (1,), range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(other.parameters, before, strict=True)), "it works on a copy"

    expected = torch_alone(1, 0.5, other=before, renew=renew)
    for ours, theirs in zip(learner.network.parameters, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-6)
