"""What holds for every test: one thread, no window, and no use of a global random state."""

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports matplotlib

import numpy as np
import pytest
import torch

import nash_dqn
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import MLP, ObservationNetwork
from nash_dqn.policy import Policy

_PACKAGE = Path(nash_dqn.__file__).parent
_OWN = Path(__file__).resolve().parents[1] / "src" / "nash_dqn"
if _PACKAGE.resolve() != _OWN and _PACKAGE.parent.name != "site-packages":  # where it is installed for good, on purpose
    pytest.exit(
        f"these tests would try {_PACKAGE}, not {_OWN}: pip install --no-deps --editable '{_OWN.parents[1]}'", 4
    )

LONGEST = ("test_requests.py", "test_edits.py", "test_repeat.py", "test_run.py")
LONGEST += ("test_checkpoint.py", "test_nash_dqn.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: no worker is to be left alone with one at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


torch.set_num_threads(1)  # the suite itself runs on all cores; threads that spin would slow it many times over


def _global_states() -> tuple[bytes, bytes]:
    return torch.get_rng_state().numpy().tobytes(), pickle.dumps(np.random.get_state())  # noqa: NPY002


@pytest.fixture(autouse=True)
def _no_global_random_numbers() -> Iterator[None]:
    """Fail a test that draws from (or seeds) a global generator: earlier tests would sway it."""
    torch_before, numpy_before = _global_states()
    yield
    torch_after, numpy_after = _global_states()
    assert torch_after == torch_before, "the test used torch's global generator"
    assert numpy_after == numpy_before, "the test used NumPy's global generator"


@pytest.fixture
def market() -> Market:
    """Three agents, four steps, discounting, every parameter different from zero and from one another."""
    return Market(
        n_agents=3,
        horizon=2.0,
        n_steps=4,
        kappa=0.5,
        theta=10.0,
        sigma=0.1,
        gamma=0.02,
        rho=0.7,
        eta=0.05,
        b1=0.11,
        b2=0.13,
        b3=0.03,
        discount=0.9,
        impact="sqrt",
        price_floor=0.01,
        initial_inventory_var=50.0,
        initial_price_sd=0.3,
        initial_impact_sd=0.06,
    )


@pytest.fixture
def linear() -> Callable[..., Policy]:
    """Build a policy of K members: rate = weights . features + bias, one pair of weights and bias per member.

    Further arguments are the policy's ``meta``.

    Features, standardised: time, price, transient impact, order flow, own inventory(, own flow or others).
    """

    def build(
        weights: Sequence[Sequence[float]],
        biases: Sequence[float] | None = None,
        spec: ObservationSpec | None = None,
        algorithm: str = "nash_dqn",
        bound: float | None = None,
        **meta: Any,
    ) -> Policy:
        weight = torch.tensor(weights).unsqueeze(-1)
        bias = torch.tensor(biases or [0.0] * len(weights)).view(-1, 1, 1)
        network = ObservationNetwork(None, MLP([weight], [bias]))
        seeds = list(range(1, len(weights) + 1))
        return Policy(network, spec or ObservationSpec(), seeds, algorithm, bound, meta)

    return build
