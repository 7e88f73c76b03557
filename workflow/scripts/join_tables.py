"""The tables of several policies as one, and that as a page where the rule has one."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_tables, write_csv
from nash_dqn.table_page import write_with_page

rows, output = read_tables(snakemake.input, ["scenario"]), snakemake.output
if output.get("page"):
    write_with_page(rows, output.table, output.page, snakemake.params.title)
else:
    write_csv(output.table, rows)
