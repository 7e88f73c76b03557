"""The authors' released weights: their numbers, where the files are at hand, and files that are not theirs."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nash_dqn import authors
from nash_dqn.act import summarise as answer
from nash_dqn.advantage import unpack
from nash_dqn.agents.episodes import play_episodes
from nash_dqn.agents.nash_dqn import LOSS_EPISODES, bellman_residuals, exploring
from nash_dqn.artifacts import ArtifactError
from nash_dqn.config import AUTHORS_FILES, ConfigError, authors_files, game_of
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.evaluation.exploitability import evaluate as exploitability
from nash_dqn.evaluation.rollout import play
from nash_dqn.games.base import FeatureScales, ObservationSpec
from nash_dqn.games.market import Market, MarketState
from nash_dqn.policy import Policy, load_policy
from nash_dqn.published import AUTHORS_POLICIES, RELEASED_WEIGHTS_MEANS, RELEASED_WEIGHTS_PAIRED
from nash_dqn.seeding import generator
from nash_dqn.show import render
from nash_dqn.summary import summarise
from tests.common import CONFIG, ROOT

GAME = Market(**game_of(CONFIG, "code")["settings"])
HIDDEN = [32] * 5
FIRST, REST, ALL = slice(0, 1), slice(1, None), slice(None)


def released_net(outputs: int, seed: int, size: float = 1.0) -> nn.Sequential:
    """A network of the shape that was released, made by PyTorch's own modules; its outputs are of about that size."""
    sizes, layers = [5, *HIDDEN, outputs], []
    stream = generator(seed, "test_authors")
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        for parameter in linear.parameters():
            nn.init.normal_(parameter, std=0.4 * (size if fan_out == outputs else 1.0), generator=stream)
        layers += [linear, nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def state_of(net: nn.Sequential, name: Callable[[int], str]) -> dict[str, Tensor]:
    """Its tensors under other names: of the layer with that number, from 0."""
    return {
        f"{name(at // 2)}.{kind}": getattr(net[at], kind).detach()
        for at in range(0, len(net), 2)
        for kind in ("weight", "bias")
    }


def decoder(layer: int) -> str:
    return f"decoder_net.{2 * layer}"


def actor(layer: int) -> str:
    return "policy_net.5" if layer == 5 else f"policy_net.{layer}.0"


NETS = {"action": released_net(5, 1), "value": released_net(1, 2), "fp": released_net(1, 3, size=10.0)}
NAMES = {"action": decoder, "value": decoder, "fp": actor}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with made-up weights in three files."""
    made = tmp_path / "weights"
    made.mkdir()
    for key, name in AUTHORS_FILES.items():
        torch.save(state_of(NETS[key], NAMES[key]), made / name)
    return made


def written(files: dict[str, str], folder: Path) -> dict[str, Policy]:
    """Nash-DQN's and fictitious play's policy, written and read again."""
    nash, fp = [files["action"], files["value"]], [files["fp"]]
    for released, read in ((authors.read_nash(*nash), nash), (authors.read_fp(*fp), fp)):
        own = folder / released.policy.name
        authors.write(released, read, GAME, "code", own / "weights.safetensors", own / "run.json")
    return {name: load_policy(folder / name / "weights.safetensors") for name in AUTHORS_POLICIES}


def played() -> MarketState:
    """A state after some trading, leaves ``[1, 7, ...]``."""
    stream = generator(4, "test_authors")
    shocks = GAME.sample_shocks(7, stream).map(lambda leaf: leaf[None])
    state = GAME.reset(shocks)
    for _ in range(3):
        state, _ = GAME.step(state, 3 * torch.randn(1, 7, 5, 1, generator=stream), shocks)
    return state


def features(state: MarketState, price: float, inventory: float, impact: float, flow: float) -> Tensor:
    """The released code's features ``[1, 7, 5, 5]``, in its order, of a state after 1.5 hours; the scales are given."""
    bought = state.inventory - state.initial_inventory
    others = (bought.sum(-1, keepdim=True) - bought) / 4
    columns = [
        torch.full_like(bought, (5 - 1.5 - 2.25) / 1.43614),
        ((state.price - state.impact - 10) / price).unsqueeze(-1).expand_as(bought),
        state.inventory / inventory,
        (state.impact / impact).unsqueeze(-1).expand_as(bought),
        others / flow,
    ]
    return torch.stack(columns, -1)


def test_policies_are_those_of_the_networks_in_the_files(folder: Path, tmp_path: Path) -> None:
    """Against PyTorch's own modules on the released code's features."""
    files, state = authors_files(folder), played()
    policies = written(files, tmp_path)
    of_nash = features(state, price=0.742042, inventory=2.5, impact=0.1, flow=1.0)
    of_fp = features(state, price=0.742042, inventory=4.512415, impact=0.330682, flow=4.512415)
    with torch.no_grad():
        c1, c2, c3, c4, mu = NETS["action"](of_nash).unbind(-1)
        value, rates = NETS["value"](of_nash), 4.512415 * NETS["fp"](of_fp)
    close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(policies["authors-nash"].act(GAME, state)[..., 0], mu, **close)
    assert 0 < (rates.abs() > 50).float().mean() < 1
    torch.testing.assert_close(policies["authors-fp"].act(GAME, state), rates.clamp(-50, 50), **close)
    networks = authors.read_nash(files["action"], files["value"]).networks
    seen = GAME.observe(state, authors.NASH)
    torch.testing.assert_close(networks["value"](seen), value, **close)
    found = unpack(networks["advantage"](seen), 1, "absolute")
    for ours, theirs in zip(found, (mu, c1.abs(), c2, c3, c4), strict=True):
        torch.testing.assert_close(ours.reshape(mu.shape), theirs, **close)


def test_the_files_say_what_they_are(folder: Path, tmp_path: Path) -> None:
    policies = written(authors_files(folder), tmp_path)
    assert {policy.name: policy.algorithm for policy in policies.values()} == {
        "authors-nash": "nash_dqn", "authors-fp": "fictitious_play"
    }  # fmt: skip
    shown = summarise(tmp_path / "authors-nash")
    assert list(shown["networks"]) == ["actor", "advantage", "value"]
    assert "wall_seconds" not in shown
    assert "released" in render(shown)
    found = answer(tmp_path / "authors-nash", time=1.5, price=10.1, inventory=3.0, own_flow=1.0)
    (member,) = found["members"]
    assert member["ended"] == "released"
    assert member["action"] == pytest.approx(member["advantage"]["mu"], rel=1e-5)
    held, bought = torch.tensor([[3.0, 0, 0, 0, 0]]), torch.tensor([[1.0, *([-0.25] * 4)]])
    state = MarketState(3, torch.tensor([10.1]), torch.tensor([0.0]), held, held - bought)
    seen = GAME.observe(state, authors.NASH).map(lambda leaf: leaf[None])
    raw = authors.read_nash(folder / "Action_Net.pt", folder / "Value_Net.pt").networks["advantage"](seen, FIRST)
    assert member["advantage"]["P11"] == pytest.approx(raw[..., 1].abs().item(), rel=1e-4)


class Code:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_is_refused_and_does_not_run(folder: Path, tmp_path: Path) -> None:
    path, trace = folder / "pol_net_it.pt", tmp_path / "trace"
    torch.save({**state_of(NETS["fp"], actor), "extra": Code(trace)}, path)
    with pytest.raises(ArtifactError) as caught:
        authors.read_fp(path)
    assert str(caught.value).startswith(f"authors: {path}: no state dictionary that can be read without running code (")
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def change(**changes: Any) -> dict[str, Any]:
    """Fictitious play's tensors with some of them changed, or left out where they are None."""
    state = {**state_of(NETS["fp"], actor), **{key.replace("__", "."): value for key, value in changes.items()}}
    return {key: value for key, value in state.items() if value is not None}


def test_other_files_are_refused_in_one_line(folder: Path) -> None:
    path = folder / "pol_net_it.pt"
    wrong_shape = "policy_net.5.weight: got torch.float32 [5, 32], expected torch.float32 [1, 32]; give the file as"
    others: list[tuple[Any, str]] = [
        (change(policy_net__5__bias=None), "policy_net.5.bias is missing, expected policy_net.0.0.weight, "),
        (change(policy_net__5__weight=torch.zeros(5, 32)), wrong_shape),
        (change(policy_net__5__bias=[0.0]), "policy_net.5.bias: got list, expected torch.float32 [1]"),
        (change(policy_net__5__bias=torch.tensor([torch.nan])), "policy_net.5.bias: got numbers that are not finite"),
        (torch.zeros(3), "got Tensor, expected a state dictionary"),
        (b"no pickle", "no state dictionary that can be read without running code ("),
        (None, "no such file"),
    ]
    for content, message in others:
        path.unlink()
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            torch.save(content, path)
        with pytest.raises(ArtifactError) as caught:
            authors.read_fp(path)
        assert str(caught.value).startswith(f"authors: {path}: {message}")
        assert "\n" not in str(caught.value)


def test_files_are_found_in_the_folder_and_below_it(folder: Path, tmp_path: Path) -> None:
    below = tmp_path / "a checkout" / "files"
    below.parent.mkdir()
    folder.rename(below)
    hidden = below.parent / ".git"
    hidden.mkdir()
    (hidden / "Value_Net.pt").write_bytes(b"")
    expected = {key: str(below / name) for key, name in AUTHORS_FILES.items()}
    assert authors_files(below) == authors_files(below.parent) == expected
    (below / "old").mkdir()
    (below / "old" / "Value_Net.pt").write_bytes(b"")
    assert authors_files(below) == expected
    message = f"several are called Value_Net.pt: {below / 'Value_Net.pt'}, {below / 'old' / 'Value_Net.pt'}"
    with pytest.raises(ConfigError, match=f"{re.escape(message)}$"):
        authors_files(below.parent)


def test_what_is_missing_is_said(folder: Path, tmp_path: Path) -> None:
    expected = "expected a folder with Action_Net.pt, Value_Net.pt, pol_net_it.pt in it or below it, but"
    absent = tmp_path / "absent"
    with pytest.raises(ConfigError, match=f'^authors: got "{absent}", {expected} there is no such folder$'):
        authors_files(absent)
    (folder / "Value_Net.pt").unlink()
    with pytest.raises(ConfigError, match=f'^authors: got "{folder}", {expected} Value_Net.pt is missing$'):
        authors_files(folder)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, Policy]]:
    """The released files and policies."""
    where = Path(os.environ.get("NASH_DQN_AUTHORS", ROOT.parent / "shared" / "authors"))
    if not where.is_dir():
        pytest.skip(f"{where}: not there; NASH_DQN_AUTHORS names another folder with the authors' weights")
    files = authors_files(where)
    return files, written(files, tmp_path_factory.mktemp("authors"))


Theirs = tuple[dict[str, str], dict[str, Policy]]


def test_rewards_are_those_simulated_independently(theirs: Theirs) -> None:
    """On 50,000 common paths, against the values of an independent simulation and both standard errors."""
    nash, fp = theirs[1].values()
    profiles = {
        "all_other": [(fp, ALL)],
        "first_nash": [(nash, FIRST), (fp, REST)],
        "first_other": [(fp, FIRST), (nash, REST)],
        "all_nash": [(nash, ALL)],
    }
    shocks = GAME.sample_shocks(50_000, generator(5, "test_authors"))
    rewards = {name: play(GAME, profile, shocks)[0, :, 0].double() for name, profile in profiles.items()}

    def error(x: Tensor) -> float:
        return float(x.std() / len(x) ** 0.5)

    for name, known in RELEASED_WEIGHTS_MEANS.items():
        mine = rewards[name]
        assert abs(float(mine.mean()) - known.value) < 3 * (error(mine) ** 2 + known.uncertainty**2) ** 0.5, name
    for pair, known in RELEASED_WEIGHTS_PAIRED.items():
        deviation, base = pair.split("-")
        mine = rewards[deviation] - rewards[base]
        assert abs(float(mine.mean()) - known.value) < 3 * (error(mine) ** 2 + known.uncertainty**2) ** 0.5, pair
        assert abs(float(mine.mean())) > 30 * error(mine)


def test_the_plotting_notebook_s_scales_fit_nash_dqn_and_the_training_notebook_s_do_not(theirs: Theirs) -> None:
    """Known: about 20 and 1,640 for ten episodes with noise of 0.5; here the mean over 1,000 episodes."""
    files, _ = theirs
    advantage, value = (authors.read_nash(files["action"], files["value"]).networks[n] for n in ("advantage", "value"))
    own = {"price": 0.742042 * 0.2763, "impact": 0.1 * 0.4225, "flow": 1.6726, "inventory": 2.5 * 1.8078}
    scales = FeatureScales(time_centre=2.25, time=1.43614, **own)
    training = ObservationSpec("S-Y", "others_mean", scales=scales)
    stream = generator(6, "test_authors")
    shocks = GAME.sample_shocks(1000, stream).map(lambda leaf: leaf[None])
    noise = 0.5 * torch.randn(1, 1000, GAME.n_steps, GAME.n_agents, 1, generator=stream)
    for spec, low, high in ((authors.NASH, 16.0, 24.0), (training, 1200.0, 2100.0)):
        episodes = play_episodes(GAME, spec, exploring(advantage, noise), shocks)
        with torch.no_grad():
            residuals = bellman_residuals(GAME, advantage, value, episodes, "absolute")
        assert low < LOSS_EPISODES * float(residuals.square().sum((2, 3)).mean()) < high


def test_a_deviator_gains_against_them(theirs: Theirs) -> None:
    """A short training finds most of what a long one does: 0.125 and 0.107 with memory; it can find no more."""
    settings = BestResponseSettings(
        hidden=(32, 32), iterations=100, episodes=16, learning_rate=0.05, restarts=1, seed=8
    )
    least = {"authors-nash": (0.08, 0.125), "authors-fp": (0.06, 0.107)}
    for policy in theirs[1].values():
        row = exploitability(GAME, policy, settings, 5000, 100, deviators=["memory"], players=[0]).iloc[0]
        low, high = least[policy.name]
        assert row["gain"] > low and row["low"] < high
