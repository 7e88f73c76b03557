"""``nash-dqn``: look at results (``show``), ask a policy (``act``), follow a run (``status``), try a game (``check``).

What a command needs is imported once its arguments are in order, so that ``--help`` and misspelt options answer at
once. A mistake of the user's is one line on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn, TypeVar

from nash_dqn import __version__

T = TypeVar("T")

_SHOW = """\
PATH is a file as the workflow names it: a policy's weights or snapshots, a run's
record, a training's history, any table, a figure, page, log or benchmark, a
checkpoint (below .checkpoints/). Or it is a training's folder, or any other.

example:
  nash-dqn show results/code/nash-code
"""
_STATUS = """\
Lists the jobs done and to come, and what runs: of a training its iterations,
iterations/s and the time to the last one, which early stopping may spare; of
another job its time and that of finished jobs of the same rule. The time left
of the whole run follows from these; rules of which no job was ever finished in
this folder are named and left out. A job whose log has shown no sign of life
for two minutes may have been killed, and is not counted as running.

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
  nash-dqn act --policy results/code/nash-text \\
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

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write to standard output or error; where argparse would hide that it can't, raise ``OSError``."""
        if file is None:
            raise OSError(errno.EBADF, "closed")
        file.write(message)


def _type(read: Callable[[str], T], expected: str) -> Callable[[str], T]:
    """What argparse is to read a value by, if ``read`` raises ``ValueError`` for what it does not take."""

    def value(text: str) -> T:
        try:
            return read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}") from None

    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError
    return text


_number = _type(_finite, "a finite number")
_expected = "finite numbers with commas between them, such as 1,-2.5,3"
_numbers = _type(lambda text: [_finite(part) for part in text.split(",")], _expected)
_whole = _type(int, "a whole number")
_path = _type(_not_empty, "a file or folder (. is this one)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nash-dqn",
        description="Look at what the workflow made, ask a trained policy, see how far a run is, check a game.",
        epilog="nash-dqn COMMAND --help has an example. The workflow itself runs by make or snakemake (README.md).",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nash-dqn {__version__}")
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        required=True,
        help="show, act, status or check",
    )

    def command(name: str, what: str, description: str, epilog: str) -> argparse.ArgumentParser:
        layout = argparse.RawDescriptionHelpFormatter
        made = commands.add_parser(
            name, help=what, description=description, epilog=epilog, formatter_class=layout, allow_abbrev=False
        )
        made._negative_number_matcher = re.compile(r"-[.\d]")  # takes -1e-2 and -1,2 for values, too, not for options
        made.add_argument("--json", action="store_true", help="print JSON, for other programs")
        return made

    show = command("show", "a summary of a file or folder", "A summary of a file or folder, on one screen.", _SHOW)
    show.add_argument("path", metavar="PATH", type=_path, help="file or folder")

    does = "What each seed of a trained policy does in a state, in shares per hour."
    act = command("act", "a trained policy's action in a state", does, _ACT)
    add = act.add_argument_group("the policy and its market").add_argument
    add("--policy", metavar="PATH", type=_path, required=True, help="its weights (or snapshots), or their folder")
    add("--seed", metavar="K", type=_whole, help="only this seed")
    add("--config", metavar="FILE", type=_path, help="take the market from this configuration, not from run.json")
    add("--scenario", metavar="NAME", help="its name there; default: where the policy was trained")
    add = act.add_argument_group("the state", "the agent's view of the market at a decision point").add_argument
    add("--time", metavar="T", type=_number, required=True, help="hours since the start, a decision point")
    add("--price", metavar="S", type=_number, required=True, help="price, $")
    add("--inventory", metavar="Q", type=_number, required=True, help="own inventory, shares")
    add("--impact", metavar="Y", type=_number, default=0.0, help="transient impact, $ (default: 0)")
    add("--order-flow", metavar="X", type=_number, help="shares all agents bought so far, net (default: 0)")
    add("--own-flow", metavar="F", type=_number, help="of these, the agent's own; for policies that know it")
    each = "where visible, shares"
    add("--others-inventory", metavar="Q,Q,...", type=_numbers, help=f"the others' inventories, {each}")
    add("--others-flow", metavar="F,F,...", type=_numbers, help=f"what each of them bought so far, {each}")

    status = command(
        "status", "how far a run is", "How far a run of the workflow is, and how long it will take.", _STATUS
    )
    where = "where the workflow runs (default: this folder)"
    status.add_argument("folder", metavar="FOLDER", type=_path, nargs="?", default=".", help=where)

    asks = "Is a game's simulator what its matrices say, and has it an equilibrium?"
    check = command("check", "is a game's simulator what its matrices say", asks, _CHECK)
    check.add_argument("game", metavar="GAME", help="module.Class of nash_dqn.games")
    check.add_argument("fields", metavar="FIELD=VALUE", nargs="*", help="fields of the class, in place of its defaults")
    return parser


def _run(arguments: Sequence[str]) -> int:
    """Print what the command says; its exit status."""
    given = vars(_parser().parse_args(arguments))
    as_json, module = given.pop("json"), import_module(f"nash_dqn.{given.pop('command')}")
    summary = module.summarise(**given)
    text = module.render(summary)
    if as_json:  # which has no number that is not finite: it becomes null
        finite = json.loads(json.dumps(summary), parse_constant=lambda name: None)
        text = json.dumps(finite, indent=2, ensure_ascii=False)
    if sys.stdout is None:
        raise OSError(errno.EBADF, "closed")
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))
    return 0 if summary.get("passed", True) else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``nash-dqn`` with these arguments (default: those of the process); returns the exit status.

    It is 0, or 2 after a mistake of the user's and where the answer cannot be written, or 1 where ``check`` finds a
    difference. A reader that has seen enough, such as ``head``, is no mistake.

    Raises:
        SystemExit: after ``--help``, or with status 2 where the arguments do not parse.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        try:
            return _run(arguments)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except ValueError as error:
        wrong = " ".join(str(error).split())
    except OSError as error:
        if error.filename is None and sys.stdout is not None:  # nor shall the flush at the exit complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0
        wrong = f"{error.filename or 'standard output'}: {error.strerror}"  # a name too long, a locked folder
    if sys.stderr is not None:
        with suppress(OSError):
            print("nash-dqn " + "".join(f"{word}: " for word in arguments[:1]) + wrong, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
