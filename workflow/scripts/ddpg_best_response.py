"""Best responses by DDPG and by gradients to the same trained policies: the first members that did not diverge."""

from _job import log_to

log_to(snakemake.log[0])

import pandas as pd
from _record import sound_members

from nash_dqn.agents.fictitious_play import FictitiousPlayRecipe
from nash_dqn.artifacts import write_csv
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.games.catalogue import make
from nash_dqn.policy import load_policy
from nash_dqn.runtime import configure_process
from nash_dqn.studies.outside_learners import LEARNER_COLUMNS, ddpg_comparison

configure_process()
settings = snakemake.params.settings
policy = load_policy(snakemake.input.weights)
sound = [k for k, flag in enumerate(sound_members(snakemake.input.record)) if flag]
tables = [
    ddpg_comparison(
        make(**settings["game"]),
        policy.member(k),
        FictitiousPlayRecipe.from_dict(settings["recipe"]),
        BestResponseSettings(**settings["best_response"]),
        settings["paths"],
        settings["validation_paths"],
        settings["best_response"]["seed"],
        settings["deviators"],
    )[list(LEARNER_COLUMNS)]
    for k in sound[: settings["members"]]
]
table = pd.concat(tables) if tables else pd.DataFrame(columns=list(LEARNER_COLUMNS))
table.insert(0, "scenario", settings["scenario"])
write_csv(snakemake.output[0], table)
