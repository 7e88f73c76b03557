"""Rewards of agent 1 when the two policies of each comparison play each other (Fig. 3)."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import write_csv
from nash_dqn.evaluation.cross_play import evaluate
from nash_dqn.games.market import Market
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
pairs = zip(settings["comparisons"].items(), snakemake.input.nash_dqn, snakemake.input.other, strict=True)
tables = {
    (settings["scenario"], comparison, other): evaluate(
        Market(**settings["game"]),
        *map(load_policy, weights),
        settings["points"],
        settings["paths"],
        settings["seed"],
    )
    for (comparison, (_, other)), *weights in pairs
}
names = ["scenario", "comparison", "other"]
write_csv(snakemake.output[0], pd.concat(tables, names=names).reset_index(names))
