"""Exploitability after each change of a recipe."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_table
from nash_dqn.plots.ablation import COLUMNS, SEED_COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(read_table(snakemake.input.table, COLUMNS), read_table(snakemake.input.seeds, SEED_COLUMNS))
save(figure, [snakemake.output.pdf, snakemake.output.png])
