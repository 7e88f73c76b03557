"""Take a training's files from the repository's record."""

from _job import log_to

log_to(snakemake.log[0])

from pathlib import Path

from nash_dqn.restore import restore

restore(Path(snakemake.input.index).parent, snakemake.wildcards.training, Path(snakemake.output.run).parent)
