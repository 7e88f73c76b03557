"""Errors of the policies against the exact linear-quadratic equilibrium, and a sample of their actions."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import write_csv
from nash_dqn.evaluation.lq_error import by_group, evaluate, scatter
from nash_dqn.games.catalogue import make
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
game = make(**settings["game"])
policies = [load_policy(path) for path in snakemake.input.weights]
for measure, path in ((evaluate, snakemake.output.errors), (scatter, snakemake.output.scatter)):
    whole = (game, policies, settings["episodes"], settings["seed"])
    table = by_group(measure, *whole) if settings["by_group"] else measure(*whole)
    table.insert(0, "scenario", settings["scenario"])
    write_csv(path, table)
