"""The tables of several policies as one, and that as a page."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_tables
from nash_dqn.table_page import write_with_page

rows = read_tables(snakemake.input, ["scenario"])
write_with_page(rows, snakemake.output.table, snakemake.output.page, snakemake.params.title)
