"""What holds for every test: one thread, no window, and no use of a global random state."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports matplotlib

import numpy as np
import pytest
import torch

import nash_dqn

_PACKAGE = Path(nash_dqn.__file__).parent
_OWN = Path(__file__).resolve().parents[1] / "src" / "nash_dqn"
if _PACKAGE.resolve() != _OWN and _PACKAGE.parent.name != "site-packages":  # where it is installed for good, on purpose
    pytest.exit(
        f"these tests would try {_PACKAGE}, not {_OWN}: pip install --no-deps --editable '{_OWN.parents[1]}'", 4
    )

LONGEST = ["test_requests.py", "test_edits.py", "test_repeat.py", "test_run.py"]
LONGEST += ["test_nash_equilibria.py", "test_released_code.py", "test_checkpoint.py"]


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
