"""Errors of the policies trained with more and more agents, and how exact equilibria approach their limit."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import write_csv
from nash_dqn.evaluation.lq_error import evaluate
from nash_dqn.games.catalogue import make
from nash_dqn.games.mean_field import shared
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process
from nash_dqn.studies.many_players import limit

configure_process()
settings = snakemake.params.settings
market = make(**settings["game"])
tables = {}
for agents, path in zip(settings["agents"], snakemake.input.weights, strict=True):
    policies = [load_policy(path)]
    tables[agents] = evaluate(shared(market, agents), policies, settings["episodes"], settings["seed"])
write_csv(snakemake.output.errors, pd.concat(tables, names=["agents"]).reset_index("agents"))
write_csv(snakemake.output.limit, limit(market, settings["limit_agents"]))
