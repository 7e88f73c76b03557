"""Numbers drawn by blocks against numbers drawn one iteration after the other."""

import pytest
import torch

from nash_dqn.agents.noise import Leaves, Noise
from nash_dqn.seeding import generator
from nash_dqn.trees import select

SEEDS = (3, 8)
LEAVES: Leaves = {"environment": (torch.randn, (4, 6)), "opponents": (torch.rand, (5,))}


def test_members_draw_from_their_own_named_streams() -> None:
    """Each leaf is what torch draws for a block from the stream (seed, algorithm, leaf), and no other leaf moves it."""
    noise = Noise.create(SEEDS, "toy", LEAVES)
    drawn = [noise.draw(LEAVES, iteration, "cpu") for iteration in range(120)]
    for k, seed in enumerate(SEEDS):
        for position, (name, (sample, shape)) in enumerate(LEAVES.items()):
            stream = generator(seed, "toy", name)
            blocks = torch.cat([sample((50, *shape), generator=stream) for _ in range(3)])
            assert torch.equal(torch.stack([leaves[position][k] for leaves in drawn]), blocks[:120])


@pytest.mark.parametrize("at", [20, 50, 70])
def test_a_member_draws_the_same_without_the_others(at: int) -> None:
    together, alone = Noise.create(SEEDS, "toy", LEAVES), Noise.create(SEEDS[1:], "toy", LEAVES)
    for iteration in range(120):
        if iteration == at:
            together = select(together, [1])
        for ours, theirs in zip(
            together.draw(LEAVES, iteration, "cpu"), alone.draw(LEAVES, iteration, "cpu"), strict=True
        ):
            assert torch.equal(ours[-1], theirs[0])
