"""What a deviator gains against best responses, by gradients and of DDPG, round by round."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import read_json, read_table, write_csv
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process
from nash_dqn.studies.fictitious_play import gain_of, of_ddpg, of_gradients

configure_process()
settings = snakemake.params.settings
game = make(**settings["game"])
measure = gain_of(
    game,
    settings["deviator"],
    BestResponseSettings(**settings["best_response"]),
    settings["paths"],
    settings["validation_paths"],
)
tables = [
    of_gradients(
        game,
        ObservationSpec(**settings["observation"]),
        settings["deviators"],
        settings["rounds"],
        settings["trainings"],
        BestResponseSettings(**settings["response"]),
        "gain",
        measure,
    )
]
for kept, record in zip(snakemake.input.kept, snakemake.input.records, strict=True):
    rows = read_table(kept, ["seed", "transitions", "gain"])[["seed", "transitions", "gain"]]
    tables += [of_ddpg(rows.itertuples(index=False, name=None), read_json(record), game.n_steps, "gain")]
table = pd.concat(tables, ignore_index=True)
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
