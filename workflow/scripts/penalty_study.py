"""Losses and exploitability of the penalty study as one table, and which beta is the better in each of them."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, read_table, write_csv
from nash_dqn.studies.penalty_study import Studied, compare, table
from nash_dqn.table_page import write_with_page

settings, files = snakemake.params.settings, snakemake.input
gains = ["seed", "deviator", "gain", "low", "high"]
trainings = [
    Studied(
        read_table(history, ["seed", "iteration", "loss", "psi_abs", "resets"]),
        read_json(record),
        read_table(kept, [*gains, "transitions"]),
        read_table(returned, [*gains, "player"]),
    )
    for history, record, kept, returned in zip(files.histories, files.records, files.kept, files.returned, strict=True)
]
found = table(trainings, settings["iterations"], settings["window"])
compared = compare(found, settings["betas"], settings["iterations"])
for rows in (found, compared):
    rows.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output.table, found)
write_with_page(compared, snakemake.output.tests, snakemake.output.page, snakemake.params.title)
