"""Where the replication decided something that the paper leaves open or contradicts."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.artifacts import write_csv

write_csv(snakemake.output[0], pd.DataFrame(snakemake.params.settings))
