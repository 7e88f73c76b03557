"""Train Nash-DQN (Algorithm 1) in a game of the configuration, all seeds side by side."""

from _job import log_to

log_to(snakemake.log[0])

from _training import run_training

from nash_dqn.agents.nash_dqn import NashDQNRecipe, train
from nash_dqn.games.catalogue import make

run_training(snakemake.params, snakemake.output, lambda game: make(**game), NashDQNRecipe.from_dict, train)
