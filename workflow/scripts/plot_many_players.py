"""What is learned with more and more agents, and how near the limit their exact equilibria are."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_table
from nash_dqn.plots.many_players import ERROR_COLUMNS, LIMIT_COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(
    read_table(snakemake.input.errors, ERROR_COLUMNS),
    read_table(snakemake.input.limit, LIMIT_COLUMNS),
)
save(figure, [snakemake.output.pdf, snakemake.output.png])
