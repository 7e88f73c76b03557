"""What an edit, or a file that is gone, makes again: dry runs after the toy run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.workflow.conftest import Checkout

# What a change of the training code of every policy makes again: jobs by rule.
IN_SCENARIO = {
    **{"train_fictitious_play": 2, "train_nash_dqn": 3, "train_self_play": 1},
    **dict.fromkeys(("policy_grid", "policy_distance", "cross_play", "cross_play_tests", "reference"), 1),
    **{"exploitability": 3, "data_efficiency": 2, "exploitability_table": 1, "data_efficiency_table": 1},
    **{"plot_policies": 1, "plot_other_policies": 3, "plot_cross_play": 1, "plot_training_curves": 1},
    **dict.fromkeys(("plot_exploitability", "plot_data_efficiency", "plot_data_efficiency_time"), 1),
    **{"claims": 1, "explorer": 1, "all": 1},
}
OF_FIG1 = {"train_nash_dqn": 2, "beta_sweep": 1, "plot_beta_sweep": 1}
IN_LQ_SCENARIO = {"train_fictitious_play": 1, "train_nash_dqn": 1, "lq_error": 1, "plot_lq_policies": 1}
MARKET = "src/nash_dqn/games/market.py"
MORE_CODE = "{}\nedited = True\n".format
EVERYTHING = dict(Counter(IN_SCENARIO) + Counter(OF_FIG1) + Counter(IN_LQ_SCENARIO))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([MARKET], EVERYTHING),
        # Of rules that share a script, those alone whose module it is.
        (
            [
                f"src/nash_dqn/{name}.py"
                for name in ("plots/fig1_beta_sweep", "plots/fig2_policies", "evaluation/lq_error")
            ],
            {
                **{"plot_beta_sweep": 1, "plot_policies": 1, "plot_other_policies": 3, "lq_error": 1},
                **{"plot_lq_policies": 1, "explorer": 1, "all": 1},  # the explorer has colours of Fig. 2
            },
        ),
        (
            ["src/nash_dqn/agents/fictitious_play.py"],
            {
                **{rule: count for rule, count in EVERYTHING.items() if rule not in {*OF_FIG1, "train_self_play"}},
                **{"exploitability": 1, "data_efficiency": 1},  # of its own policy
            },
        ),
    ],
)
def test_editing_code_makes_again_what_runs_it(finished: Checkout, names: list[str], expected: dict[str, int]) -> None:
    for name in names:
        finished.edit(name, MORE_CODE)
    assert finished.planned() == expected


def test_what_is_missing_is_made_again(finished: Checkout) -> None:
    """Also what nothing that is there would be made from again: files that are kept for their own sake."""
    lost = ["results/code/nash-unstopped+beta=0/weights.safetensors", "results/lq_code/lq_scatter.csv"]
    lost += ["results/deviations.html", "figures/code/fig3_cross_play.png"]
    for name in lost:
        (finished.run_directory / name).unlink()
    assert finished.planned() == {
        **{"train_nash_dqn": 1, "beta_sweep": 1, "plot_beta_sweep": 1, "claims": 1, "all": 1},
        **{"lq_error": 1, "plot_lq_policies": 1, "deviations": 1, "plot_cross_play": 1},
    }


def test_changed_settings_are_named(finished: Checkout) -> None:
    """In a line for all trainings that they concern, also those of the linear twin, which is based on the market."""
    finished.configure(policies={"fp-code": {"target_rate": 0.4}}, scenarios={"code": {"kappa": 0.4}})
    said = finished.snakemake("-n", "train").stdout
    found = dict(re.findall(r"^Trained with (.+): (results/\S+(?: and \d+ more)?)\.$", said, re.M))
    assert found == {
        "kappa: 0.5, now 0.4": "results/code/nash-code and 6 more",
        "kappa: 0.5, now 0.4; target_rate: 0.5, now 0.4": "results/code/fp-average and 2 more",
    }


AT_THE_END = {"claims": 1, "all": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # Four at once, of which none makes again what another does, but for what comes at the end.
        (
            {
                "exploitability": {"policies": ["nash-refined", "fp-code", "fp-average", "reference"]},
                "beta_sweep": {"betas": [0, 7.5, 100]},
                # Snakemake compares params as a set of values: two scalars that change places would go unseen.
                "cross_play": {"points": 20, "paths": 5},
                "scenarios": {"lq_code": {"sigma": 0.2}},
            },
            Counter(
                [*("exploitability", "data_efficiency", "reference", "exploitability_table", "data_efficiency_table")]
                + ["plot_exploitability", "plot_data_efficiency", "plot_data_efficiency_time"]
                + ["train_nash_dqn", "beta_sweep", "plot_beta_sweep"]
                + ["cross_play", "cross_play_tests", "plot_cross_play"]
            )
            + Counter({**IN_LQ_SCENARIO, **AT_THE_END}),
        ),
        # A scenario more makes nothing again of the others.
        ({"run": {"scenarios": ["code", "table1"]}}, IN_SCENARIO),
    ],
)
def test_new_settings_make_again_what_depends_on_them(finished: Checkout, change: Any, expected: Any) -> None:
    finished.configure(**change)
    assert finished.planned() == expected


def test_what_changes_no_result_makes_nothing_again(finished: Checkout, tmp_path: Path) -> None:
    """A moved checkout, new time stamps, comments, code that no job runs, and entries that no job reads; values in
    another order, repeated by a file that is laid over, written otherwise, or spelt out though they are defaults.
    """
    before = finished.results()
    finished.configure(
        scenarios={"unused": {"base": "table1", "kappa": 0.9}},
        policies={"unused": {"base": "nash-text", "iterations": 77}, "nobodys": {"base": "reference", "hidden": [7]}},
    )
    path = finished.run_directory / "config" / "config.yaml"
    path.write_text(yaml.safe_dump(dict(reversed(yaml.safe_load(path.read_text()).items())), sort_keys=True))
    overlay = tmp_path / "my.yaml"
    overlay.write_text(
        "scenarios: {code: {theta: 10.0, kappa: 0.5}, table1: {initial_price_sd: null, horizon: 5.0}}\n"
        "seeds: [2, 1]\nbeta_sweep: {betas: [100, 0.0]}\ncross_play: {alpha: 0.05}\n"
        "policies: {nash-text: {penalty: {beta: 100.0, norm: l1}}}\nrobustness: {policies: [nash-refined-same]}\n"
    )
    (finished.root / "src/nash_dqn/unused.py").write_text("")
    for name in (".test/config/config.yaml", "workflow/rules/draw.smk", "workflow/report/claims.rst", MARKET):
        finished.edit(name)
    for name in finished.copied:
        for path in [finished.root / name, *(finished.root / name).rglob("*")]:
            path.touch()
    assert finished.run("--configfile", str(overlay)) == {}
    assert finished.results() == before


def test_wrong_configuration_is_one_line_and_harms_nothing(finished: Checkout) -> None:
    before = finished.results()
    finished.edit(".test/config/config.yaml", lambda text: text.replace("points: 5,", "point: 5,", 1))
    run = finished.snakemake()
    assert run.returncode != 0
    *head, message = run.stdout.splitlines()
    assert re.fullmatch(r"Error.*cross_play\.point: unknown key .* did you mean 'points'\?.*", message)
    assert len(head) == 1  # which profile is used
    assert finished.results() == before


def test_failure_is_told_on_the_terminal_and_in_the_log_and_spares_the_rest(finished: Checkout) -> None:
    weights = finished.run_directory / "results/code/fp-code/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    other = finished.run_directory / "results/deviations.html"
    other.unlink()
    run = finished.snakemake("results/code/cross_play.csv", "results/deviations.html")
    assert run.returncode != 0
    log = (finished.run_directory / "logs/code/cross_play.log").read_text()
    message = r"ArtifactError: results/code/fp-code/weights\.safetensors: truncated or edited"
    assert re.search(message, log)
    assert re.search(rf"^{message}.*\(see logs/code/cross_play\.log\)$", run.stdout, re.M)
    assert other.exists()
