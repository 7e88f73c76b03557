"""Accuracy against joint transitions and against time."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_table
from nash_dqn.plots.data_efficiency import COLUMNS, GAINS_COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(
    read_table(snakemake.input.learning, COLUMNS),
    read_table(snakemake.input.exploitability, GAINS_COLUMNS),
)
save(figure, [snakemake.output.pdf, snakemake.output.png])
