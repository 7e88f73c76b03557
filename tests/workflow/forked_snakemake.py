"""Snakemake and the jobs that it starts, many times: each is a fork of a process that has imported what takes most of a
start. Nothing of any checkout is imported before the fork.

A line of JSON on stdin is a run, ``python -m snakemake ARGUMENTS`` in a folder with changes of the environment, its
output in a file; the line on stdout is its exit status.
"""

import json
import os
import runpy
import socketserver
import sys
import tempfile
from importlib import import_module
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as Snakemake sets it for a job of one thread

from snakemake import cli

for module in ("snakemake.notebook", "snakemake.report", "smart_open", "pydantic", "scipy.stats", "seaborn"):
    import_module(module)
import_module("torch._dynamo")  # which the first optimiser imports

# In place of Python, for jobs: sends where a script is to run, and has the exit status that comes back.
ASK = """#!{python} -IS
import os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    server.sendall(os.fsencode(os.getcwd() + chr(0) + sys.argv[1]))
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(1) or 1))
"""


class Job(socketserver.StreamRequestHandler):
    """A script, run by the process that serves it."""

    def handle(self) -> None:
        status = b"0"
        try:
            folder, script = os.fsdecode(self.rfile.read()).split(chr(0))
            os.chdir(folder)
            runpy.run_path(script, run_name="__main__")
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = b"1"
        sys.stdout.flush()
        sys.stderr.flush()
        self.wfile.write(status)


class Jobs(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """A fork for each job."""

    request_queue_size = 64
    timeout = 0.05


def run(arguments: list[str]) -> int:
    """Exit status of Snakemake, whose jobs are forks of this process."""
    with tempfile.TemporaryDirectory() as folder, Jobs(f"{folder}/socket", Job) as jobs:
        ask = Path(folder, "python")
        ask.write_text(ASK.format(python=sys.executable, address=jobs.server_address))
        ask.chmod(0o755)
        process = os.fork()
        if process == 0:
            jobs.socket.close()
            sys.executable = str(ask)
            cli.main(arguments)  # which exits
        while not (ended := os.waitpid(process, os.WNOHANG))[0]:
            jobs.handle_request()
    return os.waitstatus_to_exitcode(ended[1])


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
        os._exit(run(arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
