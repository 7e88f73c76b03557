"""``nash-dqn``: look at results (``show``), ask a policy (``act``), follow a run (``status``), try a game (``check``).

What a command needs is imported once its arguments are in order, so that ``--help`` and misspelt options answer at
once. A mistake of the user's is one line on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

_SHOW = """\
What PATH is, is told from its content, not from its name:
  a policy's weights    algorithm, networks, what it sees, and how each seed ended
  snapshots             which seeds were kept at which times
  a run's record        settings, outcome of each seed, time, versions
  a training's history  first and last values of each seed, and its course
  any table             columns, rows and ranges
  a checkpoint          how far an unfinished training is (below .checkpoints/)
  a training's folder   all of it together
  any other folder      which of these are in it

example:
  nash-dqn show results/released/nash_dqn/released/beta_50
"""
_STATUS = """\
Lists the jobs done and to come, and what runs: of a training its iterations,
iterations/s and the time to the last one, which early stopping may spare; of
another job its time and that of finished jobs of the same rule. The time left
of the whole run follows from these; rules of which no job was ever finished in
this folder are named and left out. A job whose log has shown no sign of life
for two minutes may have been killed, and is not counted as running.

The run itself says the same every minute, on its terminal and in
.snakemake/log.

examples:
  nash-dqn status
  watch -n 10 nash-dqn status .test
"""
_ACT = """\
The market (decision points, units of the observations) is read from run.json
beside the weights, or from --config. Flows are needed where the policy sees
them; at time 0 nothing has been traded. For Nash-DQN the advantage function is
  A = -P11 d^2 - P12 d sum_j d_j - P22 sum_j d_j^2 + psi sum_j d_j,
d = action - mu of the agent and d_j of each other.

example:
  nash-dqn act --policy results/released/nash_dqn/paper/beta_100 \\
      --time 2.5 --price 10.2 --inventory 4
"""
_CHECK = """\
Episodes of random actions are played together and alone. The game is derived in
matrices from its simulator, if it is linear-quadratic. Then its equilibrium: it
exists, nobody gains by leaving it, agents of a group are worth the same in it, and
20,000 simulated episodes pay its value, to 6 standard errors. Exit status 1:
something is wrong.

examples:
  nash-dqn check traders.Traders
  nash-dqn check interbank.Interbank n_agents=5 epsilon=3
"""


class _Parser(argparse.ArgumentParser):
    """argparse, but an error is one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')}\n")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a finite number")
    return value


def _numbers(text: str) -> list[float]:
    try:
        return [_number(part) for part in text.split(",")]
    except argparse.ArgumentTypeError:
        expected = "finite numbers with commas between them, such as 1,-2.5,3"
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}") from None


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nash-dqn",
        description="Look at what the workflow made, ask a trained policy, see how far a run is, check a game.",
        epilog="nash-dqn COMMAND --help has an example. The workflow itself runs by make or snakemake (README.md).",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    layout = argparse.RawDescriptionHelpFormatter
    show = commands.add_parser(
        "show",
        help="a summary of a file or folder",
        formatter_class=layout,
        allow_abbrev=False,
        description="A summary of a file or folder of the workflow, on one screen.",
        epilog=_SHOW,
    )
    show.add_argument("path", metavar="PATH", help="file or folder")
    act = commands.add_parser(
        "act",
        help="a trained policy's action in a state",
        formatter_class=layout,
        allow_abbrev=False,
        description="What each seed of a trained policy does in a state, in shares per hour.",
        epilog=_ACT,
    )
    policy = act.add_argument_group("the policy and its market")
    policy.add_argument("--policy", metavar="PATH", required=True, help="its weights (or snapshots), or their folder")
    policy.add_argument("--seed", metavar="K", type=_whole, help="only this seed")
    policy.add_argument("--config", metavar="FILE", help="take the market from this configuration, not from run.json")
    policy.add_argument("--scenario", metavar="NAME", help="its name there; default: where the policy was trained")
    state = act.add_argument_group("the state", "the agent's view of the market at a decision point")
    add = state.add_argument
    add("--time", metavar="T", type=_number, required=True, help="hours since the start, a decision point")
    add("--price", metavar="S", type=_number, required=True, help="price, $")
    add("--inventory", metavar="Q", type=_number, required=True, help="own inventory, shares")
    add("--impact", metavar="Y", type=_number, default=0.0, help="transient impact, $ (default: 0)")
    add("--order-flow", metavar="X", type=_number, help="shares all agents bought so far, net (default: 0)")
    add("--own-flow", metavar="F", type=_number, help="of these, the agent's own; for policies that know it")
    add("--others-inventory", metavar="Q,Q,...", type=_numbers, help="the others' inventories, where visible, shares")
    add(
        "--others-flow", metavar="F,F,...", type=_numbers, help="what each of them bought so far, where visible, shares"
    )
    status = commands.add_parser(
        "status",
        help="how far a run is, and how long it will take",
        formatter_class=layout,
        allow_abbrev=False,
        description="How far a run of the workflow is, and how long it will take.",
        epilog=_STATUS,
    )
    status.add_argument(
        "folder", metavar="FOLDER", nargs="?", default=".", help="where the workflow runs (default: this folder)"
    )
    check = commands.add_parser(
        "check",
        help="is a game's simulator what its matrices say",
        formatter_class=layout,
        allow_abbrev=False,
        description="Is a game's simulator what its matrices say, and has it an equilibrium?",
        epilog=_CHECK,
    )
    check.add_argument("game", metavar="GAME", help="module.Class of nash_dqn.games")
    check.add_argument("fields", metavar="FIELD=VALUE", nargs="*", help="fields of the class, in place of its defaults")
    for command in (show, act, status, check):
        command.add_argument("--json", action="store_true", help="print JSON, for other programs")
    return parser


def _joined(arguments: Sequence[str]) -> list[str]:
    """``--option -1,2`` as ``--option=-1,2``: argparse takes only plain negative numbers for values."""
    result: list[str] = []
    for argument in arguments:
        if re.match(r"-[.\d]", argument) and result and re.fullmatch(r"--[a-z-]+", result[-1]):
            result[-1] += f"={argument}"
        else:
            result.append(argument)
    return result


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _answer(arguments: argparse.Namespace) -> tuple[str, int]:
    """What the command prints, and its exit status.

    Raises:
        ValueError: (and its kinds ArtifactError, ConfigError) one line for the user.
    """
    if arguments.command == "show":
        from nash_dqn import show
        from nash_dqn.summary import summarise

        summary = summarise(arguments.path)
        text = show.render
    elif arguments.command == "status":
        from nash_dqn import status

        summary = status.summarise(arguments.folder)
        text = status.render
    elif arguments.command == "check":
        from nash_dqn import check

        summary = check.summarise(arguments.game, arguments.fields)
        text = check.render
    else:
        from nash_dqn import act

        given = {key: value for key, value in vars(arguments).items() if key not in ("command", "json", "version")}
        summary = act.answer(**given)
        text = act.render
    code = 0 if summary.get("passed", True) else 1
    if arguments.json:
        return json.dumps(_plain(summary), indent=2, ensure_ascii=False, allow_nan=False), code
    return text(summary), code


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``nash-dqn`` with these arguments (default: those of the process); returns the exit status.

    It is 0, or 2 after a mistake of the user's, or 1 where ``check`` finds a difference.

    Raises:
        SystemExit: after ``--help``, or with status 2 where the arguments do not parse.
    """
    parser = _parser()
    arguments = parser.parse_args(_joined(sys.argv[1:] if argv is None else argv))
    if arguments.version:
        from nash_dqn import __version__

        print(f"nash-dqn {__version__}")
        return 0
    if arguments.command is None:
        parser.error("COMMAND: missing, expected show, act, status or check (nash-dqn --help explains them)")
    try:
        text, code = _answer(arguments)
    except ValueError as error:
        print(f"nash-dqn {arguments.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:  # a folder on the way that may not be entered, a name too long
        print(f"nash-dqn {arguments.command}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    try:
        print(text.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8"), flush=True)
    except BrokenPipeError:  # a reader such as head has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor shall the exit's own flush complain
    return code


if __name__ == "__main__":
    sys.exit(main())
