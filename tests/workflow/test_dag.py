"""The workflow end to end on a copy of the repository, and what each kind of edit makes again."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nash_dqn.artifacts import read_table, read_tensors
from nash_dqn.progress import last_step
from nash_dqn.seeding import generator
from nash_dqn.status import summarise

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("workflow", "config", "src", ".test/config", "environment.yml", "docs/replication.md")
SCENARIOS = 2  # of the smoke run's configuration, and one linear-quadratic one beside them

# What a change of the training code of every policy makes again: jobs by rule, of the smoke run.
IN_EACH_SCENARIO = {
    "train_fictitious_play": 2,
    "train_nash_dqn": 3,
    "train_self_play": 1,
    "policy_grid": 1,
    "policy_distance": 1,
    "cross_play": 1,
    "cross_play_tests": 1,
    "exploitability": 3,
    "exploitability_table": 1,
    "data_efficiency": 2,
    "data_efficiency_table": 1,
    "ddpg_best_response": 2,
    "ddpg_best_response_table": 1,
    "cross_play_tests_page": 1,
    "ddpg_best_response_page": 1,
    "reference": 1,
    "plot_policies": 1,
    "plot_other_policies": 3,
    "plot_cross_play": 1,
    "plot_training_curves": 1,
    "plot_exploitability": 1,
    "plot_data_efficiency": 1,
}
OF_FIG1 = {"train_nash_dqn": 2, "beta_sweep": 1, "plot_beta_sweep": 1}  # in one of them
IN_LQ_SCENARIO = {"train_fictitious_play": 1, "train_nash_dqn": 1, "lq_error": 1, "plot_lq_policies": 1}
EVERY_RUN = 2  # jobs that no change of a policy makes again: the table of decisions and its page
ONCE = {"all": 1, "claims": 1, "claims_page": 1, "explorer": 1}
EVERYTHING = {
    rule: SCENARIOS * IN_EACH_SCENARIO.get(rule, 0) + sum(of.get(rule, 0) for of in (OF_FIG1, IN_LQ_SCENARIO, ONCE))
    for rule in {**IN_EACH_SCENARIO, **OF_FIG1, **IN_LQ_SCENARIO, **ONCE}
}
DATA_EFFICIENCY = {
    "all": 1,
    "data_efficiency": 2 * SCENARIOS,
    "data_efficiency_table": SCENARIOS,
    "plot_data_efficiency": SCENARIOS,
    "claims": 1,
    "claims_page": 1,
}


class Checkout:
    """A copy of the repository that runs its own package at the sizes of the smoke configuration."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run_directory = root / ".test"

    @classmethod
    def copy_repository(cls, root: Path) -> Checkout:
        """A copy without any result."""
        for name in COPIED:
            source, target = REPOSITORY / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy2(source, target)
        return cls(root)

    def copy(self, root: Path) -> Checkout:
        """A copy with all results, somewhere else."""
        return Checkout(Path(shutil.copytree(self.root, root, symlinks=True)))

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """``--cores 2`` unless the arguments, of which the last one counts, name another number."""
        command = [sys.executable, "-m", "snakemake", "--directory", ".test", "--cores", "2", *arguments]
        own = {"PYTHONPATH": str(self.root / "src"), "XDG_CACHE_HOME": str(self.root / "cache")}
        return subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, **own, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs a dry run announces, by rule; none where nothing is to be done."""
        dry = self.snakemake("--dry-run", *arguments)
        assert dry.returncode == 0, dry.stdout
        if "Nothing to be done" in dry.stdout:
            return {}
        table = re.search(r"^Job stats:\njob +count\n-+ +-+\n(.*?)^total +\d+$", dry.stdout, re.M | re.S)
        assert table is not None, dry.stdout
        return {rule: int(count) for rule, count in (line.split() for line in table[1].splitlines())}

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.root / name
        before = path.read_text()
        after = change(before)
        assert after != before, f"the edit of {name} changes nothing"
        path.write_text(after)

    def configure(self, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.run_directory / "config" / "config.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def results(self) -> dict[str, tuple[str, int]]:
        """Digest and modification time of every result and figure."""
        files = [path for top in ("results", "figures") for path in (self.run_directory / top).rglob("*")]
        return {
            path.relative_to(self.run_directory).as_posix(): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
            )
            for path in files
            if path.is_file()
        }


def comment(text: str) -> str:
    return f"{text}\n# a comment\n"


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, str]:
    """A copy in which all policies have been trained, and what Snakemake printed."""
    checkout = Checkout.copy_repository(tmp_path_factory.mktemp("smoke") / "checkout")
    run = checkout.snakemake("train")
    assert run.returncode == 0, run.stdout
    return checkout, run.stdout


@pytest.fixture(scope="session")
def smoke_run(training: tuple[Checkout, str]) -> Checkout:
    """The same copy after the rest of the smoke run."""
    checkout, _ = training
    run = checkout.snakemake()
    assert run.returncode == 0, run.stdout
    return checkout


@pytest.fixture
def finished(smoke_run: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished smoke run, in another place, to be edited."""
    return smoke_run.copy(tmp_path / "checkout")


def test_longest_jobs_start_first(training: tuple[Checkout, str]) -> None:
    started = re.findall(r"^Job \d+: (Train \S+)", training[1], re.M)
    trainings = {"fictitious": "train_fictitious_play", "Nash-DQN,": "train_nash_dqn", "self-play,": "train_self_play"}
    assert started == [f"Train {what}" for what, rule in trainings.items() for _ in range(EVERYTHING[rule])]


def test_smoke_run_makes_every_table_and_figure(smoke_run: Checkout) -> None:
    made = smoke_run.results()
    assert all((smoke_run.run_directory / name).stat().st_size > 0 for name in made)
    trainings = [
        *(f"nash_dqn/{name}" for name in ("paper/beta_100", "released/beta_50", "refined/beta_0")),
        *(f"fictitious_play/{name}" for name in ("released", "average")),
        "self_play/memory",
    ]
    of_training = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")
    tables = ["policy_grid", "policy_distance", "cross_play", "cross_play_tests"]
    followed = ("nash_dqn/refined", "fictitious_play/released")
    tables += ["exploitability", *(f"exploitability/{policy}" for policy in (*followed, "self_play/memory"))]
    tables += ["data_efficiency", *(f"data_efficiency/{policy}" for policy in followed)]
    tables += ["ddpg_best_response", *(f"ddpg_best_response/{name}" for name in ("nash_dqn/paper", followed[1]))]
    tables += ["reference"]
    figures = ["fig2_policies", "fig3_cross_play"]
    figures += [f"fig2_policies_{name}" for name in ("paper", "refined", "reference")]
    figures += ["training_curves", "exploitability", "data_efficiency", "data_efficiency_time"]
    expected = {
        "results/claims.csv",
        "results/deviations.csv",
        "results/lq_released/lq_error.csv",
        "results/lq_released/lq_scatter.csv",
    }
    expected |= {"results/claims.html", "results/deviations.html", "figures/explorer.html"}
    expected |= {f"figures/lq_released/lq_policies.{suffix}" for suffix in ("pdf", "png")}
    expected |= {
        f"results/lq_released/{training}/{name}"
        for training in ("nash_dqn/lq/beta_0", "fictitious_play/lq")
        for name in of_training
    }
    swept = ("nash_dqn/unstopped/beta_0", "nash_dqn/unstopped/beta_100")
    expected |= {f"results/released/{training}/{name}" for training in swept for name in of_training}
    expected |= {"results/released/beta_sweep.csv", *(f"figures/released/fig1_beta_sweep.{s}" for s in ("pdf", "png"))}
    for scenario in ("table1", "released"):
        expected |= {f"results/{scenario}/{training}/{name}" for training in trainings for name in of_training}
        expected |= {f"results/{scenario}/{name}.csv" for name in tables}
        expected |= {f"results/{scenario}/{name}.html" for name in ("cross_play_tests", "ddpg_best_response")}
        expected |= {f"figures/{scenario}/{name}.{suffix}" for name in figures for suffix in ("pdf", "png")}
    assert set(made) == expected


def test_records_name_their_setting(smoke_run: Checkout) -> None:
    results = smoke_run.run_directory / "results"
    record = json.loads((results / "released/nash_dqn/unstopped/beta_0/run.json").read_text())
    assert record["config"]["game"]["kappa"] == 0.5
    assert record["config"]["recipe"]["penalty"]["beta"] == 0
    assert [member["seed"] for member in record["members"]] == record["seeds"] == [1, 2]


def test_a_recipe_is_trained_from_its_own_seeds(smoke_run: Checkout) -> None:
    results = smoke_run.run_directory / "results"
    record = json.loads((results / "lq_released/fictitious_play/lq/run.json").read_text())
    assert record["seeds"] == [1, 2, 3]
    assert "seeds" not in record["config"]["recipe"]
    assert record["config"]["game"]["impact"] == "linear"
    assert record["config"]["game"]["kappa"] == 0.5


def test_policies_are_measured_along_trainings_that_are_long_enough(smoke_run: Checkout) -> None:
    results = smoke_run.run_directory / "results/table1"
    table = read_table(results / "data_efficiency.csv", ["algorithm", "recipe", "seed", "transitions", "reference"])
    assert table[["algorithm", "recipe", "seed"]].to_numpy().tolist() == [
        [algorithm, recipe, seed]
        for algorithm, recipe, seeds in (("nash_dqn", "refined", (1, 2, 3)), ("fictitious_play", "released", (1, 2)))
        for seed in seeds
    ]
    assert set(table["transitions"]) == {10_000}
    assert set(table["reference"]) == {"memory"}
    assert read_tensors(results / "nash_dqn/released/beta_50/snapshots.safetensors")[0] == {}


def test_ablation_is_made_on_request(finished: Checkout) -> None:
    """Four trainings for its one switch and one for its variant; the trainings of Fig. 1 are there."""
    before = finished.results()
    expected = {
        **{
            "train_ablation": 5,
            "ablation_exploitability": 5,
            "ablation_table": 1,
            "ablation_page": 1,
            "plot_ablation": 1,
        },
        **{"exploitability_at_beta": 2, "beta_exploitability": 1, "plot_beta_exploitability": 1, "ablation": 1},
    }
    assert finished.planned("ablation") == expected
    run = finished.snakemake("ablation")
    assert run.returncode == 0, run.stdout
    settings = ("paper", "paper+everything", "refined", "refined-everything", "refined+target_network")
    of_training = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json", "exploitability.csv")
    made = {f"results/released/ablation/{setting}/{name}" for setting in settings for name in of_training}
    made |= {f"results/released/beta_exploitability/unstopped/beta_{beta}.csv" for beta in (0, 100)}
    made |= {f"results/released/{name}.csv" for name in ("ablation", "ablation_seeds", "beta_exploitability")}
    made |= {f"figures/released/{name}.{end}" for name in ("ablation", "beta_exploitability") for end in ("pdf", "png")}
    made.add("results/released/ablation.html")
    after = finished.results()
    assert set(after) - set(before) == made
    assert {name: after[name] for name in before} == before
    results = finished.run_directory / "results/released"
    # All of it added is the other recipe, all removed the first, and its training that of the default run.
    for same, as_other in (("paper+everything", "refined"), ("refined-everything", "paper")):
        recipes = [json.loads((results / "ablation" / name / "run.json").read_text()) for name in (same, as_other)]
        assert recipes[0]["config"] == recipes[1]["config"]
        assert [recipe["recipe_name"] for recipe in recipes] == [same, as_other]
    gains = read_table(results / "ablation.csv", ["setting", "deviator", "gain"]).set_index(["setting", "deviator"])[
        "gain"
    ]
    assert gains["paper+everything", "memory"] == gains["refined", "memory"]
    assert gains["refined-everything", "same"] == gains["paper", "same"] != gains["refined", "same"]
    at_beta = read_table(results / "beta_exploitability.csv", ["beta", "seed", "player"])
    assert at_beta[at_beta["player"] == "1"].groupby("beta")["seed"].apply(set).to_dict() == {0: {1, 2}, 100: {1, 2}}
    assert finished.planned() == {}


def test_penalty_study_is_made_on_request(finished: Checkout) -> None:
    """Two trainings of the recipe that Fig. 1 does not have; of all four, policies kept and returned are measured."""
    before = finished.results()
    assert finished.planned("penalty_study") == {
        **{"train_nash_dqn": 2, "exploitability_at_beta": 4, "penalty_snapshots": 4},
        **dict.fromkeys(("penalty_study_table", "penalty_study_page", "plot_penalty_study", "penalty_study"), 1),
    }
    run = finished.snakemake("penalty_study")
    assert run.returncode == 0, run.stdout
    after = finished.results()
    assert {name: after[name] for name in before} == before
    assert {f"figures/released/penalty_study.{end}" for end in ("pdf", "png")} <= set(after)
    results = finished.run_directory / "results/released"
    found = read_table(results / "penalty_study.csv", ["recipe", "beta", "seed", "measure", "iteration", "value"])
    assert set(found["recipe"]) == {"unstopped", "others_constant"} and found["value"].notna().all()
    # What was returned is what the exploitability of that training says.
    one = found[
        (found["measure"] == "returned_exploitability") & (found["recipe"] == "unstopped") & (found["beta"] == 0)
    ]
    gains = read_table(results / "beta_exploitability/unstopped/beta_0.csv", ["deviator", "player", "gain"])
    gains = gains[(gains["deviator"] == "memory") & (gains["player"].astype(str) == "1")]
    assert one["value"].tolist() == gains["gain"].tolist()
    tests = read_table(results / "penalty_study_tests.csv", ["measure", "iteration", "pairs"])
    assert set(tests["pairs"]) == {2} and len(tests) == 2 * 4
    assert finished.planned() == {}


def test_robustness_is_made_on_request(finished: Checkout) -> None:
    """One recipe in each of both scenarios, trained, measured and drawn; nothing else changes."""
    before = finished.results()
    jobs = ("train_nash_dqn", "exploitability", "robustness_table", "plot_robustness")
    assert finished.planned("robustness") == {**dict.fromkeys(jobs, 2), "robustness": 1}
    run = finished.snakemake("robustness")
    assert run.returncode == 0, run.stdout
    after = finished.results()
    assert {name: after[name] for name in before} == before
    for scenario in ("table1", "released"):
        assert {f"figures/{scenario}/robustness.{end}" for end in ("pdf", "png")} <= set(after)
        rows = read_table(finished.run_directory / f"results/{scenario}/robustness.csv", ["recipe", "seed", "deviator"])
        measured = {(row.recipe, row.seed, row.deviator) for row in rows.itertuples()}
        assert measured == {("refined_same", seed, deviator) for seed in (1, 2) for deviator in ("same", "memory")}
    assert finished.planned() == {}


def test_projections_are_made_on_request(finished: Checkout) -> None:
    """Exact fixed points of the linear-quadratic twin, beside a training of the recipe there."""
    before = finished.results()
    jobs = ("projection", "plot_projection", "train_nash_dqn", "exploitability", "projections")
    assert finished.planned("projections") == dict.fromkeys(jobs, 1)
    run = finished.snakemake("projections")
    assert run.returncode == 0, run.stdout
    after = finished.results()
    assert {name: after[name] for name in before} == before
    assert {"figures/projection.pdf", "figures/projection.png"} <= set(after)
    rows = read_table(finished.run_directory / "results/lq_released/projection.csv", ["target", "exploration", "gain"])
    assert {(row.target, row.exploration) for row in rows.itertuples()} == {
        (target, exploration) for target in ("nash", "reply") for exploration in (2.5, 1.5)
    }
    assert (rows["gain"] > 0).all()
    assert finished.planned() == {}


def test_games_are_made_on_request(finished: Checkout) -> None:
    """A game of two groups by both algorithms, and a market with two and with three agents."""
    before = finished.results()
    of_algorithms = ("train_general_fictitious_play", "general_error", "general_exploitability_table", "general")
    expected = {
        **dict.fromkeys((*of_algorithms, "many_players", "training_cost"), 1),
        **dict.fromkeys(("plot_games", "plot_many_players", "plot_training_cost"), 1),
        **{"train_general_nash_dqn": 3, "general_exploitability": 2},
    }
    assert finished.planned("general") == expected
    run = finished.snakemake("general")
    assert run.returncode == 0, run.stdout
    after = finished.results()
    assert {name: after[name] for name in before} == before
    for figure in ("games", "many_players", "training_cost"):
        assert {f"figures/general/{figure}.{end}" for end in ("pdf", "png")} <= set(after)
    results = finished.run_directory / "results/general"
    errors = read_table(results / "traders/lq_error.csv", ["scenario", "group", "algorithm", "seed"])
    assert set(errors["scenario"]) == {"traders"} and set(errors["group"]) == {1, 2} and set(errors["seed"]) == {1, 2}
    gains = read_table(results / "exploitability.csv", ["algorithm", "player", "gain"])
    assert set(gains["player"]) == {*"12345", "nashconv"} and set(gains["algorithm"]) == set(errors["algorithm"])
    assert set(read_table(results / "many_players.csv", ["agents"])["agents"]) == {2, 3}
    assert [row["agents"] for row in json.loads((results / "training_cost.json").read_text())] == [2, 3]
    assert finished.planned() == finished.planned("general") == {}


def test_a_wrong_setting_of_a_game_stops_its_run_alone(finished: Checkout) -> None:
    finished.configure(lambda config: config["games"]["traders"].update(settings={"b1": [-1, 1]}))
    run = finished.snakemake("general")
    assert run.returncode != 0
    assert "Error in the configuration: games.traders: b1[0] = -1: allowed is a finite number > 0" in run.stdout
    assert finished.planned() == {}


def test_outside_learners_are_made_on_request(finished: Checkout) -> None:
    """The same policies answered by another library and by ours, as a table and a page; without it one line says so."""
    before = finished.results()
    jobs = {"outside_learners_of_policy": 2, "outside_learners_table": 1, "outside_learners_page": 1}
    assert finished.planned("outside_learners") == {**jobs, "outside_learners": 1}
    run = finished.snakemake("outside_learners")
    if importlib.util.find_spec("stable_baselines3") is None:
        assert run.returncode != 0
        wanted = "ModuleNotFoundError: stable_baselines3 is not installed; the optional extra [sb3] brings it: "
        assert any(line.startswith(wanted) for line in run.stdout.splitlines()), run.stdout
        return
    assert run.returncode == 0, run.stdout
    after = finished.results()
    assert {name: after[name] for name in before} == before
    folder = finished.run_directory / "results/released"
    rows = read_table(folder / "outside_learners.csv", ["learner", "seed", "opponents", "deviator", "transitions"])
    trained = [
        ("ddpg", "same"),
        ("gradient", "same"),
        ("gradient", "memory"),
        ("sb3_td3", "same"),
        ("sb3_ddpg", "same"),
    ]
    opponents = ("nash_dqn/paper, seed 1", "fictitious_play/released, seed 1")
    assert list(zip(rows["opponents"], rows["seed"], rows["learner"], rows["deviator"], strict=True)) == [
        (name, seed, *learner) for name in opponents for seed in (9009, 9019) for learner in trained
    ]
    assert set(rows["transitions"]) == {400}
    times = json.loads((folder / "outside_learners/nash_dqn/paper.json").read_text())["trainings"]
    assert [row["learner"] for row in times] == [learner for _ in range(2) for learner, _ in trained]
    assert min(row["wall_seconds"] for row in times) > 0
    assert finished.planned() == {}


def test_another_variant_is_trained_alone(finished: Checkout) -> None:
    finished.configure(lambda config: config["ablation"]["variants"].update(paper={"small": {"value_hidden": [4]}}))
    assert finished.planned("results/released/ablation/paper+small/exploitability.csv") == {
        "train_ablation": 1,
        "ablation_exploitability": 1,
    }
    assert finished.planned() == {}


def test_policies_are_compared_on_the_seeds_that_both_have(smoke_run: Checkout) -> None:
    """Nash-DQN refined has the seeds 1, 2, 3; fictitious play has 1, 2, and the reference 1."""
    results = smoke_run.run_directory / "results/released"
    rewards = read_table(results / "cross_play.csv", ["comparison", "other", "seed_nash", "seed_other"])
    met = rewards[["comparison", "other", "seed_nash", "seed_other"]].drop_duplicates().to_numpy().tolist()
    both = [[1, 1], [2, 2]]
    assert met == [
        *(["released", "fictitious_play/average", *seeds] for seeds in both),
        *(["paper", "fictitious_play/released", *seeds] for seeds in both),
        *(["refined", "fictitious_play/released", *seeds] for seeds in both),
        *(["reference", "self_play/memory", seed, 1] for seed in (1, 2, 3)),
    ]
    distances = read_table(results / "policy_distance.csv", ["comparison", "policy_a", "policy_b", "seed_a", "seed_b"])
    reference = distances[(distances["comparison"] == "reference") & (distances["states"] == "grid")]
    assert reference[["policy_a", "policy_b", "seed_a", "seed_b"]].to_numpy().tolist() == [
        *(["nash_dqn/refined", "self_play/memory", seed, 1] for seed in (1, 2, 3)),
        *(["nash_dqn/refined", "nash_dqn/refined", *seeds] for seeds in ([1, 2], [1, 3], [2, 3])),
    ]


def test_the_authors_policies_are_made_and_measured_where_their_weights_are_given(
    finished: Checkout, tmp_path: Path
) -> None:
    """With made-up weights; everything that was there stays, and a file's content counts, not its date."""
    folder = tmp_path / "their repository" / "files"
    folder.mkdir(parents=True)
    stream = generator(1, "test_dag")
    decoder, actor = [f"decoder_net.{at}" for at in range(0, 12, 2)], [*(f"policy_net.{at}.0" for at in range(5))]
    for name, layers, outputs in (
        ("Action_Net.pt", decoder, 5),
        ("Value_Net.pt", decoder, 1),
        ("pol_net_it.pt", [*actor, "policy_net.5"], 1),
    ):
        state = {}
        for layer, (fan_in, fan_out) in zip(layers, pairwise([5, *[32] * 5, outputs]), strict=True):
            state[f"{layer}.weight"] = 0.3 * torch.randn(fan_out, fan_in, generator=stream)
            state[f"{layer}.bias"] = torch.zeros(fan_out)
        torch.save(state, folder / name)
    given = ("--config", f"authors={folder.parent}", "--")
    tables = [f"results/released/{name}.csv" for name in ("exploitability", "cross_play_tests", "reference")]
    figures = [f"figures/released/fig2_policies_authors.{suffix}" for suffix in ("pdf", "png")]
    expected = {"authors_policies": 1, "policy_grid": 1, "policy_distance": 1, "plot_other_policies": 1}
    expected |= {"cross_play": 1, "cross_play_tests": 1, "exploitability": 2, "exploitability_table": 1, "reference": 1}
    assert finished.planned(*given, *tables, *figures) == expected
    before = finished.results()
    run = finished.snakemake(*given, *tables, *figures)
    assert run.returncode == 0, run.stdout
    after = finished.results()
    policies = ("authors/nash", "authors/fp")
    made = {f"results/released/{policy}/{name}" for policy in policies for name in ("weights.safetensors", "run.json")}
    made |= {*figures, *(f"results/released/exploitability/{policy}.csv" for policy in policies)}
    assert set(after) - set(before) == made
    gains = read_table(finished.run_directory / tables[0], ["algorithm", "recipe", "seed", "gain"])
    theirs = gains[gains["algorithm"] == "authors"]
    assert set(theirs[["recipe", "seed"]].itertuples(index=False, name=None)) == {("nash", 0), ("fp", 0)}
    assert theirs["gain"].notna().all()
    tests = read_table(finished.run_directory / tables[1], ["comparison", "other", "scope"])
    theirs = tests[tests["comparison"] == "authors"]
    assert set(theirs[["other", "scope"]].itertuples(index=False, name=None)) == {
        ("authors/fp", "0-0"),
        ("authors/fp", "pooled"),
    }
    assert finished.planned(*given, *tables, *figures) == {}
    state["policy_net.5.bias"] += 1
    torch.save(state, folder / "pol_net_it.pt")
    os.utime(folder / "pol_net_it.pt", (1e9, 1e9))
    assert finished.planned(*given, *tables, *figures) == expected
    without = finished.planned("--", *tables)
    assert without == {"cross_play": 1, "cross_play_tests": 1, "exploitability_table": 1, "reference": 1}


def test_the_run_kept_its_state_and_no_log_has_control_characters(smoke_run: Checkout) -> None:
    """The last state is that of the second part of the run, after the trainings."""
    status = summarise(smoke_run.run_directory)
    trainings = sum(count for rule, count in EVERYTHING.items() if rule.startswith("train_"))
    jobs = sum(EVERYTHING.values()) + EVERY_RUN - EVERYTHING["all"] - trainings
    assert (status["state"], status["jobs"], status["done"], status["active"]) == ("finished", jobs, jobs, [])
    log = smoke_run.run_directory / "logs/released/train_nash_dqn/unstopped_beta_0.log"
    step = last_step(log.read_bytes())
    assert step is not None and step.done == step.total
    logs = [*smoke_run.run_directory.glob(".snakemake/log/*.log"), *smoke_run.run_directory.rglob("logs/**/*.log")]
    assert len(logs) > jobs
    assert not [path for path in logs if {b"\x1b", b"\r"} & {bytes([byte]) for byte in path.read_bytes()}]


def test_report_shows_each_table_and_figure_with_its_caption(smoke_run: Checkout) -> None:
    report = smoke_run.run_directory / "report.html"
    made = smoke_run.snakemake("--report", "report.html")
    assert made.returncode == 0, made.stdout
    page = report.read_text(encoding="utf-8")
    report.unlink()
    assert not re.findall(r"""(?:src|href)=["']?https?:""", page)
    shown = [name for name in smoke_run.results() if name.endswith((".png", ".html"))]
    assert [name for name in shown if name not in page] == []
    assert page.count("What to conclude.") >= len(shown)


def rules() -> str:
    """All rule files, one after the other."""
    return "".join(path.read_text() for path in sorted((REPOSITORY / "workflow" / "rules").glob("*.smk")))


def test_the_report_files_each_result_under_a_heading() -> None:
    """Snakemake's own heading for what has none is "Other"."""
    text = rules()
    entries = re.findall(r"\breport\(\n(.*?)\n        \)", text, re.DOTALL)
    assert len(entries) == len(re.findall(r"\breport\(", text)) > 15
    fields = ("caption=", "category=", "subcategory=", "labels=")
    assert [entry for entry in entries if not all(f"            {field}" in entry for field in fields)] == []


def test_what_slurm_runs_as_one_job_ends_within_the_hour() -> None:
    """A group's time limit is the sum of its jobs' and a job over its partition's limit is never started."""
    profile = yaml.safe_load((REPOSITORY / "workflow" / "profiles" / "slurm" / "config.yaml").read_text())
    group_of = dict(entry.split("=") for entry in profile["groups"])
    text = rules()
    asked = re.findall(r"^rule (\w+):(?:\n(?:    .*)?)*?\n        runtime=\"(\d+)(m|h)\"", text, re.MULTILINE)
    minutes = {name: int(number) * (60 if unit == "h" else 1) for name, number, unit in asked}
    minutes |= {name: minutes[base] for base, name in re.findall(r"^use rule (\w+) as (\w+)", text, re.MULTILINE)}
    assert set(group_of) <= set(minutes)
    jobs = {**EVERYTHING, "deviations": 1, "deviations_page": 1}
    tables = sum(jobs[rule] * minutes[rule] for rule, group in group_of.items() if group == "tables")
    figures = max(minutes[rule] for rule, group in group_of.items() if group == "figures")
    components = dict(entry.split("=") for entry in profile["group-components"])
    assert 0 < tables <= 60 and 0 < figures * int(components["figures"]) <= 60


def test_second_run_has_nothing_to_do(smoke_run: Checkout) -> None:
    before = smoke_run.results()
    again = smoke_run.snakemake()
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout
    assert smoke_run.results() == before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("src/nash_dqn/games/market.py", EVERYTHING),
        ("workflow/scripts/_job.py", {**EVERYTHING, "deviations": 1, "deviations_page": 1}),
        ("src/nash_dqn/plots/fig1_beta_sweep.py", {"all": 1, "plot_beta_sweep": 1}),
        ("workflow/scripts/plot_cross_play.py", {"all": 1, "plot_cross_play": SCENARIOS}),
        ("src/nash_dqn/evaluation/lq_error.py", {"all": 1, "lq_error": 1, "plot_lq_policies": 1}),
        ("workflow/scripts/plot_exploitability.py", {"all": 1, "plot_exploitability": SCENARIOS}),
        ("src/nash_dqn/evaluation/data_efficiency.py", DATA_EFFICIENCY),
        ("src/nash_dqn/evaluation/reference.py", {**DATA_EFFICIENCY, "reference": SCENARIOS}),
    ],
)
def test_editing_code_makes_again_what_runs_it(finished: Checkout, name: str, expected: dict[str, int]) -> None:
    finished.edit(name, comment)
    assert finished.planned() == expected


def test_editing_the_training_of_one_algorithm_spares_the_other(finished: Checkout) -> None:
    finished.edit("src/nash_dqn/agents/fictitious_play.py", comment)
    spared = {"train_nash_dqn", "train_self_play", "beta_sweep", "plot_beta_sweep"}
    again = {rule: count for rule, count in EVERYTHING.items() if rule not in spared}
    assert finished.planned() == {**again, "exploitability": SCENARIOS, "data_efficiency": SCENARIOS}


def test_editing_self_play_spares_what_does_not_use_the_reference(finished: Checkout) -> None:
    finished.edit("src/nash_dqn/agents/self_play.py", comment)
    using = ["train_self_play", "exploitability_table", "data_efficiency", "data_efficiency_table", "reference"]
    using += ["policy_grid", "policy_distance", "cross_play", "cross_play_tests", "plot_policies"]
    using += ["cross_play_tests_page"]
    using += ["plot_other_policies", "plot_cross_play", "plot_training_curves"]
    using += ["plot_exploitability", "plot_data_efficiency", "claims", "claims_page", "explorer", "all"]
    # Of the policies whose exploitability is measured, one is the reference.
    assert finished.planned() == {**{rule: EVERYTHING[rule] for rule in using}, "exploitability": SCENARIOS}


def test_measuring_another_policy_spares_the_others(finished: Checkout) -> None:
    finished.configure(lambda config: config["exploitability"]["policies"]["fictitious_play"].append("average"))
    measured = ["exploitability", "data_efficiency"]
    measured += [f"{name}_table" for name in measured] + [f"plot_{name}" for name in measured] + ["reference"]
    assert finished.planned() == {**dict.fromkeys(measured, SCENARIOS), "claims": 1, "claims_page": 1, "all": 1}


def test_new_beta_trains_it_alone(finished: Checkout) -> None:
    finished.configure(lambda config: config["beta_sweep"].update(betas=[0, 7.5, 100]))
    assert finished.planned() == {
        "all": 1,
        "train_nash_dqn": 1,
        "beta_sweep": 1,
        "plot_beta_sweep": 1,
        "claims": 1,
        "claims_page": 1,
    }


def test_new_level_of_the_tests_makes_them_again(finished: Checkout) -> None:
    finished.configure(lambda config: config["cross_play"].update(alpha=0.01))
    assert finished.planned() == {
        "all": 1,
        "cross_play_tests": SCENARIOS,
        "cross_play_tests_page": SCENARIOS,
        "plot_cross_play": SCENARIOS,
        "claims": 1,
        "claims_page": 1,
    }


def test_swapped_values_are_noticed(finished: Checkout) -> None:
    """Snakemake compares params as a set of values: two scalars that change places would go unseen."""
    finished.configure(lambda config: config["cross_play"].update(points=20, paths=5))
    expected = {"all": 1, **dict.fromkeys(("cross_play", "cross_play_tests", "cross_play_tests_page"), SCENARIOS)}
    assert finished.planned() == {**expected, "plot_cross_play": SCENARIOS, "claims": 1, "claims_page": 1}


def test_new_scenario_value_spares_the_other_scenario(finished: Checkout) -> None:
    finished.configure(lambda config: config["scenarios"]["table1"].update(sigma=0.02))
    assert finished.planned() == {**IN_EACH_SCENARIO, **ONCE}


def test_what_changes_no_result_makes_nothing_again(finished: Checkout) -> None:
    """A moved checkout, new time stamps, comments, code that no job runs, and entries that no job reads."""

    def add_unused(config: dict[str, Any]) -> None:
        config["scenarios"]["unused"] = {**config["scenarios"]["table1"], "kappa": 0.9}
        config["nash_dqn"]["unused"] = {**config["nash_dqn"]["paper"], "iterations": 77}
        config["self_play"]["unused"] = {**config["self_play"]["memory"], "hidden": [7]}
        config["comparisons"]["unused"] = {"nash_dqn": "unused", "fictitious_play": "released"}

    finished.configure(add_unused)
    (finished.root / "src/nash_dqn/unused.py").write_text("")
    for name in (".test/config/config.yaml", "workflow/rules/figures.smk", "workflow/report/claims.rst"):
        finished.edit(name, comment)
    finished.edit("environment.yml", comment)
    for name in COPIED:
        for path in [finished.root / name, *(finished.root / name).rglob("*")]:
            path.touch()
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("points: 5", "point: 5", r"cross_play\.point: unknown key .* did you mean 'points'\?"),
        (
            "iterations: 40",
            "iterations: forty",
            r"nash_dqn\.paper\.iterations: got \"forty\", expected a whole",
        ),
        (
            "{nash_dqn: paper",
            "{nash_dqn: papr",
            r"comparisons\.paper\.nash_dqn: got \"papr\", expected a name",
        ),
        ("seeds: [1, 2]", "seeds: [1, 2", r"config/config\.yaml: line \d+, column \d+: "),
        (
            "authors: null",
            "authors: nowhere",
            r"authors: got \"nowhere\", expected a folder .* there is no such folder",
        ),
        (
            "device: cpu",
            "device: cpu\ndevice: cpu",
            r"config/config\.yaml: line \d+, column 1: duplicate key",
        ),
    ],
)
def test_wrong_configuration_is_one_line_and_harms_nothing(
    finished: Checkout, right: str, wrong: str, line: str
) -> None:
    before = finished.results()
    finished.edit(".test/config/config.yaml", lambda text: text.replace(right, wrong, 1))
    run = finished.snakemake()
    assert run.returncode != 0
    *head, message = run.stdout.splitlines()
    assert re.fullmatch(rf"Error.*{line}.*", message)
    assert len(head) == 1  # which profile is used
    assert finished.results() == before


@pytest.mark.parametrize(
    "target",
    [
        "results/table1/nash_dqn/papr/beta_100/weights.safetensors",
        "results/table1/exploitability/nash_dqn/average.csv",  # a recipe of another algorithm
        "results/table1/lq_error.csv",  # a scenario that is not linear-quadratic
        "results/released/ablation/paper-everything/weights.safetensors",  # to the first, switches are added
    ],
)
def test_unknown_targets_are_refused(finished: Checkout, target: str) -> None:
    run = finished.snakemake(target)
    assert run.returncode != 0
    assert f"No rule to produce {target}" in run.stdout


def test_failure_is_told_on_the_terminal_and_in_the_log_and_spares_the_rest(finished: Checkout) -> None:
    weights = finished.run_directory / "results/table1/fictitious_play/released/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    other = finished.run_directory / "figures/released/fig1_beta_sweep.png"
    other.unlink()
    run = finished.snakemake("results/table1/cross_play.csv", "figures/released/fig1_beta_sweep.png")
    assert run.returncode != 0
    log = (finished.run_directory / "logs/table1/cross_play.log").read_text()
    message = r"ArtifactError: results/table1/fictitious_play/released/weights\.safetensors: truncated or edited"
    assert re.search(message, log)
    assert re.search(rf"^{message}.*\(see logs/table1/cross_play\.log\)$", run.stdout, re.M)
    assert other.exists()


def test_the_same_bytes_come_out_on_one_core(finished: Checkout) -> None:
    """A figure and all it is made from, from the trainings on: another folder, time zone and hash seed, one core."""
    before = finished.results()
    figure = "figures/table1/data_efficiency.pdf"
    expected = {"train_nash_dqn": 1, "train_fictitious_play": 1, "train_self_play": 1, "exploitability": 3}
    expected |= {"data_efficiency": 2, "exploitability_table": 1, "data_efficiency_table": 1, "plot_data_efficiency": 1}
    assert finished.planned("--forceall", figure) == expected
    run = finished.snakemake("--forceall", "--cores", "1", figure, TZ="Asia/Kolkata", PYTHONHASHSEED="7")
    assert run.returncode == 0, run.stdout
    after = finished.results()
    assert set(after) == set(before)
    made = {name for name in after if after[name][1] != before[name][1]}
    assert {Path(name).suffix for name in made} == {".safetensors", ".csv", ".json", ".pdf", ".png"}
    differ = {name for name in made if after[name][0] != before[name][0]}
    timed = {name for name in made if name.endswith("/run.json") or "/data_efficiency_time." in name}
    assert differ <= timed
    assert len(made) - len(timed) == 3 * 3 + 3 + 1 + 2 + 1 + 2  # of trainings, tables, and one figure


def test_cache_between_workflows_knows_the_code(smoke_run: Checkout, tmp_path: Path) -> None:
    cache = tmp_path / "shared"
    cache.mkdir()
    target = "results/table1/nash_dqn/released/beta_50/weights.safetensors"

    def train(name: str, edited: bool) -> str:
        checkout = Checkout.copy_repository(tmp_path / name)
        if edited:
            checkout.edit("src/nash_dqn/agents/nash_dqn.py", comment)
        run = checkout.snakemake("--cache", "--", target, SNAKEMAKE_OUTPUT_CACHE=str(cache))
        assert run.returncode == 0, run.stdout
        weights = smoke_run.run_directory / target
        assert (checkout.run_directory / target).read_bytes() == weights.read_bytes()
        return run.stdout

    assert "Moving output file" in train("first", edited=False)
    assert "Moving output file" not in train("second", edited=False)
    assert "Moving output file" in train("third", edited=True)


def test_lint_is_clean(smoke_run: Checkout) -> None:
    lint = smoke_run.snakemake("--lint")
    assert lint.returncode == 0, lint.stdout
    assert "Congratulations, your workflow is in a good condition!" in lint.stdout
