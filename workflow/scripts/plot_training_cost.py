"""What an iteration of Nash-DQN takes with more and more agents."""

from _job import log_to

log_to(snakemake.log[0])

from nash_dqn.artifacts import read_json
from nash_dqn.plots.many_players import plot_cost
from nash_dqn.plots.style import save

save(plot_cost(read_json(snakemake.input[0])), [snakemake.output.pdf, snakemake.output.png])
