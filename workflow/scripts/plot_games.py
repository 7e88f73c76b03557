"""Learned policies against exact equilibria of games beyond the paper's."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_tables
from nash_dqn.plots.games import ERROR_COLUMNS, SCATTER_COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(
    read_tables(snakemake.input.errors, ERROR_COLUMNS),
    read_tables(snakemake.input.scatter, SCATTER_COLUMNS),
)
save(figure, [snakemake.output.pdf, snakemake.output.png])
