"""Distances of the policies to the equilibrium reference, and what each earns among the other."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import write_csv
from nash_dqn.evaluation.reference import evaluate
from nash_dqn.games.catalogue import make
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
table = evaluate(
    make(**settings["game"]),
    [load_policy(path) for path in snakemake.input.weights],
    load_policy(snakemake.input.reference).member(0),
    settings["paths"],
    settings["visited_episodes"],
    settings["seed"],
)
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
