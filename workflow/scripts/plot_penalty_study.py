"""Why a small penalty fails: loss along training and exploitability at two betas."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_table
from nash_dqn.plots.penalty_study import COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(read_table(snakemake.input[0], COLUMNS))
save(figure, [snakemake.output.pdf, snakemake.output.png])
