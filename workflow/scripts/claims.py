"""The published claims, each with a verdict, over all scenarios of the run."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, read_tables
from nash_dqn.evaluation.claims import claims
from nash_dqn.table_page import write_with_page

names = ["beta_sweep", "policy_distance", "cross_play", "tests", "exploitability", "data_efficiency"]
tables = [read_tables(snakemake.input[name], ["scenario"]) for name in names]
rows = claims(*tables, [read_json(path) for path in snakemake.input.trainings])
write_with_page(rows, snakemake.output.table, snakemake.output.page, snakemake.params.title)
