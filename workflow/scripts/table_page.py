"""A table as a page of the report, which shows CSV files only as downloads."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import atomic_path, read_table
from nash_dqn.table_page import render_page

page = render_page(read_table(snakemake.input[0], []), snakemake.params.settings["title"])
with atomic_path(snakemake.output[0]) as temporary:
    temporary.write_text(page, encoding="utf-8")
