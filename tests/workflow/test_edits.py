"""What an edit, or a file that is gone, makes again: dry runs after the toy run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.workflow.conftest import Checkout

SCENARIOS = 2  # of the toy configuration, and one linear-quadratic one beside them

# What a change of the training code of every policy makes again: jobs by rule.
IN_EACH_SCENARIO = {
    **{"train_fictitious_play": 2, "train_nash_dqn": 3, "train_self_play": 1},
    **dict.fromkeys(("policy_grid", "policy_distance", "cross_play", "cross_play_tests", "cross_play_tests_page"), 1),
    **{"exploitability": 3, "data_efficiency": 2, "ddpg_best_response": 2, "join_tables": 3, "reference": 1},
    **{"ddpg_best_response_page": 1, "plot_policies": 1, "plot_other_policies": 3, "plot_cross_play": 1},
    **{"plot_training_curves": 1, "plot_exploitability": 1, "plot_data_efficiency": 1, "plot_data_efficiency_time": 1},
}
OF_FIG1 = {"train_nash_dqn": 2, "beta_sweep": 1, "plot_beta_sweep": 1}  # in one of them
IN_LQ_SCENARIO = {"train_fictitious_play": 1, "train_nash_dqn": 1, "lq_error": 1, "plot_lq_policies": 1}
CLAIMS = {"claims": 1, "claims_page": 1, "all": 1}
ONCE = {**CLAIMS, "explorer": 1}
EVERYTHING = {
    rule: SCENARIOS * IN_EACH_SCENARIO.get(rule, 0) + sum(of.get(rule, 0) for of in (OF_FIG1, IN_LQ_SCENARIO, ONCE))
    for rule in {**IN_EACH_SCENARIO, **OF_FIG1, **IN_LQ_SCENARIO, **ONCE}
}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["src/nash_dqn/games/market.py"], EVERYTHING),
        (["workflow/scripts/_job.py"], {**EVERYTHING, "deviations": 1, "deviations_page": 1}),
        # Of rules that share a script, those alone whose module it is.
        (
            [
                f"src/nash_dqn/{name}.py"
                for name in ("plots/fig1_beta_sweep", "plots/fig2_policies", "evaluation/lq_error")
            ],
            {
                **{"plot_beta_sweep": 1, "plot_policies": 2, "plot_other_policies": 6, "lq_error": 1},
                **{"plot_lq_policies": 1, "explorer": 1, "all": 1},  # the explorer has colours of Fig. 2
            },
        ),
        (
            ["src/nash_dqn/agents/fictitious_play.py"],
            {
                rule: count
                for rule, count in EVERYTHING.items()
                if rule not in ("train_nash_dqn", "train_self_play", "beta_sweep", "plot_beta_sweep")
            },
        ),
    ],
)
def test_editing_code_makes_again_what_runs_it(finished: Checkout, names: list[str], expected: dict[str, int]) -> None:
    for name in names:
        finished.edit(name)
    assert finished.planned() == expected


def test_what_is_missing_is_made_again(finished: Checkout) -> None:
    """Also what nothing that is there would be made from again: files that are kept for their own sake."""
    lost = ["results/released/nash_dqn/unstopped/beta_0/weights.safetensors", "results/lq_released/lq_scatter.csv"]
    lost += ["results/table1/ddpg_best_response/nash_dqn/paper.csv", "results/deviations.csv"]
    lost += ["figures/table1/fig3_cross_play.png"]
    for name in lost:
        (finished.run_directory / name).unlink()
    assert finished.planned() == {
        **{"train_nash_dqn": 1, "beta_sweep": 1, "plot_beta_sweep": 1, **CLAIMS},
        **{"ddpg_best_response": 1, "join_tables": 1, "ddpg_best_response_page": 1},
        **{"lq_error": 1, "plot_lq_policies": 1, "deviations": 1, "deviations_page": 1, "plot_cross_play": 1},
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"exploitability": {"policies": {"fictitious_play": ["released", "average"]}}},
            {
                **dict.fromkeys(("exploitability", "data_efficiency", "reference"), SCENARIOS),
                **dict.fromkeys(
                    ("plot_exploitability", "plot_data_efficiency", "plot_data_efficiency_time"), SCENARIOS
                ),
                **{"join_tables": 2 * SCENARIOS, **CLAIMS},
            },
        ),
        (
            {"beta_sweep": {"betas": [0, 7.5, 100]}},
            {"train_nash_dqn": 1, "beta_sweep": 1, "plot_beta_sweep": 1, **CLAIMS},
        ),
        # Snakemake compares params as a set of values: two scalars that change places would go unseen.
        (
            {"cross_play": {"points": 20, "paths": 5}},
            {
                **dict.fromkeys(("cross_play", "cross_play_tests", "cross_play_tests_page"), SCENARIOS),
                **{"plot_cross_play": SCENARIOS, **CLAIMS},
            },
        ),
        (
            {"scenarios": {"table1": {"sigma": 0.02}, "released": {"sigma": 0.1}}},
            {**IN_EACH_SCENARIO, **ONCE},
        ),
    ],
)
def test_new_settings_make_again_what_depends_on_them(finished: Checkout, change: Any, expected: Any) -> None:
    finished.configure(**change)
    assert finished.planned() == expected


def test_what_changes_no_result_makes_nothing_again(finished: Checkout) -> None:
    """A moved checkout, new time stamps, comments, code that no job runs, and entries that no job reads."""
    finished.configure(
        scenarios={"unused": {"base": "table1", "kappa": 0.9}},
        nash_dqn={"unused": {"base": "paper", "iterations": 77}},
        self_play={"unused": {"base": "memory", "hidden": [7]}},
        comparisons={"unused": {"nash_dqn": "unused", "fictitious_play": "released"}},
    )
    (finished.root / "src/nash_dqn/unused.py").write_text("")
    for name in (".test/config/config.yaml", "workflow/rules/draw.smk", "workflow/report/claims.rst"):
        finished.edit(name)
    for name in finished.copied:
        for path in [finished.root / name, *(finished.root / name).rglob("*")]:
            path.touch()
    assert finished.planned() == {}


def test_what_means_the_same_makes_nothing_again(finished: Checkout, tmp_path: Path) -> None:
    """Values repeated by a file that is laid over, written otherwise, spelt out though they are defaults, or turned."""
    path = finished.run_directory / "config" / "config.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(dict(reversed(content.items())), sort_keys=True))
    overlay = tmp_path / "my.yaml"
    overlay.write_text(
        "scenarios: {released: {theta: 10.0, kappa: 0.5}, table1: {initial_price_sd: null, horizon: 5.0}}\n"
        "seeds: [2, 1]\nbeta_sweep: {betas: [100, 0.0]}\ncross_play: {alpha: 0.05}\n"
        "nash_dqn: {paper: {penalty: {beta: 100.0, norm: l1}}}\nrobustness: {nash_dqn: [refined_same]}\n"
    )
    assert finished.planned() == {}
    assert finished.planned("--configfile", str(overlay)) == {}


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("points: 5,", "point: 5,", r"cross_play\.point: unknown key .* did you mean 'points'\?"),
        ("seeds: [1, 2]", "seeds: [1, 2", r"config/config\.yaml: line \d+, column \d+: "),
        (
            "seeds: [1, 2]",
            "authors: nowhere",
            r"authors: got \"nowhere\", expected a folder .* there is no such folder",
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
        "results/general/traders/cross_play.csv",  # a game beyond the market
    ],
)
def test_unknown_targets_are_refused(smoke_run: Checkout, target: str) -> None:
    run = smoke_run.snakemake("--dry-run", target)
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
