"""What deviators gain against the policies that stood at some iterations of a training."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, write_csv
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.evaluation.data_efficiency import load_snapshots
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process
from nash_dqn.studies.penalty_study import along

configure_process()
settings = snakemake.params.settings
table = along(
    make(**settings["game"]),
    load_snapshots(snakemake.input.snapshots),
    read_json(snakemake.input.record),
    settings["iterations"],
    BestResponseSettings(**settings["best_response"]),
    settings["paths"],
    settings["validation_paths"],
)
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
