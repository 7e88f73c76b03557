"""Which trainings meet."""

import pytest

from nash_dqn.pairing import member_pairs


def test_pairs() -> None:
    for first, second, pairs in (
        # seeds that both have, wherever they stand
        ([1, 2, 3, 4, 5], [4, 2, 1], [(0, 2), (1, 1), (3, 0)]),
        # one training meets all of the other, whatever their seeds
        ([1, 2, 3], [1], [(0, 0), (1, 0), (2, 0)]),
        ([5], [1, 2], [(0, 0), (0, 1)]),
    ):
        assert member_pairs(first, second) == pairs


def test_policies_without_a_common_seed_do_not_meet() -> None:
    with pytest.raises(ValueError, match="seeds are 1, 2 and 3, 4: at least one"):
        member_pairs([1, 2], [3, 4])
    with pytest.raises(ValueError, match="and none:"):
        member_pairs([1, 2], [])
