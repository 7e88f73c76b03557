"""Snakemake, started many times: each run is a fork of this process, which has imported what takes half of a start.

A line of JSON on stdin is a run, ``python -m snakemake ARGUMENTS`` in a folder with changes of the environment, its
output in a file; the line on stdout is its exit status. Nothing of any checkout is imported before the fork.
"""

import json
import os
import sys

import numpy  # noqa: F401
import pydantic  # noqa: F401
import yaml  # noqa: F401
from snakemake import cli, notebook, report  # noqa: F401

cli.get_argument_parser()  # imports the plugins
for line in sys.stdin:
    folder, arguments, environment, output = json.loads(line)
    process = os.fork()
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream in (1, 2):
            os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND), stream)
        os.chdir(folder)
        os.environ.update(environment)
        sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
        cli.main(arguments)  # which exits
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
