"""The equilibrium among linear policies, followed from one scenario to another."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import write_csv
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process
from nash_dqn.studies.equilibrium_path import PathSettings, follow

configure_process()
settings = snakemake.params.settings
table = follow(
    make(**settings["start"]),
    make(**settings["end"]),
    ObservationSpec(**settings["observation"]),
    PathSettings(**settings["path"]),
)
table.insert(0, "policy", settings["policy"])
write_csv(snakemake.output[0], table)
