"""The page on which a person plays with the trained policies."""

from _job import log_to

log_to(snakemake.log[0])

from pathlib import Path

from nash_dqn.artifacts import atomic_path
from nash_dqn.evaluation.policy_distance import Grid
from nash_dqn.games.catalogue import make
from nash_dqn.plots.explorer import render

settings = snakemake.params.settings
page = render(
    {name: make(**game) for name, game in settings["games"].items()},
    map(Path, snakemake.input.weights),
    Grid.from_dict({"prices": [0.0], "impacts": [0.0], **settings}).inventories,
)
with atomic_path(snakemake.output[0]) as temporary:
    temporary.write_text(page, encoding="utf-8")
