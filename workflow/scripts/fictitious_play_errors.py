"""Errors of best responses, exact, by gradients and of DDPG, against the exact equilibrium, round by round."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import read_json, write_csv
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.evaluation.data_efficiency import load_snapshots
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process
from nash_dqn.studies.fictitious_play import ddpg_errors, exact_errors, gradient_errors

configure_process()
settings = snakemake.params.settings
market = make(**settings["game"])
visited = settings["visited"]
tables = [
    exact_errors(market, settings["exact_rounds"], **visited),
    gradient_errors(
        market,
        ObservationSpec(**settings["observation"]),
        settings["rounds"],
        settings["trainings"],
        BestResponseSettings(**settings["response"]),
        **visited,
    ),
]
for snapshots, record in zip(snakemake.input.kept, snakemake.input.records, strict=True):
    tables.append(ddpg_errors(market, load_snapshots(snapshots), read_json(record), **visited))
table = pd.concat(tables, ignore_index=True)
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
