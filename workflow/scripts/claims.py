"""The published claims, each with a verdict, over all scenarios of the run."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_tables, write_csv
from nash_dqn.evaluation.claims import claims

names = ["beta_sweep", "policy_distance", "cross_play", "tests", "exploitability", "data_efficiency"]
write_csv(snakemake.output[0], claims(*(read_tables(snakemake.input[name], ["scenario"]) for name in names)))
