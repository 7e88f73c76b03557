"""Train one setting by the algorithm that it names, all seeds side by side.

An interrupted training goes on where its checkpoint stands, if settings and code are still the same.
"""

from _job import log_to

log_to(snakemake.log[0])

from pathlib import Path
from pkgutil import resolve_name

from nash_dqn.artifacts import write_training
from nash_dqn.checkpoint import Checkpoint, key_of
from nash_dqn.games.catalogue import make
from nash_dqn.runtime import configure_process, resolve_device

CHECKPOINTS = Path(".checkpoints")  # no output of the rule: Snakemake deletes those before it runs a job again

configure_process()
settings, output = snakemake.params.settings, snakemake.output
algorithm = resolve_name(f"nash_dqn.agents.{settings['algorithm']}:")
device = resolve_device(settings["device"])
path = CHECKPOINTS / Path(output.weights).parent / "checkpoint.safetensors"
checkpoint = Checkpoint(path, key_of(settings, snakemake.params.code, device.type))
result = algorithm.train(
    make(**settings["game"]),
    algorithm.Recipe.from_dict(settings["recipe"]),
    settings["seeds"],
    device,
    checkpoint,
    scenario=settings["scenario"],
    policy=settings["policy"],
)
write_training(result, output.weights, output.snapshots, output.history, output.run)
checkpoint.delete()
