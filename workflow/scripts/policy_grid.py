"""Trading rates of the compared policies on Fig. 2's grid."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import write_csv
from nash_dqn.evaluation.policy_distance import Grid, evaluate
from nash_dqn.games.catalogue import make
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
policies = [load_policy(path) for path in snakemake.input.weights]
table = evaluate(make(**settings["game"]), policies, Grid.from_dict(settings))
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
