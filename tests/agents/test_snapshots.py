"""When policies are kept along a training."""

import pytest
import torch

from nash_dqn.agents.snapshots import Snapshots
from nash_dqn.networks import ObservationNetwork
from nash_dqn.seeding import generator


def network(members: int) -> ObservationNetwork:
    return ObservationNetwork.create(5, 0, (), (3,), 1, [generator(k, "test_snapshots") for k in range(members)])


def taken(per_iteration: int, iterations: int) -> list[int]:
    """Joint transitions at which policies are kept in a training that plays so many in an iteration."""
    snapshots = Snapshots()
    for done in range(1, iterations + 1):
        if snapshots.due(done * per_iteration):
            snapshots.take(done * per_iteration, 0.0, [7], network(1))
    return [transitions for transitions, _ in snapshots.times]


def test_one_two_five() -> None:
    """The paper's budget of two million, and ten, are among them."""
    kept = [10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000]
    assert taken(1000, 10_500) == kept


@pytest.mark.parametrize(
    ("per_iteration", "kept"), [(3000, [12_000, 21_000, 51_000, 102_000]), (60_000, [60_000, 120_000])]
)
def test_the_first_iteration_at_or_after_each_counts_once(per_iteration: int, kept: list[int]) -> None:
    assert taken(per_iteration, 120_000 // per_iteration) == kept


def test_members_that_are_gone_or_not_finite_leave_none() -> None:
    snapshots = Snapshots()
    policies = network(2)
    policies.sigma.weights[0][1, 0, 0] = torch.nan
    snapshots.take(10_000, 1.5, [7, 9], policies)  # seed 8 has left, seed 9 is not finite
    assert [(taken.seed, taken.transitions) for taken in snapshots.taken] == [(7, 10_000)]
    assert torch.equal(snapshots.tensors()["actor.sigma.0.weight"], policies.sigma.weights[0][:1])
    assert snapshots.times == [(10_000, 1.5)]
