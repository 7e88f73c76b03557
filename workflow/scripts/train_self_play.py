"""Train an equilibrium reference by symmetric self-play, all seeds side by side."""

from _job import log_to

log_to(snakemake.log[0])

from _training import run_training

from nash_dqn.agents.self_play import SelfPlayRecipe, train
from nash_dqn.games.market import Market

run_training(snakemake.params, snakemake.output, lambda game: Market(**game), SelfPlayRecipe.from_dict, train)
