"""What determines each training of the run."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import write_json

write_json(snakemake.output[0], snakemake.params.trainings)
