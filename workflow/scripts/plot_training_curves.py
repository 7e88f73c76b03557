"""How the compared trainings went."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, read_table
from nash_dqn.plots.style import save
from nash_dqn.plots.training_curves import COLUMNS, plot

settings = snakemake.params.settings
histories = {
    recipe: read_table(path, COLUMNS[recipe.partition("/")[0]])
    for recipe, path in zip(settings["recipes"], snakemake.input.histories, strict=True)
}
records = dict(zip(settings["recipes"], map(read_json, snakemake.input.records), strict=True))
save(plot(histories, records, scenario=settings["scenario"]), [snakemake.output.pdf, snakemake.output.png])
