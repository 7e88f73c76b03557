"""Where the replication decided something that the paper leaves open or contradicts."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd

from nash_dqn.table_page import write_with_page

rows = pd.DataFrame(snakemake.params.settings)
write_with_page(rows, snakemake.output.table, snakemake.output.page, snakemake.params.title)
