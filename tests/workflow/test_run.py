"""What the toy run leaves: every table and figure, records, logs, a report."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nash_dqn.artifacts import read_table, read_tensors
from nash_dqn.progress import last_step
from nash_dqn.status import summarise

if TYPE_CHECKING:
    from tests.workflow.conftest import Checkout

OF_TRAINING = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")
TRAINED = (
    *(f"code/nash-{name}" for name in ("text", "code", "refined", "unstopped+beta=0", "unstopped+beta=100")),
    *("code/fp-code", "code/fp-average", "code/reference", "lq_code/nash-lq", "lq_code/fp-lq"),
)
COMPARED = ("nash-text-vs-fp-code", "nash-refined-vs-fp-code", "nash-refined-vs-reference")
FOLLOWED = ("nash-refined", "fp-code")
TABLES = (
    *("policy_grid", "policy_distance", "cross_play", "cross_play_tests", "reference"),
    *("exploitability", *(f"{policy}/exploitability" for policy in (*FOLLOWED, "reference"))),
    *("data_efficiency", *(f"{policy}/data_efficiency" for policy in FOLLOWED)),
)
FIGURES = (
    *("fig2_policies", *(f"fig2_policies_{name}" for name in COMPARED), "fig3_cross_play"),
    *("fig1_beta_sweep", "training_curves", "exploitability", "data_efficiency", "data_efficiency_time"),
)


def pictures(*paths: str) -> set[str]:
    return {f"figures/{path}.{suffix}" for path in paths for suffix in ("pdf", "png")}


def test_smoke_run_makes_every_table_and_figure(smoke_run: Checkout) -> None:
    """And asks for each of them, so that any of them that is missing is made again."""
    made = smoke_run.results()
    assert all((smoke_run.run_directory / name).stat().st_size > 0 for name in made)
    expected = {f"results/{run}/{name}" for run in TRAINED for name in OF_TRAINING}
    expected |= {f"results/code/{table}.csv" for table in (*TABLES, "beta_sweep")}
    expected |= {"results/code/cross_play_tests.html"}
    expected |= pictures(*(f"code/{figure}" for figure in FIGURES), "lq_code/lq_policies")
    expected |= {f"results/lq_code/{table}.csv" for table in ("lq_error", "lq_scatter")}
    expected |= {f"results/{table}.{suffix}" for table in ("claims", "deviations") for suffix in ("csv", "html")}
    assert set(made) == expected | {"figures/explorer.html"}
    asked = re.search(r"^(?:local)?rule all:\n    input: (.+)$", smoke_run.snakemake("-n", "--forceall").stdout, re.M)
    assert asked is not None and set(asked[1].split(", ")) == set(made)


def test_a_record_names_its_setting_and_a_policy_is_trained_from_its_own_seeds(smoke_run: Checkout) -> None:
    results = smoke_run.run_directory / "results"
    record = json.loads((results / "code/nash-unstopped+beta=0/run.json").read_text())
    assert record["config"]["game"]["kappa"] == 0.5
    assert record["config"]["recipe"]["penalty"]["beta"] == 0
    assert [member["seed"] for member in record["members"]] == record["seeds"] == [1, 2]
    own_seeds = json.loads((results / "lq_code/fp-lq/run.json").read_text())
    assert own_seeds["seeds"] == [1, 2, 3] and "seeds" not in own_seeds["config"]["recipe"]
    assert own_seeds["config"]["game"]["impact"] == "linear"


def test_who_is_measured_and_compared_on_which_seeds(smoke_run: Checkout) -> None:
    """nash-refined has the seeds 1, 2, 3; fictitious play has 1, 2, and the reference 1. Pairs meet on those that
    both have; policies are measured along trainings that are long enough."""
    results = smoke_run.run_directory / "results/code"
    rewards = read_table(results / "cross_play.csv", ["comparison", "other", "seed_nash", "seed_other"])
    met = rewards[["comparison", "other", "seed_nash", "seed_other"]].drop_duplicates().to_numpy().tolist()
    both = [[1, 1], [2, 2]]
    assert met == [
        *(["nash-code-vs-fp-average", "fp-average", *seeds] for seeds in both),
        *(["nash-text-vs-fp-code", "fp-code", *seeds] for seeds in both),
        *(["nash-refined-vs-fp-code", "fp-code", *seeds] for seeds in both),
        *(["nash-refined-vs-reference", "reference", seed, 1] for seed in (1, 2, 3)),
    ]
    learning = read_table(results / "data_efficiency.csv", ["policy", "algorithm", "seed", "transitions", "reference"])
    measured = [["nash-refined", "nash_dqn", seed] for seed in (1, 2, 3)]
    measured += [["fp-code", "fictitious_play", seed] for seed in (1, 2)]
    assert learning[["policy", "algorithm", "seed"]].to_numpy().tolist() == measured
    assert set(learning["transitions"]) == {10_000} and set(learning["reference"]) == {"reference"}
    assert read_tensors(results / "nash-code/snapshots.safetensors")[0] == {}


def test_the_run_kept_its_state_and_logs_hold_what_jobs_say(smoke_run: Checkout) -> None:
    status = summarise(smoke_run.run_directory)
    assert (status["state"], status["done"], status["active"]) == ("finished", status["jobs"], [])
    logs = smoke_run.run_directory / "logs"
    step = last_step((logs / "code/nash-unstopped+beta=0.log").read_bytes())
    assert step is not None and step.done == step.total
    all_logs = [*smoke_run.run_directory.glob(".snakemake/log/*.log"), *logs.rglob("*.log")]
    assert len(all_logs) > 35
    assert not [path for path in all_logs if {b"\x1b", b"\r"} & {bytes([byte]) for byte in path.read_bytes()}]
    # A font library tells each table of each font that it embeds.
    assert len((logs / "code/plot_cross_play.log").read_text().splitlines()) < 5


def test_report_shows_each_table_and_figure_with_its_caption(smoke_run: Checkout) -> None:
    report = smoke_run.run_directory / "report.html"
    assert smoke_run.snakemake("--report", "report.html").returncode == 0
    page = report.read_text(encoding="utf-8")
    report.unlink()
    assert not re.findall(r"""(?:src|href)=["']?https?:""", page)
    shown = [name for name in smoke_run.results() if name.endswith((".png", ".html"))]
    assert [name for name in shown if name not in page] == []
    assert page.count("What to conclude.") >= len(shown)


PLAN = """
import json

class Wildcards(dict):
    __getattr__ = dict.__getitem__

def priorities(*jobs):
    rules = {rule.name: rule.priority for rule in workflow.rules}
    return [rules[rule](Wildcards(of)) for rule, of in jobs]

with open("plan.json", "w") as file:
    order = [(rule, {"scenario": "code"}) for rule in ("plot_cross_play", "cross_play")]
    for scenario in config["run"]["scenarios"]:
        for policy in ("fp-average", "nash-text", "reference"):
            order.append((f"train_{algorithm_of(policy)}", {"scenario": scenario, "policy": policy}))
    order.append(("cross_play", {"scenario": "table1"}))
    runtimes = {job.name: str(job.resources["runtime"]) for job in JOBS}
    targets = [f"results/table1/{name}" for name in (
        "nash-text/weights.safetensors",
        "nash-txt/weights.safetensors",
        "fp-code+beta=3/weights.safetensors",  # of another algorithm than has betas
        "lq_error.csv",  # a scenario that is not linear-quadratic
    )]
    made = [name for name in targets if any(rule.is_producer(name) for rule in workflow.rules)]
    json.dump({"priorities": priorities(*order), "runtimes": runtimes, "made": made}, file)
"""


@pytest.fixture(scope="module")
def plan(smoke_run: Checkout, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the workflow says of its rules in a run of two scenarios, and that run's jobs."""
    checkout = smoke_run.copy(tmp_path_factory.mktemp("plan") / "checkout")
    checkout.configure(run={"scenarios": ["code", "table1"]})
    checkout.edit("workflow/Snakefile", lambda text: text + PLAN)
    jobs = checkout.planned("--forceall")
    return {**json.loads((checkout.run_directory / "plan.json").read_text()), "jobs": jobs}


def test_what_comes_first(plan: dict[str, Any]) -> None:
    """Figs. 1 to 3 of the first scenario come before all else, and of trainings the longest start first."""
    first, *later = plan["priorities"]
    assert later == sorted(later, reverse=True) and first == later[0]


def test_what_slurm_runs_as_one_job_ends_within_the_hour(plan: dict[str, Any], smoke_run: Checkout) -> None:
    """A group's time limit is the sum of its jobs' and a job over its partition's limit is never started."""
    profile = yaml.safe_load((smoke_run.root / "workflow/profiles/slurm/config.yaml").read_text())
    group_of = dict(entry.split("=") for entry in profile["groups"])
    minutes = {rule: int(plan["runtimes"][rule].removesuffix("m")) for rule in group_of}
    tables = sum(plan["jobs"][rule] * minutes[rule] for rule, group in group_of.items() if group == "tables")
    figures = max(minutes[rule] for rule, group in group_of.items() if group == "figures")
    components = dict(entry.split("=") for entry in profile["group-components"])
    assert 0 < tables <= 60 and 0 < figures * int(components["figures"]) <= 60


def test_no_rule_makes_what_is_misspelt(plan: dict[str, Any]) -> None:
    assert plan["made"] == ["results/table1/nash-text/weights.safetensors"]
