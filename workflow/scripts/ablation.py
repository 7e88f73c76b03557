"""What each change of a policy's settings buys: its exploitability, and the factor against the policy."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_tables, write_csv
from nash_dqn.evaluation.exploitability import COLUMNS
from nash_dqn.studies.ablation import by_seed, table
from nash_dqn.table_page import write_with_page

seeds = by_seed(read_tables(snakemake.input, ["scenario", *COLUMNS]), snakemake.params.settings)
write_csv(snakemake.output.seeds, seeds)
write_with_page(table(seeds), snakemake.output.table, snakemake.output.page, snakemake.params.title)
