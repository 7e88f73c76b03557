"""The authors' released weights as policies in the format of ours."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.authors import read_fp, read_nash, write
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process

configure_process()
files, output, settings = snakemake.input, snakemake.output, snakemake.params.settings
where = (make(**settings["game"]), settings["scenario"])
nash, fp = [files.action, files.value], [files.fp]
write(read_nash(*nash), nash, *where, output.nash_weights, output.nash_run)
write(read_fp(*fp), fp, *where, output.fp_weights, output.fp_run)
