"""Exploitability and distance to the reference of the policies kept along a training."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, write_csv
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.evaluation.data_efficiency import evaluate, load_snapshots
from nash_dqn.games.catalogue import make
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
table = evaluate(
    make(**settings["game"]),
    load_snapshots(snakemake.input.snapshots),
    read_json(snakemake.input.record),
    load_policy(snakemake.input.reference),
    BestResponseSettings(**settings["best_response"]),
    settings["deviator"],
    settings["paths"],
    settings["validation_paths"],
    settings["visited_episodes"],
)
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
