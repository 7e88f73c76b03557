"""Train fictitious play (Algorithm 2) in one setting, all seeds side by side."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.agents.fictitious_play import FictitiousPlayRecipe, train
from nash_dqn.artifacts import write_training
from nash_dqn.games.market import Market
from nash_dqn.runtime import configure_process, resolve_device

configure_process()
settings = snakemake.params.settings
result = train(
    Market(**settings["game"]),
    FictitiousPlayRecipe.from_dict(settings["recipe"]),
    settings["seeds"],
    resolve_device(settings["device"]),
    scenario=settings["scenario"],
    recipe_name=settings["recipe_name"],
)
out = snakemake.output
write_training(result, out.weights, out.snapshots, out.history, out.run)
