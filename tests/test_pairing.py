"""Which trainings meet."""

import pytest

from nash_dqn.pairing import member_pairs


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ([1, 2, 3], [1, 2, 3], [(0, 0), (1, 1), (2, 2)]),
        # seeds that both have, wherever they stand
        ([1, 2, 3, 4, 5], [4, 2, 1], [(0, 2), (1, 1), (3, 0)]),
        ([7, 9], [9, 8], [(1, 0)]),
        # one training meets all of the other, whatever their seeds
        ([1, 2, 3], [1], [(0, 0), (1, 0), (2, 0)]),
        ([5], [1, 2], [(0, 0), (0, 1)]),
        ([5], [1], [(0, 0)]),
    ],
)
def test_pairs(first: list[int], second: list[int], pairs: list[tuple[int, int]]) -> None:
    assert member_pairs(first, second) == pairs


@pytest.mark.parametrize(
    ("first", "second", "said"), [([1, 2], [3, 4], "seeds are 1, 2 and 3, 4: at least one"), ([1, 2], [], "and none:")]
)
def test_policies_without_a_common_seed_do_not_meet(first: list[int], second: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        member_pairs(first, second)
