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
from nash_dqn.studies.fictitious_play import error_of, of_ddpg, of_exact, of_gradients

configure_process()
settings = snakemake.params.settings
market = make(**settings["game"])
measure = error_of(market, **settings["visited"])
tables = [of_exact(market, settings["exact_rounds"], measure)]
# Memory is of no use where opponents look at the visible state alone.
tables += [
    of_gradients(
        market,
        ObservationSpec(**settings["observation"]),
        ["same"],
        settings["rounds"],
        settings["trainings"],
        BestResponseSettings(**settings["response"]),
        "error",
        measure,
    )
]
for kept, record in zip(snakemake.input.kept, snakemake.input.records, strict=True):
    snapshots = load_snapshots(kept)
    found = zip(snapshots.seeds, snapshots.meta["transitions"], measure(snapshots), strict=True) if snapshots else ()
    tables += [of_ddpg(found, read_json(record), market.n_steps, "error")]
table = pd.concat(tables, ignore_index=True)
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
