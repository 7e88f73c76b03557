"""What an iteration of Nash-DQN takes with more and more agents."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.agents.nash_dqn import NashDQNRecipe
from nash_dqn.artifacts import write_json
from nash_dqn.games.catalogue import make
from nash_dqn.games.mean_field import shared
from nash_dqn.runtime import configure_process
from nash_dqn.studies.many_players import training_cost

configure_process()
settings = snakemake.params.settings
markets = [shared(make(**settings["game"]), agents) for agents in settings["agents"]]
recipe = NashDQNRecipe.from_dict(settings["recipe"])
write_json(snakemake.output[0], training_cost(markets, recipe, settings["iterations"]))
