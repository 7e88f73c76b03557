"""Accuracy against joint transitions and, in a figure of its own, against time."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, read_table
from nash_dqn.plots.data_efficiency import COLUMNS, GAINS_COLUMNS, plot, plot_time
from nash_dqn.plots.style import save

learning = read_table(snakemake.input.learning, COLUMNS)
gains = read_table(snakemake.input.exploitability, GAINS_COLUMNS)
records = [read_json(path) for path in snakemake.input.records]
save(plot(learning, gains), [snakemake.output.pdf, snakemake.output.png])
save(plot_time(learning, gains, records), [snakemake.output.time_pdf, snakemake.output.time_png])
