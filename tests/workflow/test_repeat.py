"""Runs that repeat what is there: to the same bytes, out of a cache, or beside the authors' policies."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nash_dqn.artifacts import read_table
from nash_dqn.seeding import generator

if TYPE_CHECKING:
    from tests.workflow.conftest import Checkout


def test_the_authors_policies_are_measured_where_their_weights_are_given(finished: Checkout, tmp_path: Path) -> None:
    """With made-up weights; everything that was there stays, and a file's content counts, not its date."""
    folder = tmp_path / "their repository" / "files"
    folder.mkdir(parents=True)
    stream = generator(1, "test_repeat")
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
    tables = [f"results/code/{name}.csv" for name in ("exploitability", "cross_play_tests", "reference")]
    figure = "figures/code/fig2_policies_authors-nash-vs-authors-fp.png"
    given = ("--config", f"authors={folder.parent}", "--", *tables, figure)
    expected = {"authors_policies": 1, "policy_grid": 1, "policy_distance": 1, "plot_other_policies": 1}
    expected |= {"cross_play": 1, "cross_play_tests": 1, "exploitability": 2, "exploitability_table": 1, "reference": 1}
    assert finished.run(*given) == expected
    gains = read_table(finished.run_directory / tables[0], ["policy", "algorithm", "seed", "gain"])
    theirs = gains[gains["policy"].str.startswith("authors-")]
    found = set(theirs[["policy", "algorithm", "seed"]].itertuples(index=False, name=None))
    assert found == {("authors-nash", "nash_dqn", 0), ("authors-fp", "fictitious_play", 0)}
    assert theirs["gain"].notna().all()
    tests = read_table(finished.run_directory / tables[1], ["comparison", "other", "scope"])
    assert set(tests[tests["comparison"] == "authors-nash-vs-authors-fp"]["other"]) == {"authors-fp"}
    assert finished.planned(*given) == {}
    state["policy_net.5.bias"] += 1
    torch.save(state, folder / "pol_net_it.pt")
    os.utime(folder / "pol_net_it.pt", (1e9, 1e9))
    assert finished.planned(*given) == expected
    without = finished.planned("--", *tables)
    assert without == {"cross_play": 1, "cross_play_tests": 1, "exploitability_table": 1, "reference": 1}


def test_the_same_bytes_come_out_on_one_core(finished: Checkout) -> None:
    """A figure and all it is made from, from the trainings on: another folder, time zone and hash seed, one core."""
    before = finished.results()
    figure = "figures/code/data_efficiency.pdf"
    expected = {"train_nash_dqn": 1, "train_fictitious_play": 1, "train_self_play": 1, "exploitability": 3}
    expected |= {"data_efficiency": 2, "plot_data_efficiency": 1}
    expected |= {"data_efficiency_table": 1, "exploitability_table": 1}
    other = {"TZ": "Asia/Kolkata", "PYTHONHASHSEED": "7"}
    assert finished.run("--forceall", "--cores", "1", figure, **other) == expected
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
    target = "results/code/nash-code/weights.safetensors"

    def train(name: str, edited: bool) -> str:
        checkout = smoke_run.copy_repository(tmp_path / name)
        if edited:
            checkout.edit("src/nash_dqn/agents/nash_dqn.py", "{}\nedited = True\n".format)
        run = checkout.snakemake("--cache", "--", target, SNAKEMAKE_OUTPUT_CACHE=str(cache))
        assert run.returncode == 0, run.stdout
        weights = smoke_run.run_directory / target
        assert (checkout.run_directory / target).read_bytes() == weights.read_bytes()
        return run.stdout

    assert "Moving output file" in train("first", edited=False)
    assert "Moving output file" not in train("second", edited=False)
    assert "Moving output file" in train("third", edited=True)
