"""Where projected policies settle, exactly, in a linear-quadratic scenario with hidden inventories."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import write_csv
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process
from nash_dqn.studies.projection import evaluate

configure_process()
settings = snakemake.params.settings
table = evaluate(make(**settings["game"]), ObservationSpec(**settings["observation"]), **settings["projection"])
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
