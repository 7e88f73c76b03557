"""Tests for equal mean rewards between the profiles of Fig. 3."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import read_table
from nash_dqn.evaluation.cross_play_tests import COLUMNS, tests
from nash_dqn.table_page import write_with_page

names = ["scenario", "comparison", "other", "other_algorithm"]
rewards = read_table(snakemake.input[0], [*names, *COLUMNS])
tables = {key: tests(group, snakemake.params.settings["alpha"]) for key, group in rewards.groupby(names, sort=False)}
rows = pd.concat(tables, names=names).reset_index(names)
write_with_page(rows, snakemake.output.table, snakemake.output.page, snakemake.params.title)
