"""Fig. 1: loss against beta."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_table
from nash_dqn.plots.fig1_beta_sweep import COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(read_table(snakemake.input[0], COLUMNS))
save(figure, [snakemake.output.pdf, snakemake.output.png])
