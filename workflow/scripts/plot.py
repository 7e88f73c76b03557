"""A figure of tables and records, by the function of ``nash_dqn.plots`` that the settings name."""

from _job import log_to

log_to(snakemake.log[0])

from pkgutil import resolve_name

from nash_dqn.artifacts import read_json, read_table, read_tables
from nash_dqn.plots.style import save

settings = snakemake.params.settings
module = resolve_name(f"{settings['module']}:")


def read(name: str, files: object) -> object:
    """One input; of a table, the columns are asked for that the module gives that name."""
    if name == "record":
        return read_json(files)
    if name == "records":
        return [read_json(path) for path in files]
    if name == "histories":  # their columns are their algorithm's
        return [read_table(path, ()) for path in files]
    columns = module.COLUMNS if name == "table" else getattr(module, f"{name.upper()}_COLUMNS")
    return read_table(files, columns) if isinstance(files, str) else read_tables(files, columns)


draw = getattr(module, settings["function"])
figure = draw(*(read(*item) for item in snakemake.input.items()), **settings["arguments"])
save(figure, [snakemake.output.pdf, snakemake.output.png])
