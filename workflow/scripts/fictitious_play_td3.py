"""Errors of TD3's best responses against the exact equilibrium, round by round."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import write_csv
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process
from nash_dqn.studies.fictitious_play import error_of, of_td3
from nash_dqn.studies.outside_learners import OutsideSettings

configure_process()
settings = snakemake.params.settings
market = make(**settings["game"])
table = of_td3(
    market,
    ObservationSpec(**settings["observation"]),
    settings["rounds"],
    OutsideSettings(**settings["outside"]),
    "error",
    error_of(market, settings["episodes"], settings["seed"]),
)
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
