"""The tables of several policies as one."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_tables, write_csv

write_csv(snakemake.output[0], read_tables(snakemake.input, ["scenario"]))
