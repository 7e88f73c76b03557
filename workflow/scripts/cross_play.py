"""Rewards of agent 1 when the two policies of each comparison play each other (Fig. 3)."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import write_csv
from nash_dqn.evaluation.cross_play import evaluate
from nash_dqn.games.catalogue import make
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
game = make(**settings["game"])
tables = {}
for comparison, *weights in zip(settings["comparisons"], snakemake.input.nash_dqn, snakemake.input.other, strict=True):
    nash, other = map(load_policy, weights)
    table = evaluate(game, nash, other, settings["points"], settings["paths"], settings["seed"])
    tables[settings["scenario"], comparison, other.name, other.algorithm] = table
names = ["scenario", "comparison", "other", "other_algorithm"]
write_csv(snakemake.output[0], pd.concat(tables, names=names).reset_index(names))
