"""What is made on request, in one run after the toy run; nothing that was there changes."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nash_dqn.artifacts import read_table

if TYPE_CHECKING:
    from tests.workflow.conftest import Checkout

TARGETS = ["ablation", "penalty_study", "robustness", "projections", "fictitious_play", "ddpg_best_responses"]
TARGETS += ["games", "many_agents"]


@pytest.fixture(scope="module")
def requested(smoke_run: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = smoke_run.copy(tmp_path_factory.mktemp("requests") / "checkout")
    before = checkout.results()
    # Of the ablation 3 trainings, of the penalty study none, of the robustness 2, of the projections 1, 3 of games.
    assert checkout.run(*TARGETS) == {
        **{"train_nash_dqn": 3 + 1 + 1 + 3, "train_fictitious_play": 1, "train_least_squares": 1},
        "exploitability": 4 + 2 + 2 + 1 + 2,
        **{"robustness_table": 1, "games_table": 1, "plot_robustness": 1, "penalty_snapshots": 2},
        **dict.fromkeys(("ablation_table", "plot_ablation"), 1),
        **dict.fromkeys(("beta_exploitability", "plot_beta_exploitability"), 1),
        **dict.fromkeys(("penalty_study_table", "plot_penalty_study"), 1),
        **dict.fromkeys(("projection", "plot_projection", "lq_error", "many_players", "training_cost"), 1),
        **dict.fromkeys(("fictitious_play_errors", "fictitious_play_gains", "plot_fictitious_play"), 1),
        **{"ddpg_best_response": 2, "ddpg_best_response_table": 1},
        **dict.fromkeys(("plot_games", "plot_many_players", "plot_training_cost", *TARGETS), 1),
    }
    after = checkout.results()
    assert {name: after[name] for name in before} == before
    pictures = {f"figures/code/{name}" for name in ("ablation", "beta_exploitability", "penalty_study", "robustness")}
    pictures |= {
        f"figures/{name}" for name in ("projection", "fictitious_play", "games", "many_players", "training_cost")
    }
    assert {f"{name}.{suffix}" for name in pictures for suffix in ("pdf", "png")} <= set(after)
    assert checkout.planned("all", *TARGETS) == {}
    return checkout


def test_ablation(requested: Checkout) -> None:
    """All of it added is the other recipe, all removed the first, and its training that of the default run."""
    results = requested.run_directory / "results/code"
    for same, as_other in (("nash-text+everything", "nash-refined"), ("nash-refined-everything", "nash-text")):
        records = [json.loads((results / name / "run.json").read_text()) for name in (same, as_other)]
        assert records[0]["config"] == records[1]["config"]
        assert [record["policy"] for record in records] == [same, as_other]
    table = read_table(results / "ablation_seeds.csv", ["policy", "seed", "deviator", "gain"])
    gains = table.set_index(["policy", "deviator", "seed"])["gain"]
    for seed in (1, 2):
        # To rounding, as each is trained beside another number of members.
        assert gains["nash-text+everything", "memory", seed] == pytest.approx(
            gains["nash-refined", "memory", seed], 1e-3
        )
        assert gains["nash-refined-everything", "same", seed] == pytest.approx(gains["nash-text", "same", seed], 1e-3)
    assert gains["nash-text", "same", 1] != gains["nash-refined", "same", 1]
    assert "nash-refined+target_network" in set(table["policy"])
    at_beta = read_table(results / "beta_exploitability.csv", ["beta", "seed", "player"])
    assert at_beta[at_beta["player"] == "1"].groupby("beta")["seed"].apply(set).to_dict() == {0: {1, 2}, 100: {1, 2}}


def test_penalty_study(requested: Checkout) -> None:
    results = requested.run_directory / "results/code"
    columns = ["policy", "base", "beta", "seed", "measure", "iteration", "value"]
    found = read_table(results / "penalty_study.csv", columns)
    assert set(found["policy"]) == {"nash-unstopped+beta=0", "nash-unstopped+beta=100"} and found["value"].notna().all()
    # What was returned is what the exploitability of that training says.
    one = found[(found["measure"] == "returned_exploitability") & (found["policy"] == "nash-unstopped+beta=0")]
    gains = read_table(results / "nash-unstopped+beta=0/exploitability.csv", ["deviator", "player", "gain"])
    gains = gains[(gains["deviator"] == "memory") & (gains["player"].astype(str) == "1")]
    assert one["value"].tolist() == gains["gain"].tolist()
    tests = read_table(results / "penalty_study_tests.csv", ["measure", "iteration", "pairs"])
    assert set(tests["pairs"]) == {2} and len(tests) == 4


def test_robustness_projections_and_games(requested: Checkout) -> None:
    """Of the games, one of two groups by both algorithms, and a market with two and with three agents."""
    results = requested.run_directory / "results"
    rows = read_table(results / "code/robustness.csv", ["policy", "seed", "deviator"])
    measured = {(row.policy, row.seed, row.deviator) for row in rows.itertuples()}
    policies, deviators = ("nash-refined-same", "nash-least-squares"), ("same", "memory")
    assert measured == set(itertools.product(policies, (1, 2), deviators))
    rows = read_table(results / "lq_code/projection.csv", ["target", "exploration", "gain"])
    assert set(rows["target"]) == {"nash", "reply"} and set(rows["exploration"]) == {2.5, 1.5} and len(rows) == 4
    for path, learners in (
        ("lq_code/fictitious_play_errors", {"exact", "gradient"}),
        ("code/fictitious_play_gains", {"gradient"}),
    ):
        rows = read_table(results / f"{path}.csv", ["learner", "opponents", "seed", "round", "value"])
        assert set(rows["learner"]) == learners and set(rows["opponents"]) == {"last", "average"}
    rows = read_table(results / "code/ddpg_best_response.csv", ["learner", "deviator", "opponents", "gain"])
    opponents = ("nash-text, seed 1", "fp-code, seed 1")
    responses = (("ddpg", "same"), ("gradient", "same"), ("gradient", "memory"))
    found = rows[["opponents", "learner", "deviator"]].to_numpy().tolist()
    assert found == [[name, *response] for name in opponents for response in responses]
    errors = read_table(results / "traders/lq_error.csv", ["scenario", "policy", "algorithm", "group", "seed"])
    assert set(errors["scenario"]) == {"traders"} and set(errors["group"]) == {1, 2}
    seeds = errors.groupby("policy")["seed"].apply(set).to_dict()
    assert seeds == {"nash-traders": {1, 2}, "fp-lq": {1, 2, 3}}
    gains = read_table(results / "games.csv", ["algorithm", "player", "gain"])
    assert set(gains["player"]) == {*"12345", "nashconv"} and set(gains["algorithm"]) == set(errors["algorithm"])
    assert set(read_table(results / "many_players.csv", ["agents"])["agents"]) == {2, 3}


def test_what_is_missing_of_a_study_is_made_again(requested: Checkout, tmp_path: Path) -> None:
    """Also what its figure, which is there, would not be made from again."""
    damaged = requested.copy(tmp_path / "checkout")
    for name in ("lq_code/projection.csv", "many_players.csv", "traders/lq_scatter.csv"):
        (damaged.run_directory / "results" / name).unlink()
    (damaged.run_directory / "results/code/nash-refined-same/exploitability.csv").unlink()
    assert damaged.planned("projections", "many_agents", "games", "robustness") == {
        **{"projection": 1, "plot_projection": 1, "projections": 1, "many_players": 1, "plot_many_players": 1},
        **{"many_agents": 1, "lq_error": 1, "plot_games": 1, "games": 1},
        **{"exploitability": 1, "robustness_table": 1, "plot_robustness": 1, "robustness": 1},
    }


def test_settings_of_what_is_made_on_request(requested: Checkout, tmp_path: Path) -> None:
    """A variant more is trained alone; an edit of a game's module concerns that game; a wrong setting stops its run."""
    edited = requested.copy(tmp_path / "checkout")
    edited.configure(ablation={"variants": {"nash-text": {"small": {"value_hidden": [4]}}}})
    edited.edit("src/nash_dqn/games/traders.py", "{}\nedited = True\n".format)
    assert edited.planned("results/code/nash-text+small/exploitability.csv", "games") == {
        **{"train_nash_dqn": 1 + 1, "train_fictitious_play": 1, "exploitability": 1 + 2, "lq_error": 1},
        **{"games_table": 1, "plot_games": 1, "games": 1},
    }
    edited.configure(scenarios={"traders": {"b1": [-1, 1]}})
    run = edited.snakemake("games")
    assert run.returncode != 0
    assert "Error in the configuration: scenarios.traders.b1[0]: got -1, expected a number > 0" in run.stdout


def test_outside_learners(requested: Checkout, tmp_path: Path) -> None:
    """The same policies answered by another library and by ours, as a table and a page; without it one line says so."""
    checkout = requested.copy(tmp_path / "checkout")
    checkout.configure(fictitious_play={"td3_rounds": 2})
    run = checkout.snakemake("outside_learners", "fictitious_play")
    jobs = {"outside_learners_of_policy": 2, "outside_learners_table": 1, "outside_learners": 1}
    jobs |= {"fictitious_play_td3": 1, "plot_fictitious_play": 1, "fictitious_play": 1}
    assert checkout.announced(run) == jobs
    if importlib.util.find_spec("stable_baselines3") is None:
        assert run.returncode != 0
        wanted = "ModuleNotFoundError: stable_baselines3 is not installed; the optional extra [sb3] brings it: "
        assert any(line.startswith(wanted) for line in run.stdout.splitlines()), run.stdout
        return
    assert run.returncode == 0, run.stdout
    results = checkout.run_directory / "results"
    rows = read_table(
        results / "code/outside_learners.csv", ["learner", "seed", "opponents", "deviator", "transitions"]
    )
    assert set(rows["opponents"]) == {"nash-text, seed 1", "fp-code, seed 1"}
    assert set(rows["learner"]) == {"ddpg", "gradient", "sb3_td3", "sb3_ddpg"} and set(rows["transitions"]) == {400}
    assert len(rows) == 2 * 2 * 5 and set(rows["seed"]) == {9009, 9019}
    rounds = read_table(results / "lq_code/fictitious_play_td3.csv", ["seed", "round", "value"])
    assert [*zip(rounds["seed"], rounds["round"], strict=True)] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert rounds["value"].notna().all()
    (results / "lq_code/fictitious_play_td3.csv").unlink()
    assert checkout.planned("fictitious_play") == {
        name: 1 for name in ("fictitious_play_td3", "plot_fictitious_play", "fictitious_play")
    }
