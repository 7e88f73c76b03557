"""Train Nash-DQN (Algorithm 1) in one setting, all seeds side by side."""

from _job import log_to

log_to(snakemake.log[0])

from _training import run_training

from nash_dqn.agents.nash_dqn import NashDQNRecipe, train

run_training(snakemake.params, snakemake.output, NashDQNRecipe.from_dict, train)
