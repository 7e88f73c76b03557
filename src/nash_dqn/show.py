"""Summaries of artifacts as text on one screen."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["render"]

Summary = dict[str, Any]

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH, _ROWS = 110, 16


def render(summary: Summary) -> str:
    """The text of what :func:`nash_dqn.summary.summarise` returned."""
    renderers: dict[str, Callable[[Summary], list[str]]] = {
        "weights": _text_of_weights,
        "training": _text_of_training,
        "snapshots": _text_of_snapshots,
        "run": _text_of_run,
        "history": _text_of_history,
        "table": _text_of_table,
        "folder": _text_of_folder,
        "checkpoint": _text_of_checkpoint,
    }
    titles = {"run": f"record of a {summary.get('of')}", "history": "course of a training", "weights": "trained policy"}
    titles |= {"checkpoint": "checkpoint of an unfinished training"}
    title = titles.get(summary["kind"], summary["kind"])
    return "\n".join([f"{summary['path']}: {title}", *renderers[summary["kind"]](summary)])


def _text_of_weights(summary: Summary) -> list[str]:
    lines = _text_of_policy(summary)
    history = {member["seed"]: member for member in summary.get("history", {}).get("members", ())}
    outcomes = {member["seed"]: member for member in summary.get("members", ())}
    exploitability = summary["exploitability"]
    gains = exploitability["gains"] if exploitability else {}
    rows = []
    for k, seed in enumerate(summary["seeds"]):
        row = {"seed": str(seed)}
        if seed in outcomes:
            row |= _outcome(outcomes[seed])
        if seed in history:
            row[f"course of {summary['history']['curve_of']}"] = _course(history[seed], summary["history"]["curve_of"])
        for deviator, members in gains.items():
            row[f"{deviator} gains"] = f"{_short(members[k]['gain'])} ({_percent(members[k]['share'])})"
        rows.append(row)
    if outcomes or history or gains:
        lines += ["", *_columns(rows)]
    if gains:
        lines += [
            "",
            "  gains: what a deviator of a class gains, $ a game, mean over agents, and as a share of the game's",
        ]
        lines += [f"  value; from {exploitability['table']}"]
    elif exploitability:
        lines += ["", f"  {exploitability['table']} does not tell which of the betas its gains are of"]
    return lines


def _text_of_policy(summary: Summary) -> list[str]:
    beta = summary.get("beta")
    bound = summary["bound"]
    broken = [str(seed) for seed, finite in zip(summary["seeds"], summary["finite"], strict=True) if not finite]
    recipe = f"{summary['recipe']}{'' if beta is None else f', beta = {_short(beta)}'}"
    lines = [
        *_entry("algorithm", summary["algorithm"]),
        *_entry("scenario", f"{summary['scenario']}"),
        *_entry("recipe", recipe),
        *_entry("seeds", _listed(list(dict.fromkeys(map(str, summary["seeds"]))))),
        *_entry("sees", ", ".join(summary["sees"])),
        *_entry("actions", _actions(bound, summary["action_dim"], summary["of_market"])),
    ]
    if summary["groups"] is not None:
        sizes = " + ".join(map(str, summary["groups"]))
        lines += _entry("agents", f"{sizes} in {len(summary['groups'])} groups, each with networks of its own")
    for name, network in summary["networks"].items():
        if "groups" not in network:
            lines += _entry(name, _architecture(network))
        for g, group in enumerate(network.get("groups", ()), 1):
            first, last = group["agents"]
            whose = f"agent {first}" if first == last else f"agents {first}-{last}"
            lines += _entry(name if g == 1 else "", f"group {g} ({whose}): {_architecture(group)}")
    finite = f"NOT those of seed {_listed(broken)}" if broken else "all"
    return lines + _entry("finite", finite)


def _actions(bound: float | None, size: int, of_market: bool) -> str:
    """Which are possible; units are known of the market's only."""
    unit = " shares/hour" if of_market else " in the game's units"
    vector = "" if size == 1 else f"vectors of {size}, "
    return vector + (f"any,{unit}" if bound is None else f"within +-{_short(bound)}{unit}")


def _architecture(network: Mapping[str, Any]) -> str:
    """Layer sizes of a network, of all agents or of a group."""
    sizes = "-".join(map(str, network["sigma"]))
    phi = network.get("phi", [])
    pools = [phi] if phi and isinstance(phi[0], int) else phi
    pool = f", pooled by {' and '.join('-'.join(map(str, layers)) for layers in pools)}" if pools else ""
    skip = f", skip terms {' x '.join(map(str, network['skip_terms']))}" if "skip_terms" in network else ""
    return f"{sizes}{pool}{skip}: {network['parameters']:,} parameters a member"


def _text_of_training(summary: Summary) -> list[str]:
    lines = _text_of_weights(summary)
    if "snapshots" in summary:
        lines += ["", *_entry("snapshots", _snapshot_times(summary["snapshots"]))]
    if "run" in summary:
        lines += _text_of_settings(summary["run"])
    return lines


def _snapshot_times(summary: Summary) -> str:
    times = sorted(set(summary["transitions"]))
    return f"after {_listed([f'{time:,}' for time in times])} joint transitions" if times else "none"


def _text_of_snapshots(summary: Summary) -> list[str]:
    lines = _text_of_policy(summary)
    pairs = list(zip(summary["transitions"], summary["seeds"], strict=True))
    times = sorted(set(summary["transitions"]))
    rows = [
        {"transitions": f"{time:,}", "seeds": _listed([str(seed) for at, seed in pairs if at == time])}
        for time in times
    ]
    return lines + (["", *_columns(rows)] if rows else [])


def _text_of_run(summary: Summary) -> list[str]:
    if summary["of"] != "training":
        return [line for key, value in summary.items() for line in _entry(key, _value(value)) if key != "path"]
    lines = [*_entry("algorithm", summary["algorithm"]), *_entry("scenario", str(summary["scenario"]))]
    lines += [*_entry("recipe", str(summary["recipe_name"])), *_text_of_settings(summary), ""]
    return lines + _columns([{"seed": str(member["seed"]), **_outcome(member)} for member in summary["members"]])


def _text_of_settings(run: Summary) -> list[str]:
    """Settings, time and versions of a training."""
    where = ", ".join(f"{key} {run[key]}" for key in ("device", "threads", "machine", "system") if key in run)
    memory = f", {run['peak_memory_mib']} MiB" if "peak_memory_mib" in run else ""
    time = _time(run["wall_seconds"]) if "wall_seconds" in run else "not trained here"
    return [
        *_entry("took", f"{time}{memory}; {where}"),
        *_entry("versions", ", ".join(f"{name} {version}" for name, version in run["versions"].items())),
        *_entry("game", _value(run["config"]["game"])),
        *_entry("settings", _value(run["config"]["recipe"])),
    ]


def _text_of_history(summary: Summary) -> list[str]:
    rows = []
    for member in summary["members"]:
        row = {"seed": str(member["seed"]), "rows": str(member["rows"]), "transitions": f"{member['transitions']:,}"}
        row |= {name: f"{_short(v['first'])} -> {_short(v['last'])}" for name, v in member["values"].items()}
        rows.append({**row, "course": _sparkline(member["curve"], summary["curve_of"])})
    scale = " (log scale)" if "loss" in summary["curve_of"] else ""
    return [*_entry("course", f"{summary['curve_of']}{scale}, first row to last"), "", *_columns(rows)]


def _text_of_table(summary: Summary) -> list[str]:
    rows = []
    for column in summary["columns"]:
        if "values" in column:
            holds = _listed(column["values"], 6, 70)
        else:
            holds = " to ".join(dict.fromkeys((_short(column["low"]), _short(column["high"]))))
        empty = f"{column['empty']:,}" if column["empty"] else ""
        rows.append({"column": column["name"], "holds": holds, "empty": empty})
    return [*_entry("rows", f"{summary['rows']:,}"), "", *_columns(rows, 40)]


def _text_of_folder(summary: Summary) -> list[str]:
    rows = [{"path": entry["path"], "": entry["kind"], "holds": entry["holds"]} for entry in summary["entries"]]
    return ["", *_columns(rows, 40)]


def _text_of_checkpoint(summary: Summary) -> list[str]:
    done, total = summary["done"], summary["total"]
    lines = [
        *_entry("algorithm", summary["algorithm"]),
        *_entry("scenario", str(summary["scenario"])),
        *_entry("recipe", str(summary["recipe"])),
        *_entry("done", f"{done:,} of {total:,} iterations ({done / total:.0%})"),
        *_entry("took", f"{_time(summary['wall_seconds'])} so far; device {summary['device']}"),
    ]
    members = [{"seed": str(member["seed"]), **_outcome(member)} for member in summary["members"]]
    return [*lines, "", *_columns(members)]


def _outcome(member: Mapping[str, Any]) -> dict[str, str]:
    result = {"ended": "DIVERGED" if member["diverged"] else str(member["stopped"])}
    if "iterations" in member:
        result["iterations"] = f"{member['iterations']:,}"
    if "final_loss" in member:
        result["loss"] = _short(member["final_loss"])
    return result


def _course(member: Summary, name: str) -> str:
    ends = member["values"][name]
    return f"{_short(ends['first'])} {_sparkline(member['curve'], name)} {_short(ends['last'])}"


def _sparkline(values: Sequence[float], name: str) -> str:
    """A bar for each value, of losses their logarithm; ``?`` where a value is not finite."""
    logarithmic = "loss" in name and all(value > 0 for value in values if math.isfinite(value))
    heights = [math.log(value) if logarithmic and math.isfinite(value) else value for value in values]
    finite = [height for height in heights if math.isfinite(height)]
    low, span = min(finite, default=0.0), (max(finite, default=0.0) - min(finite, default=0.0)) or 1.0
    top = len(_BARS) - 1
    return "".join(_BARS[round((h - low) / span * top)] if math.isfinite(h) else "?" for h in heights)


def _columns(rows: Sequence[Mapping[str, str]], most: int = _ROWS) -> list[str]:
    """Rows as a table of text; what is too much for a screen is left out, and said."""
    shown = rows[:most]
    names = list(dict.fromkeys(name for row in shown for name in row))
    widths = {name: max(len(name), *(len(row.get(name, "")) for row in shown)) for name in names}
    lines = ["  ".join(row.get(name, "").ljust(widths[name]) for name in names) for row in shown]
    head = "  ".join(name.ljust(widths[name]) for name in names)
    more = [f"... and {len(rows) - most} more (--json has all)"] if len(rows) > most else []
    return [line.rstrip() for line in ["  " + line for line in (head, *lines, *more)]] if rows else ["  none"]


def _entry(name: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"  {name:11}", subsequent_indent=" " * 13) or [f"  {name}"]


def _value(value: Any) -> str:
    """Settings in a line; those of a section in brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{k} ({_value(v)})" if isinstance(v, dict) else f"{k} {_value(v)}" for k, v in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _listed(values: Sequence[str], most: int = 12, width: int = _WIDTH) -> str:
    text = ", ".join(values[:most])
    text = text if len(text) <= width else text[: width - 3] + "..."
    return text + (f", ... ({len(values)} in all)" if len(values) > most else "")


def _short(value: float | None) -> str:
    return (
        "-"
        if value is None or math.isnan(value)
        else f"{value:.4g}"
        if value % 1 or abs(value) > 1e9
        else f"{value:.0f}"
    )


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.3g} %"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"
