"""Fig. 3: rewards when the policies play each other."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_table
from nash_dqn.plots.fig3_cross_play import POINTS_COLUMNS, TESTS_COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(
    read_table(snakemake.input.points, POINTS_COLUMNS),
    read_table(snakemake.input.tests, TESTS_COLUMNS),
    alpha=snakemake.params.settings["alpha"],
)
save(figure, [snakemake.output.pdf, snakemake.output.png])
