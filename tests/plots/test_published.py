import math

import pytest

from nash_dqn import published
from nash_dqn.evaluation.cross_play_tests import PAIRS, PROFILES


def test_the_papers_best_beta_is_the_lowest_point_of_its_curve() -> None:
    losses = published.FIG1_LOSS
    assert min(losses, key=lambda beta: losses[beta].value) == published.FIG1_BEST_BETA


def test_profiles_and_pairs_have_the_names_of_the_tables() -> None:
    pairs = {f"{first}-{second}" for first, second in PAIRS}
    assert set(published.FIG3_MEANS) == set(published.RELEASED_WEIGHTS_MEANS) == set(PROFILES)
    assert set(published.RELEASED_WEIGHTS_PAIRED) == pairs


def test_measurements_of_the_released_weights_agree_with_each_other_and_the_papers_means() -> None:
    """Within three standard errors; the paper's means have one of about 0.09 / sqrt(100), beside the reading's."""
    measured = published.RELEASED_WEIGHTS_MEANS
    for first, second in PAIRS:
        unpaired = measured[first].value - measured[second].value
        error = math.hypot(measured[first].uncertainty, measured[second].uncertainty)
        assert abs(unpaired - published.RELEASED_WEIGHTS_PAIRED[f"{first}-{second}"].value) < 3 * error
    for profile, read in published.FIG3_MEANS.items():
        error = 3 * math.hypot(0.009, measured[profile].uncertainty) + read.uncertainty
        assert abs(measured[profile].value - read.value) < error


def test_interval_covers_95_percent_of_an_error_and_all_of_a_reading() -> None:
    error = published.Published(1.0, 0.1, "standard error", "")
    reading = published.Published(1.0, 0.1, "reading", "")
    assert error.interval() == pytest.approx((1 - 0.196, 1 + 0.196))
    assert reading.interval() == pytest.approx((0.9, 1.1))


def test_every_number_names_its_source_and_uncertainty() -> None:
    tables = (
        published.FIG1_LOSS,
        published.FIG3_MEANS,
        published.RELEASED_WEIGHTS_MEANS,
        published.RELEASED_WEIGHTS_PAIRED,
        published.RELEASED_WEIGHTS_EXPLOITABILITY,
    )
    for table in tables:
        for number in table.values():
            assert number.uncertainty > 0
            assert number.source
