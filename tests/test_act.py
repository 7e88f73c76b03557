"""``nash-dqn act``: actions and parameters against the library's own view of states that were played."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nash_dqn.advantage import P11Form, label_invariant_advantage, output_size, unpack
from nash_dqn.agents.training import describe
from nash_dqn.artifacts import write_tensors
from nash_dqn.cli import main
from nash_dqn.games.base import FeatureScales, Observation, ObservationSpec
from nash_dqn.games.market import Market, MarketState
from nash_dqn.policy import load_policy
from nash_dqn.seeding import generator
from tests.common import SHORT
from tests.weights import FULL, META, SEEDS, answered, network, refused, write_networks, write_record

GAME = dataclasses.replace(SHORT, n_agents=4)
SCALES = FeatureScales(time_centre=0.7, time=1.3, price=0.2, impact=0.04, flow=1.7, inventory=4.5)
SPECS = [  # every pair of options
    ObservationSpec("S", "total", False, "private"),
    ObservationSpec("S", "others_mean", True, "private"),
    ObservationSpec("S", "others_mean", False, "visible"),
    ObservationSpec("S-Y", "total", True, "visible"),
    ObservationSpec("S-Y", "others_mean", False, "private"),
    dataclasses.replace(FULL, scales=SCALES),
]
STEP, AGENT = 2, 2
Capture = pytest.CaptureFixture[str]


def training(
    folder: Path, spec: ObservationSpec, algorithm: str = "nash_dqn", game: Market = GAME, p11: P11Form = "cholesky"
) -> Path:
    """A folder as a training leaves it, as far as ``act`` reads it."""
    names = {"advantage": output_size(1), "value": 1} if algorithm == "nash_dqn" else {"actor": 1}
    networks = {name: network(spec, size, game) for name, size in names.items()}
    bound = 1.0 if algorithm == "fictitious_play" else None
    write_networks(folder / "weights.safetensors", networks, spec, algorithm, bound)
    write_record(folder, algorithm=algorithm, game=game, recipe={"p11": p11})
    return folder


def played(game: Market = GAME) -> MarketState:
    """A state after two steps at random rates, as every member sees it, leaves ``[K, 1, ...]``."""
    stream = generator(3, "test_act", "game")
    shocks = game.sample_shocks(1, stream).map(lambda leaf: leaf.expand(len(SEEDS), *leaf.shape))
    state = game.reset(shocks)
    for _ in range(STEP):
        rates = torch.randn(1, 1, game.n_agents, 1, generator=stream).expand(len(SEEDS), 1, -1, -1)
        state, _ = game.step(state, 3 * rates, shocks)
    return state


def options(state: MarketState, agent: int = AGENT) -> dict[str, str]:
    """The state as its agent would type it."""
    held, flow = state.inventory[0, 0], (state.inventory - state.initial_inventory)[0, 0]
    others = [j for j in range(len(held)) if j != agent]
    return {
        "--time": str(state.step * 0.5),
        "--price": repr(state.price[0, 0].item()),
        "--impact": repr(state.impact[0, 0].item()),
        "--inventory": repr(held[agent].item()),
        "--order-flow": repr(flow.sum().item()),
        "--own-flow": repr(flow[agent].item()),
        "--others-inventory": ",".join(repr(held[j].item()) for j in others),
        "--others-flow": ",".join(repr(flow[j].item()) for j in others),
    }


def line(folder: Path, given: dict[str, str], *more: str) -> list[str]:
    return ["act", "--policy", str(folder), *(word for pair in given.items() for word in pair), *more]


def actions(answer: dict[str, Any]) -> list[float]:
    return [member["action"] for member in answer["members"]]


def theirs(path: Path, game: Market, state: MarketState, agent: int) -> Any:
    """The library's own actions, of each member."""
    expected = load_policy(path / "weights.safetensors").act(game, state)[:, 0, agent, 0].tolist()
    return pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("algorithm", ["nash_dqn", "fictitious_play"])
def test_actions_and_parameters_in_a_played_state(algorithm: str, tmp_path: Path, capsys: Capture) -> None:
    state = played()
    for number, spec in enumerate(SPECS):
        folder = training(tmp_path / str(number), spec, algorithm)
        answer = answered(capsys, *line(folder, options(state)))
        members = answer["members"]
        assert [member["seed"] for member in members] == SEEDS
        assert actions(answer) == theirs(folder, GAME, state, AGENT)
        assert len({round(action, 6) for action in actions(answer)}) > 1  # not all at the bound, nor one member thrice
        assert (answer["policy"], answer["scenario"], answer["algorithm"]) == ("mine", "toy", algorithm)
        assert (answer["state"]["step"], members[1]["ended"]) == (STEP, "diverged")
        assert ("advantage" in members[0]) == (algorithm == "nash_dqn")
        if algorithm == "nash_dqn":
            check_parameters(members, spec, GAME.observe(state, spec))


def check_parameters(
    members: list[dict[str, Any]], spec: ObservationSpec, observation: Observation, p11: P11Form = "cholesky"
) -> None:
    """Those of the library, and, in the formula that --help gives, its advantage function."""
    expected = unpack(network(spec, output_size(1), GAME)(observation), 1, p11)
    here = {name: getattr(expected, name)[:, 0, AGENT].flatten() for name in ("mu", "p11", "p12", "p22", "psi")}
    printed = {
        name: torch.tensor([m["advantage"][name] for m in members]) for name in ("mu", "P11", "P12", "P22", "psi")
    }
    for name, values in printed.items():
        torch.testing.assert_close(values, here[name.lower()], rtol=1e-3, atol=1e-3)
    delta = torch.tensor([0.3, -0.5, 0.7, 1.1])
    d, others = delta[AGENT], delta[[0, 1, 3]]
    linear, squares = others.sum(), others.square().sum()
    formula = -printed["P11"] * d**2 - printed["P12"] * d * linear - printed["P22"] * squares + printed["psi"] * linear
    whole = label_invariant_advantage(delta.expand(len(SEEDS), 1, -1).unsqueeze(-1), expected)
    torch.testing.assert_close(formula, whole[:, 0, AGENT], rtol=1e-2, atol=1e-2)


def test_p11_is_made_as_the_record_says(tmp_path: Path, capsys: Capture) -> None:
    """And is not given where nothing says how."""
    spec, state = ObservationSpec(), played()
    folder, given = training(tmp_path, spec, p11="absolute"), options(state)
    members = answered(capsys, *line(folder, given))["members"]
    check_parameters(members, spec, GAME.observe(state, spec), "absolute")
    with pytest.raises(AssertionError):
        check_parameters(members, spec, GAME.observe(state, spec))
    write_record(folder, game=GAME)
    untold = answered(capsys, *line(folder, given))["members"]
    for member, full in zip(untold, members, strict=True):
        assert member["advantage"] == {name: value for name, value in full["advantage"].items() if name != "P11"}
    assert main(line(folder, given)) == 0
    assert "P12" in (text := capsys.readouterr().out) and "P11" not in text


def test_how_the_flow_is_spread_over_the_others_is_not_seen(tmp_path: Path, capsys: Capture) -> None:
    folder, given = training(tmp_path, ObservationSpec()), options(played())
    whole = actions(answered(capsys, *line(folder, given)))
    for option in ("--others-flow", "--others-inventory", "--own-flow"):
        del given[option]
        assert actions(answered(capsys, *line(folder, given))) == pytest.approx(whole, rel=1e-4, abs=1e-5)
    del given["--order-flow"]
    assert actions(answered(capsys, *line(folder, given)))[0] != pytest.approx(whole[0], rel=1e-2)


def test_at_time_0_nothing_has_been_traded(tmp_path: Path, capsys: Capture) -> None:
    folder = training(tmp_path, FULL)
    start = {"--time": "0", "--price": "10.5", "--inventory": "-3", "--impact": "-1e-2"}
    start["--others-inventory"] = "-1,2,.5"
    held = torch.tensor([-3.0, -1.0, 2.0, 0.5])
    state = MarketState(0, torch.tensor(10.5), torch.tensor(-0.01), held, held)
    state = MarketState(0, *(leaf.expand(3, 1, *leaf.shape) for leaf in state[1:]))
    answer = answered(capsys, *line(folder, start))
    assert actions(answer) == theirs(folder, GAME, state, 0)
    assert answer["state"]["order_flow"] == 0


def test_a_lone_trader(tmp_path: Path, capsys: Capture) -> None:
    """Its flow is all there is, by either option; nobody else is asked for."""
    alone = dataclasses.replace(GAME, n_agents=1)
    folder, state = training(tmp_path, FULL, game=alone), played(alone)
    given = {key: value for key, value in options(state, 0).items() if not key.startswith("--others")}
    assert actions(answered(capsys, *line(folder, given))) == theirs(folder, alone, state, 0)
    assert "--order-flow: got 9, expected" in refused(capsys, *line(folder, {**given, "--order-flow": "9"}))


def test_seed_text_and_snapshots(tmp_path: Path, capsys: Capture) -> None:
    folder, given = training(tmp_path, ObservationSpec()), options(played())
    every = answered(capsys, *line(folder, given))["members"]
    assert answered(capsys, *line(folder, given, "--seed", "1"))["members"] == every[1:2]
    assert main(line(folder, given, "--seed", "7")) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[-1].split()[:3] == ["7", "early_stopping", f"{every[2]['action']:.4g}"]

    path, spec = tmp_path / "kept", ObservationSpec()
    tensors = network(spec, 1, GAME).state_dict("actor")
    write_tensors(path, tensors, describe("nash_dqn", spec, [5, 5, 1], 1, None, **META, transitions=[10, 20, 20]))
    kept = answered(capsys, *line(path, given, "--seed", "5"))["members"]
    assert [(member["seed"], member["transitions"], member["ended"]) for member in kept] == [
        (5, 10, None),
        (5, 20, None),
    ]


def test_an_advantage_function_that_sees_more_than_the_policy(tmp_path: Path, capsys: Capture) -> None:
    """Agents play an actor; the advantage function is of what the critic sees, which the record tells."""
    plain, state = ObservationSpec(), played()
    networks = {"advantage": network(FULL, output_size(1), GAME), "actor": network(plain, 1, GAME)}
    write_networks(tmp_path / "weights.safetensors", networks, plain)
    write_record(tmp_path, game=GAME, recipe={"critic": dataclasses.asdict(FULL), "p11": "cholesky"})
    given = options(state)
    answer = answered(capsys, *line(tmp_path, given))
    expected = networks["actor"](GAME.observe(state, plain))[:, 0, AGENT, 0].tolist()
    assert actions(answer) == pytest.approx(expected, rel=1e-3, abs=1e-3)
    check_parameters(answer["members"], FULL, GAME.observe(state, FULL))
    del given["--others-flow"]
    fewer = answered(capsys, *line(tmp_path, given))
    assert "advantage" not in fewer["members"][0]
    assert fewer["advantage_needs"].startswith("--others-flow: missing")
    assert actions(fewer) == pytest.approx(actions(answer), rel=1e-6)


REFUSED: list[tuple[dict[str, str | None], str]] = [
    ({"--time": "0.7"}, "--time: got 0.7, expected a decision point, one of 0, 0.5, 1, 1.5 hours"),
    ({"--price": "ten"}, "--price: got 'ten', expected a finite number"),
    ({"--price": "nan"}, "--price: got 'nan', expected a finite number"),
    ({"--price": "1e308"}, "--price: got 1e+308, expected a number from which the policy's do not overflow"),
    ({"--policy": ""}, "--policy: got '', expected a file or folder"),
    ({"--others-inventory": "1,2"}, "--others-inventory: got 2 numbers, expected 3"),
    ({"--others-inventory": "1,,2"}, "--others-inventory: got '1,,2', expected finite numbers with commas"),
    ({"--order-flow": "99"}, "--order-flow: got 99, expected"),
    ({"--others-inventory": None}, "--others-inventory: missing, expected 3 numbers"),
    ({"--own-flow": None, "--order-flow": None}, "--own-flow: missing, expected a number"),
    ({"--inventory": None}, "the following arguments are required: --inventory"),
    ({"--seed": "2"}, "--seed: got 2, expected one of {policy}: 5, 1, 7"),
    ({"--seed": "1.5"}, "--seed: got '1.5', expected a whole number"),
    ({"--scenario": "toy"}, "--scenario: got 'toy' without --config, expected both or neither"),
    ({"--policy": "nowhere"}, "nowhere: no such file"),
]


def test_what_is_refused(tmp_path: Path, capsys: Capture) -> None:
    path, state = training(tmp_path, FULL) / "weights.safetensors", options(played())
    for changes, expected in REFUSED:
        given = {"--policy": str(path), **state, **changes}
        words = [word for key, value in given.items() if value is not None for word in (key, value)]
        assert refused(capsys, "act", *words).startswith(f"nash-dqn act: {expected.format(policy=path)}"), changes


def test_the_market_of_a_configuration(tmp_path: Path, capsys: Capture) -> None:
    folder, given, state = training(tmp_path, ObservationSpec()), options(played()), played()
    (folder / "run.json").unlink()
    assert "act: --config: missing, expected a configuration" in refused(capsys, *line(folder, given))
    config, market = tmp_path / "config.yaml", dataclasses.asdict(GAME)
    wide = {"game": "market.Market", **market, "theta": 9.0}
    markets = {
        "toy": market,
        "wide": wide,
        "short": {**market, "n_steps": 2},
        "bad": {"theta": 1},
        "two": {"game": "traders.Traders"},
    }
    config.write_text(json.dumps({"scenarios": markets}))  # JSON is YAML
    given["--config"] = str(config)
    for name, theta, more in (("toy", 10.0, []), ("wide", 9.0, ["--scenario", "wide"])):
        answer = answered(capsys, *line(folder, given, *more))
        assert answer["scenario"] == name
        assert actions(answer) == theirs(folder, dataclasses.replace(GAME, theta=theta), state, AGENT)
    for name, expected in {
        "tox": "a name from scenarios (toy, wide, short, bad, two)",
        "short": "a market of 4 decision points",
        "bad": "market bad:",
        "two": "--scenario: got 'two', which is of traders.Traders, expected a market",
    }.items():
        at = {**given, "--time": "0", "--scenario": name}
        assert expected in refused(capsys, *line(folder, at))
    config.write_text("seeds: [1]\n")
    assert "scenarios: missing" in refused(capsys, *line(folder, given))


def test_files_that_do_not_belong_together(tmp_path: Path, capsys: Capture) -> None:
    folder, given = training(tmp_path / "run", ObservationSpec()), options(played())
    found = refused(capsys, *line(folder / "run.json", given))  # not damaged weights, to be made anew
    assert f"{folder / 'run.json'}: no weights; give weights.safetensors, or the training's folder" in found
    write_record(folder, algorithm="fictitious_play")
    assert "run.json: of another training (algorithm 'fictitious_play'" in refused(capsys, *line(folder, given))
    write_record(folder)
    path = folder / "weights.safetensors"
    write_networks(path, {"actor": network(FULL, 1, GAME)}, ObservationSpec())  # of more features than it says it sees
    assert "its network does not take the 5 own and 0 shared features" in refused(capsys, *line(folder, given))
    below = refused(capsys, *line(folder.parent, given))
    assert f"no weights.safetensors in it; give one of {path}" in below
    (folder / "empty").mkdir()
    assert "no weights.safetensors in it, nor any below it" in refused(capsys, *line(folder / "empty", given))
