"""Loss against beta (Fig. 1), along the trainings and of what they return."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json, read_table, read_tensors, write_csv
from nash_dqn.evaluation.beta_sweep import Swept, evaluate, table
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process

configure_process()
settings = snakemake.params.settings
sweep = [
    Swept(
        read_table(history, ["seed", "iteration", "exploration", "total_loss", "resets"]),
        read_json(record),
        evaluate(
            make(**settings["game"]),
            read_tensors(weights)[0],
            ObservationSpec(**settings["observation"]),
            settings["p11"],
            settings["exploration"],
            settings["episodes"],
            settings["seed"],
        ),
    )
    for weights, history, record in zip(
        snakemake.input.weights, snakemake.input.histories, snakemake.input.records, strict=True
    )
]
rows = table(
    sweep,
    settings["iterations"],
    settings["window"],
    settings["episodes"],
    settings["exploration"],
)
write_csv(snakemake.output[0], rows)
