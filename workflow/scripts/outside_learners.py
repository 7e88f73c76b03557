"""Best responses by Stable-Baselines3, DDPG and gradients to the first member of a policy that did not diverge."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd
from _record import sound_members

from nash_dqn.agents.fictitious_play import FictitiousPlayRecipe
from nash_dqn.artifacts import run_record, write_csv, write_json
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.games.catalogue import make
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process
from nash_dqn.studies.outside_learners import COLUMNS, SECONDS, OutsideSettings, compare

configure_process()
settings = snakemake.params.settings
outside = OutsideSettings(**settings["outside"])
gradient = {key: settings[key] for key in ("hidden", "episodes", "learning_rate")}
sound = [k for k, flag in enumerate(sound_members(snakemake.input.record)) if flag]
table = pd.DataFrame(columns=[*COLUMNS, SECONDS])
if sound:
    table = compare(
        make(**settings["game"]),
        load_policy(snakemake.input.weights).member(sound[0]),
        outside,
        FictitiousPlayRecipe.from_dict(settings["recipe"]),
        BestResponseSettings(**gradient, iterations=1, restarts=1, seed=outside.seed),
        settings["paths"],
        settings["deviators"],
    )
times = table[["learner", "seed", "deviator", SECONDS]].to_dict("records")
table = table[list(COLUMNS)]
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output.table, table)
write_json(snakemake.output.times, run_record("times of trainings", {"trainings": times}))
