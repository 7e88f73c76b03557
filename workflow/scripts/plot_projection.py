"""What a deviator gains where projected policies settle, and where trained ones do."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_tables
from nash_dqn.plots.projection import COLUMNS, TRAINED_COLUMNS, plot
from nash_dqn.plots.style import save

figure = plot(
    read_tables(snakemake.input.exact, COLUMNS),
    read_tables(snakemake.input.trained, TRAINED_COLUMNS),
    snakemake.params.settings["exploration"],
)
save(figure, [snakemake.output.pdf, snakemake.output.png])
