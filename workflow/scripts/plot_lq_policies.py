"""Learned policies against the exact linear-quadratic equilibrium."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_table
from nash_dqn.plots.lq_policies import ERROR_COLUMNS, SCATTER_COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(
    read_table(snakemake.input.errors, ERROR_COLUMNS),
    read_table(snakemake.input.scatter, SCATTER_COLUMNS),
)
save(figure, [snakemake.output.pdf, snakemake.output.png])
