"""Paths of equilibria from one scenario to another."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_tables
from nash_dqn.plots.equilibrium_path import COLUMNS, plot
from nash_dqn.plots.style import save

save(plot(read_tables(snakemake.input, COLUMNS)), [snakemake.output.pdf, snakemake.output.png])
