"""Distance between the two policies of each comparison, and between trainings of the same one."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import write_csv
from nash_dqn.evaluation.policy_distance import Grid, distance
from nash_dqn.games.catalogue import make
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
pairs = zip(settings["comparisons"], snakemake.input.nash_dqn, snakemake.input.other, strict=True)
tables = {
    (settings["scenario"], comparison): distance(
        make(**settings["game"]),
        *map(load_policy, weights),
        Grid.from_dict(settings),
        settings["visited_episodes"],
        settings["seed"],
    )
    for comparison, *weights in pairs
}
names = ["scenario", "comparison"]
write_csv(snakemake.output[0], pd.concat(tables, names=names).reset_index(names))
