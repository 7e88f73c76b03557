"""Loss of the trained networks against beta (Fig. 1)."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, read_tensors, write_csv
from nash_dqn.evaluation.beta_sweep import evaluate, table
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
losses = [
    evaluate(
        Market(**settings["game"]),
        read_tensors(path)[0],
        ObservationSpec(**settings["observation"]),
        settings["exploration"],
        settings["episodes"],
        settings["seed"],
    )
    for path in snakemake.input.weights
]
rows = table(
    [(beta, *loss) for beta, loss in zip(settings["betas"], losses, strict=True)],
    [read_json(path) for path in snakemake.input.records],
    scenario=settings["scenario"],
    recipe=settings["recipe"],
    episodes=settings["episodes"],
    exploration=settings["exploration"],
)
write_csv(snakemake.output[0], rows)
