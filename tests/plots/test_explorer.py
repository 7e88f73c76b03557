"""The page computes what the library does: in a browser, its own functions are asked and the answers compared."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nash_dqn.advantage import output_size, unpack
from nash_dqn.agents.training import describe
from nash_dqn.artifacts import ArtifactError, read_tensors, run_record, write_json, write_tensors
from nash_dqn.evaluation.rollout import play, trajectory
from nash_dqn.games.base import FeatureScales, ObservationSpec
from nash_dqn.games.market import Market, MarketState, Shocks
from nash_dqn.networks import ObservationNetwork
from nash_dqn.plots import explorer
from nash_dqn.plots.style import BLUE, DIVERGED, ORANGE
from nash_dqn.policy import Policy, load_policy
from nash_dqn.seeding import generator
from nash_dqn.trees import tensor_map
from tests.common import SHORT

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
in_browser = pytest.mark.skipif(BROWSER is None, reason="there is no browser: install Debian's package chromium")

GAMES = {
    "code": dataclasses.replace(SHORT, n_agents=5, horizon=5, n_steps=10),
    # Another number of agents and of steps, another impact law, a floor that binds, and what is zero or one above.
    "other": dataclasses.replace(SHORT, b3=0.05, discount=0.9, impact="linear", price_floor=9.9, initial_price_sd=0.2),
}
SCALES = FeatureScales(time_centre=2.25, time=1.4, price=0.2, impact=0.04, flow=1.7, inventory=4.5)
TEXT, CODE = ObservationSpec(), ObservationSpec("S-Y", "others_mean", scales=SCALES)
MEMORY, STATE = ObservationSpec(own_flow=True), ObservationSpec(own_flow=True, inventories="visible")
SEEDS = [4, 2, 9]
INVENTORIES = [-10.0, -5.0, 0.0, 5.0, 10.0]
TOLERANCE = 1e-9  # both sides compute in double precision, with the same weights


def network(
    game: Market, spec: ObservationSpec, outputs: int, skip: int = 0, basis: bool = False
) -> ObservationNetwork:
    """Random weights of order one; terms of each step of degree ``skip``, and a basis."""
    own, items = game.observation_size(spec)
    streams = [generator(seed, "explorer", outputs, skip) for seed in SEEDS]
    random = generator(1, "explorer")
    rotation = torch.randn(game.n_steps, own, own, generator=random) if basis else None
    net = ObservationNetwork.create(
        own, items, (4,), (7, 6), outputs, streams, skip=(game.n_steps, skip) if skip else None, basis=rotation
    )
    net = tensor_map(lambda tensor: tensor * 2, net)
    return net if net.skip is None else net._replace(skip=torch.randn(net.skip.shape, generator=random))


def train(
    folder: Path,
    game: Market,
    policy: str,
    algorithm: str,
    spec: ObservationSpec,
    networks: Mapping[str, ObservationNetwork],
    bound: float | None = None,
    **recipe: Any,
) -> Path:
    """Files of a training as the workflow leaves them; without a recipe no record."""
    path = folder / policy / "weights.safetensors"
    tensors = {key: tensor for of, net in networks.items() for key, tensor in net.state_dict(of).items()}
    about = {"scenario": folder.name, "policy": policy}
    write_tensors(path, tensors, describe(algorithm, spec, SEEDS, 1, bound, **about))
    if recipe:
        members = [
            {"seed": seed, "iterations": 1, "stopped": "iterations", "diverged": seed == 2 and policy == "nash-text"}
            for seed in SEEDS
        ]
        config = {"game": dataclasses.asdict(game), "recipe": recipe}
        record = {"algorithm": algorithm, **about, "config": config, "seeds": SEEDS, "wall_seconds": 1.0}
        write_json(path.with_name("run.json"), run_record("training", {**record, "members": members}))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Weights of every kind of policy in both scenarios."""
    found = {}
    for scenario, game in GAMES.items():
        folder, size = tmp_path_factory.mktemp("explorer") / scenario, output_size(1)

        def nash(
            spec: ObservationSpec, game: Market = game, size: int = size, **more: Any
        ) -> dict[str, ObservationNetwork]:
            return {"advantage": network(game, spec, size, **more), "value": network(game, spec, 1, skip=2)}

        hidden = nash(STATE) | {"actor": network(game, MEMORY, 1, skip=1)}
        state, memory = dataclasses.asdict(STATE), {"actor": network(game, MEMORY, 1, skip=1, basis=True)}
        given, code = nash(CODE), dataclasses.asdict(CODE)
        mu = given["advantage"].with_outputs(lambda tensor: tensor[..., :1])
        found[scenario] = {
            name: train(folder, game, name, *rest, **recipe)
            for name, rest, recipe in (
                ("nash-text", ("nash_dqn", TEXT, nash(TEXT)), {"critic": None, "p11": "cholesky"}),
                ("nash-code", ("nash_dqn", CODE, nash(CODE, skip=1)), {"critic": None, "p11": "absolute"}),
                ("nash-refined", ("nash_dqn", MEMORY, hidden), {"critic": state, "p11": "cholesky"}),
                ("nash-lq", ("nash_dqn", STATE, nash(STATE)), {"critic": None, "p11": "cholesky"}),
                ("fp-code", ("fictitious_play", CODE, {"actor": network(game, CODE, 1)}, 0.9), {"hidden": [7, 6]}),
                ("reference", ("self_play", MEMORY, memory), {"hidden": [7, 6]}),
                ("unrecorded", ("nash_dqn", CODE, nash(CODE)), {}),
                ("authors-nash", ("nash_dqn", CODE, given | {"actor": mu}), {"critic": code, "p11": "absolute"}),
            )
        }
    return found


@pytest.fixture(scope="module")
def page(files: dict[str, dict[str, Path]]) -> str:
    return explorer.render(GAMES, everything(files), INVENTORIES)


def everything(files: dict[str, dict[str, Path]]) -> list[Path]:
    return [path for of in files.values() for path in of.values()]


@pytest.fixture(scope="module")
def shown(files: dict[str, dict[str, Path]]) -> dict[str, list[Policy]]:
    """The policies on the page, in its order, in double precision."""

    def policy(path: Path) -> Policy:
        loaded = load_policy(path)
        return dataclasses.replace(loaded, network=tensor_map(Tensor.double, loaded.network))

    return {
        scenario: [policy(path) for name, path in of.items() if name != "nash-lq"] for scenario, of in files.items()
    }


@pytest.fixture(scope="module")
def ask(page: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What a JavaScript expression is on the page, whose functions it may call; any error on the page is raised."""

    def answer(expression: str) -> Any:
        folder = tmp_path_factory.mktemp("browser")
        file = folder / "explorer.html"
        before = "<script>const wrong = []; window.onerror = (what) => wrong.push(what);</script></head>"
        after = (
            '<pre id="answer"></pre><script>(() => { let found; '
            f"try {{ found = {{ value: {expression} }}; }} catch (error) {{ found = {{ error: String(error) }}; }} "
            'document.getElementById("answer").textContent = JSON.stringify({ ...found, wrong }); })()</script></body>'
        )
        file.write_text(page.replace("</head>", before).replace("</body>", after), encoding="utf-8")
        command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
        command += ["--window-size=1280,1000", "--dump-dom", file.as_uri()]
        run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=600)
        dumped = re.search(r'<pre id="answer">(.*?)</pre>', run.stdout, re.DOTALL)
        assert dumped is not None, run.stderr
        found = json.loads(html.unescape(dumped[1]))
        assert not found["wrong"] and "error" not in found, found
        return found["value"]

    return answer


def states(game: Market, count: int) -> tuple[Tensor, list[MarketState]]:
    """Random states ``[count, 7]`` as the page has them, agent 1's, and the library's."""
    random = generator(3, "states")
    sizes = torch.tensor([0.7, 0.1, 8.0, 7.0, 7.0], dtype=torch.float64)
    drawn = torch.randn(count, 5, generator=random, dtype=torch.float64) * sizes
    found, vectors = [], []
    for row, (price, impact, others, held, flow) in enumerate(drawn):
        step = row % game.n_steps
        inventory, bought = torch.zeros(2, game.n_agents, dtype=torch.float64)
        inventory[0], bought[0] = held, flow
        bought[1:] = others / (game.n_agents - 1)
        leaves = (leaf[None, None] for leaf in (10 + price, impact, inventory, inventory - bought))
        found.append(MarketState(step, *leaves))
        vectors.append(torch.tensor([1.0, step, 10 + price, impact, others, held, flow], dtype=torch.float64))
    return torch.stack(vectors), found


def repeated(state: MarketState) -> MarketState:
    step, *leaves = state
    return MarketState(step, *(leaf.expand(len(SEEDS), *leaf.shape[1:]) for leaf in leaves))


@in_browser
def test_actions_are_the_library_s(shown: dict[str, list[Policy]], ask: Callable[[str], Any]) -> None:
    drawn = [states(game, 60) for game in GAMES.values()]
    found = ask(
        f"{json.dumps([vectors.tolist() for vectors, _ in drawn])}.map((vectors, s) => vectors.map((x) => "
        f"data.scenarios[s].policies.map((policy) => {json.dumps(SEEDS)}.map((_, k) => act(policy, k, x)))))"
    )
    for (scenario, game), (_, library), of in zip(GAMES.items(), drawn, found, strict=True):
        acts = [[policy.act(game, repeated(s))[:, 0, 0, 0] for s in library] for policy in shown[scenario]]
        expected = torch.stack([torch.stack(of_policy, 1) for of_policy in acts])
        actions = torch.tensor(of, dtype=torch.float64).permute(1, 2, 0)
        assert expected.abs().amax((1, 2)).min() > 0.5  # the comparison is of something
        assert (expected[3].abs() == 0.9).any() and (expected[3].abs() < 0.9).any()  # bounds bind somewhere
        torch.testing.assert_close(actions, expected, atol=TOLERANCE, rtol=0)


@in_browser
def test_advantage_and_value_are_the_library_s(files: dict[str, dict[str, Path]], ask: Callable[[str], Any]) -> None:
    game = GAMES["code"]
    vectors, library = states(game, 30)
    policies = (
        (0, "nash-text", TEXT, "cholesky"),
        (1, "nash-code", CODE, "absolute"),
        (6, "authors-nash", CODE, "absolute"),
    )
    found = ask(
        f"{[at for at, *_ in policies]}.map((at) => {json.dumps(vectors.tolist())}.map((x) => "
        f"{json.dumps(SEEDS)}.map((_, k) => {{ const of = advantage({on_page('code')}.policies[at], k, x); "
        "return [of.mu, of.p11, of.value]; })))"
    )
    for (_, name, spec, form), given in zip(policies, found, strict=True):
        tensors, _ = read_tensors(files["code"][name])
        nets = [
            tensor_map(Tensor.double, ObservationNetwork.from_state_dict(tensors, of)) for of in ("advantage", "value")
        ]
        rows = []
        for state in library:
            raw, value = (net(game.observe(repeated(state), spec))[:, 0, 0] for net in nets)
            parameters = unpack(raw, 1, form)  # type: ignore[arg-type]
            rows.append(torch.stack([parameters.mu[:, 0], parameters.p11[:, 0, 0], value[:, 0]], 1))
        expected = torch.stack(rows)
        torch.testing.assert_close(torch.tensor(given, dtype=torch.float64), expected, atol=TOLERANCE, rtol=0)


@in_browser
def test_rewards_of_ten_episodes_are_the_library_s(shown: dict[str, list[Policy]], ask: Callable[[str], Any]) -> None:
    """A policy for each seat, of different members, on the same random numbers."""
    played = {}
    for scenario, game in GAMES.items():
        shocks = game.sample_shocks(10, generator(5, "episodes")).map(Tensor.double)
        seats = [(seat % len(shown[scenario]), seat % len(SEEDS)) for seat in range(1, game.n_agents + 1)]
        played[scenario] = (shocks, seats)
    of_page = ", ".join(
        f"{json.dumps(as_the_page_has_them(shocks))}.map((shocks) => simulate({on_page(scenario)}.game, "
        f"{json.dumps(seats)}.map(([p, member]) => ({{ policy: {on_page(scenario)}.policies[p], member }})), shocks))"
        for scenario, (shocks, seats) in played.items()
    )
    for (scenario, (shocks, seats)), found in zip(played.items(), ask(f"[{of_page}]"), strict=True):
        game, policies = GAMES[scenario], shown[scenario]
        assignments = [(policies[policy].member(member), [seat]) for seat, (policy, member) in enumerate(seats)]
        with torch.no_grad():
            steps = list(trajectory(game, assignments, shocks))
            expected = play(game, assignments, shocks)[0]
        totals = torch.tensor([episode["rewards"][-1] for episode in found], dtype=torch.float64)
        torch.testing.assert_close(totals, expected, atol=TOLERANCE, rtol=0)
        prices = torch.tensor([episode["price"][:-1] for episode in found], dtype=torch.float64)[..., 0]
        of_steps = torch.stack([step.state.price[0] for step in steps], 1)
        torch.testing.assert_close(prices, of_steps, atol=TOLERANCE, rtol=0)
        if scenario == "other":
            assert bool((prices[:, 1:] <= (game.price_floor or 0.0)).any())  # it binds somewhere


def on_page(scenario: str) -> str:
    return f"data.scenarios[{list(GAMES).index(scenario)}]"


def as_the_page_has_them(shocks: Shocks) -> list[dict[str, Any]]:
    return [
        dict(zip(shocks._fields, (leaf.tolist() for leaf in episode), strict=True))
        for episode in zip(*shocks, strict=True)
    ]


@in_browser
def test_means_over_a_thousand_paths_and_their_changes(
    shown: dict[str, list[Policy]], ask: Callable[[str], Any]
) -> None:
    """On the page's own random numbers, which are standard normal, against the library's rewards there."""
    game, (text, code, *_) = GAMES["code"], shown["code"]
    found = ask(
        "(() => { showMeans(1000); const select = $('seats').rows[0].querySelector('select'); select.value = 4; "
        "select.dispatchEvent(new Event('change')); showMeans(1000); const seeds = range(1000).map((i) => 1 + i); "
        "return { shocks: seeds.map((seed) => shocksOf(game, seed)), z: seeds.map((seed) => normals(seed, 17)), "
        "table: [...$('means').tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent)) }; })()"
    )
    z = np.array(found["z"])
    assert abs(z.mean()) < 4 / np.sqrt(z.size) and abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)
    shocks = game.shocks_from_normals(torch.tensor(z))
    for leaf, name in zip(shocks, Shocks._fields, strict=True):
        given = torch.tensor([row[name] for row in found["shocks"]], dtype=torch.float64)
        torch.testing.assert_close(given, leaf, atol=TOLERANCE, rtol=0)
    before = play(game, [(text.member(0), slice(None))], shocks)[0]
    after = play(game, [(code.member(1), [0]), (text.member(0), [1, 2, 3, 4])], shocks)[0]
    for seat, (name, *cells) in enumerate(found["table"]):
        assert name == str(seat + 1)
        for cell, values in zip(cells, (after[:, seat], after[:, seat] - before[:, seat]), strict=True):
            half = 1.96 * float(values.std()) / np.sqrt(1000)
            expected = [float(values.mean()), float(values.mean()) - half, float(values.mean()) + half]
            shown_numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", cell.replace("\u2212", "-"))]
            assert shown_numbers == pytest.approx(expected, abs=0.00051)  # three decimals


@in_browser
def test_controls_move_what_they_should(ask: Callable[[str], Any]) -> None:
    """In both scenarios: seats keep their random numbers, an inventory can be set, every state can be drawn."""
    found = ask(
        "data.scenarios.map((_, s) => { const put = (input, value, what = 'input') => { input.value = value; "
        "input.dispatchEvent(new Event(what)); }; put($('scenario'), s, 'change'); "
        "const before = episode.path; const row = $('seats').rows[1]; put(row.querySelector('select'), 7, 'change'); "
        "const kept = episode.before === before && ['price', 'inventory'].every((key) => "
        "String(before[key][0]) === String(episode.path[key][0])); "
        "const changes = [...$('seats').rows].map((of) => of.querySelector('.change').textContent); "
        "put(row.querySelector('input'), 3.5); put($('seed'), 8); "
        "const held = episode.path.inventory[0]; $('drawn').click(); const drawn = episode.path.inventory[0]; "
        "put(controls.state.time, game.dt); put(controls.state.others, 5); put(controls.place.price, 10.5); "
        "const notes = data.scenarios[s].policies.map((_, p) => { put($('advantage-of'), p, 'change'); "
        "put($('first'), p, 'change'); return $('advantage-note').textContent; }); "
        "put(controls.episode.until, 0); "
        "return { kept, changes, held, drawn, notes, empty: $('main').textContent.match(/NaN|undefined/) }; })"
    )
    for game, of in zip(GAMES.values(), found, strict=True):
        assert of["kept"]
        assert all(re.fullmatch("\u2212?\\d+\\.\\d{3}", change) for change in of["changes"])
        assert of["held"][1] == 3.5 != of["drawn"][1] and len(of["held"]) == game.n_agents
        text, code, refined, fictitious, self_play, unrecorded, authors = of["notes"]
        assert text.startswith("One curve for each seed") and "value V" in text and "value V" in code
        assert "one of the whole state" in refined
        assert fictitious == self_play == "It was trained without an advantage function."
        assert unrecorded.startswith("No record of its training") and "value V" in authors
        assert of["empty"] is None


def test_the_page_loads_nothing_and_is_small(page: str) -> None:
    assert not re.search(r"https?:|src=|url\(|@import|fetch\(|XMLHttpRequest", page)
    assert page.count("<script") == page.count("</script>") == 2
    script = Path(explorer.__file__).with_suffix(".js").read_text(encoding="utf-8")
    assert len(script.splitlines()) <= 400


def test_what_cannot_be_shown_is_said(page: str, files: dict[str, dict[str, Path]]) -> None:
    content = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[0])
    code, other = content["scenarios"]
    assert [policy["label"] for policy in code["policies"]] == [
        *("nash-text", "nash-code", "nash-refined", "fp-code", "reference", "unrecorded", "authors-nash")
    ]
    assert [code["policies"][at]["colour"] for at in (0, 3, 6)] == [BLUE, ORANGE, BLUE]
    assert page.count("nash-lq sees the others&#x27; inventories, for which there is no control here.") == 1
    assert code["policies"][0]["members"] == ["seed 4", "seed 2 (diverged)", "seed 9"]
    assert code["policies"][-1]["members"] == 3 * ["as released"]
    assert code["policies"][0]["used"] == [0, 2]
    assert content["divergedColour"] == DIVERGED
    assert [slider["name"] for slider in other["sliders"]["state"]][-1] == "flow"
    assert '"name":"flow"' not in explorer.render(GAMES, [files["code"]["fp-code"]], INVENTORIES)
    assert '<main id="main" hidden>' in explorer.render(GAMES, [files["code"]["nash-lq"]], INVENTORIES)


def test_weights_of_another_market_are_refused(files: dict[str, dict[str, Path]], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"safetensors: its network is not of a market with 10 decision points"):
        explorer.render({"other": GAMES["code"]}, files["other"].values(), INVENTORIES)
    with pytest.raises(ArtifactError, match=r"safetensors: of scenario code; give a policy in other"):
        explorer.render({"other": GAMES["other"]}, everything(files), INVENTORIES)
    game, of = GAMES["other"], ("reference", "self_play", TEXT)
    path = train(tmp_path / "other", game, *of, {"actor": network(game, MEMORY, 1)})
    with pytest.raises(ArtifactError, match=r"safetensors: its network does not take the 5 features"):
        explorer.render(GAMES, [path], INVENTORIES)
    broken = tensor_map(lambda tensor: tensor / 0, network(game, TEXT, 1))
    path = train(tmp_path / "nan" / "other", game, *of, {"actor": broken})
    with pytest.raises(ArtifactError, match=r"safetensors: weights are not finite"):
        explorer.render(GAMES, [path], INVENTORIES)
