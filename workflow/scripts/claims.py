"""The published claims, each with a verdict, over all scenarios of the run."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import read_table, write_csv
from nash_dqn.evaluation.claims import claims


def joined(paths: list[str]) -> pd.DataFrame:
    """The tables of all scenarios as one."""
    return pd.concat([read_table(path, ["scenario"]) for path in paths], ignore_index=True)


table = claims(
    joined(snakemake.input.beta_sweep),
    joined(snakemake.input.policy_distance),
    joined(snakemake.input.cross_play),
    joined(snakemake.input.tests),
)
write_csv(snakemake.output[0], table)
