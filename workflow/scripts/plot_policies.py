"""Fig. 2: the two policies of one comparison."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, read_table
from nash_dqn.plots.fig2_policies import DISTANCE_COLUMNS, GRID_COLUMNS, plot
from nash_dqn.plots.style import save


def diverged(record: str) -> list[int]:
    """Seeds whose training diverged, from its run record."""
    return [member["seed"] for member in read_json(record)["members"] if member["diverged"]]


settings = snakemake.params.settings
figure = plot(
    read_table(snakemake.input.grid, GRID_COLUMNS),
    read_table(snakemake.input.distance, DISTANCE_COLUMNS),
    comparison=settings["comparison"],
    policies=settings["policies"],
    diverged=[diverged(path) for path in snakemake.input.records],
)
save(figure, [snakemake.output.pdf, snakemake.output.png])
