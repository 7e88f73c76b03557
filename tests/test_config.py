"""The configuration: what ships is valid and documented, and everything else is refused in one clear line."""

import copy
import dataclasses
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nash_dqn.agents.fictitious_play import FictitiousPlayRecipe
from nash_dqn.agents.nash_dqn import NashDQNRecipe
from nash_dqn.agents.self_play import SelfPlayRecipe
from nash_dqn.config import (
    BETA_PATTERN,
    ConfigError,
    comparison,
    fictitious_play_settings,
    format_beta,
    load_yaml,
    nash_dqn_settings,
    parse_beta,
    scenario,
    self_play_settings,
    validate,
)
from nash_dqn.evaluation.best_response import BestResponseSettings

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config" / "config.yaml"
SMOKE = ROOT / ".test" / "config" / "config.yaml"
README = ROOT / "config" / "README.md"
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"

REAL: dict[str, Any] = load_yaml(CONFIG)
SCHEMA_CONTENT: dict[str, Any] = load_yaml(SCHEMA)
DELETE = object()


def changed(path: str, value: object) -> dict[str, Any]:
    """The shipped configuration with the value at a dotted path replaced, added or deleted."""
    config = json.loads(
        json.dumps(REAL)
    )  # in which no two recipes share a mapping, as they do where YAML's `<<` is read
    *parents, last = path.split(".")
    node = config
    for key in parents:
        node = node[key]
    if value is DELETE:
        del node[last]
    else:
        node[last] = value
    return config


def rejection(config: object) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(config, SCHEMA_CONTENT)
    return str(caught.value)


# ------------------------------------------------------------------------------------------ what ships


@pytest.mark.parametrize("path", [CONFIG, SMOKE], ids=["full", "smoke"])
def test_shipped_configurations_are_valid_and_spell_out_every_default(path: Path) -> None:
    config = load_yaml(path)
    assert validate(config, SCHEMA) == config


def test_smoke_run_differs_from_the_full_run_in_sizes_only() -> None:
    smoke = load_yaml(SMOKE)
    assert smoke["scenarios"] == REAL["scenarios"]
    for section in ("nash_dqn", "fictitious_play", "self_play", "comparisons"):
        assert smoke[section].keys() == REAL[section].keys()
    for name, recipe in smoke["nash_dqn"].items():
        for key in (
            "observation",
            "critic",
            "policy",
            "p11",
            "skip_terms",
            "penalty",
            "exploration",
            "explorers",
            "opponent_gradient",
            "learning_rate",
            "learning_rate_schedule",
            "adam_beta2",
            "weight_decay",
            "gradient_clip",
            "watched",
            "returned",
            "divergence_factor",
        ):
            assert recipe[key] == REAL["nash_dqn"][name][key], (name, key)
        for key in ("target", "patience"):
            assert (recipe[key] is None) == (REAL["nash_dqn"][name][key] is None), (name, key)
    for name, recipe in smoke["fictitious_play"].items():
        sizes = {"actor_hidden", "critic_hidden", "phi_hidden", "iterations", "first_epochs", "epochs", "seeds"}
        for key in recipe.keys() - sizes - {"history_every"}:
            assert recipe[key] == REAL["fictitious_play"][name][key], (name, key)
    for name, recipe in smoke["self_play"].items():
        assert recipe["observation"] == REAL["self_play"][name]["observation"]
    for section in ("exploitability", "data_efficiency"):
        for key in REAL[section].keys() & {"reference", "deviators", "deviator", "learning_rate"}:
            assert smoke[section][key] == REAL[section][key], (section, key)


def test_the_two_scenarios_differ_in_kappa_and_sigma_only() -> None:
    table1, released = REAL["scenarios"]["table1"], REAL["scenarios"]["released"]
    differing = {key for key in table1 if table1[key] != released[key]}
    assert differing == {"kappa", "sigma"}
    assert (table1["kappa"], table1["sigma"]) == (0.1, 0.01)  # Table 1
    assert (released["kappa"], released["sigma"]) == (0.5, 0.1)  # released code


@pytest.mark.parametrize("path", [CONFIG, SMOKE], ids=["full", "smoke"])
def test_linear_quadratic_scenarios_are_twins_that_retype_nothing(path: Path) -> None:
    scenarios = load_yaml(path)["scenarios"]
    for name in ("table1", "released"):
        assert scenarios[f"lq_{name}"] == {**scenarios[name], "impact": "linear", "price_floor": None}
        assert re.search(rf"^  lq_{name}:\n    <<: \*{name}$", path.read_text("utf-8"), re.M)


def test_published_recipes_have_what_was_published() -> None:
    """The switches that the paper and the released code do not know are off."""
    off = {
        "critic": None,
        "skip_terms": False,
        "learning_rate_schedule": "constant",
        "adam_beta2": 0.999,
        "explorers": "all",
        "opponent_gradient": True,
    }
    for name in ("paper", "released"):
        assert {key: REAL["nash_dqn"][name][key] for key in off} == off
    complete = changed("nash_dqn.paper", {k: v for k, v in REAL["nash_dqn"]["paper"].items() if k not in off})
    assert validate(complete, SCHEMA) == REAL


def test_algorithms_have_the_same_transitions_in_linear_quadratic_scenarios() -> None:
    fp, nash, steps = REAL["fictitious_play"]["lq"], REAL["nash_dqn"]["lq"], REAL["scenarios"]["lq_table1"]["n_steps"]
    epochs = fp["first_epochs"] + (fp["iterations"] - 1) * fp["epochs"]
    budget = epochs * fp["episodes_per_epoch"] * steps
    assert budget == 2_001_200  # as the configuration says
    assert budget == pytest.approx(nash["iterations"] * nash["episodes_per_iteration"] * steps, rel=0.01)


def test_every_line_of_the_full_configuration_names_its_source() -> None:
    leaf = re.compile(r"^ *[a-z0-9_]+: [^#\s]")
    source = re.compile(r"Table 1|text|Fig \d|Algorithm \d|released code|our choice: \S")
    lines = [line for line in CONFIG.read_text("utf-8").splitlines() if leaf.match(line)]
    assert len(lines) > 100
    for line in lines:
        _, _, comment = line.partition("  # ")
        assert source.search(comment), line


# ---------------------------------------------------------------------------------- schema and README


def schema_leaves(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Dotted path (`*` for any name), resolved schema and whether it is required, for each leaf."""
    required = schema.get("required", [])
    for key, sub in schema.get("properties", {}).items():
        sub = resolve(sub)
        if "object" in sub.get("type", ""):
            yield from schema_leaves(sub, (*path, key))
        else:
            yield ".".join((*path, key)), sub, key in required
    if isinstance(schema.get("additionalProperties"), dict):
        yield from schema_leaves(resolve(schema["additionalProperties"]), (*path, "*"))


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "")
    if not reference:
        return schema
    return {**resolve(SCHEMA_CONTENT["$defs"][reference.rpartition("/")[2]]), **schema}


def objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "object" in str(node.get("type", "")):
            yield node
        for child in node.values():
            yield from objects(child)


LEAVES = {path: (schema, required) for path, schema, required in schema_leaves(SCHEMA_CONTENT)}


def test_schema_describes_each_key_with_its_unit() -> None:
    assert len(LEAVES) > 70
    for path, (schema, required) in LEAVES.items():
        assert schema.get("description"), path
        assert schema.get("unit"), path
        assert required != ("default" in schema), f"{path}: either required or with a default"


def test_schema_is_closed_everywhere() -> None:
    for node in objects(SCHEMA_CONTENT):
        if "properties" in node:
            assert node["additionalProperties"] is False, node
        else:  # a mapping of names: they become folders, and reach no shell
            assert resolve(node["propertyNames"])["pattern"].startswith("^[a-z][a-z0-9_]*$")


def readme_rows() -> Iterator[tuple[str, dict[str, str]]]:
    header: list[str] = []
    for line in README.read_text("utf-8").splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            header = []
        elif not header:
            header = cells
        elif header[0] == "Key" and "Default" in header and not set(line) <= set("|-"):
            yield cells[0].strip("`"), dict(zip(header[1:], cells[1:], strict=True))


def test_readme_tables_say_what_the_configuration_and_the_schema_say() -> None:
    rows = dict(readme_rows())
    assert rows.keys() == LEAVES.keys()
    for path, row in rows.items():
        schema, required = LEAVES[path]
        assert row["Unit"] == schema["unit"], path
        assert row["Meaning"] == schema["description"], path
        assert row["Default"] == "required" or yaml.safe_load(row["Default"].strip("`")) == schema["default"], path
        assert (row["Default"] == "required") == required, path
        assert row["Source"], path
        columns = [column for column in row if column == "Value" or column.startswith("`")]
        if "*" in path:
            section = path.split(".")[0]
            derived = {name for of, name, _, _ in derived_recipes() if of == section}
            assert [column.strip("`") for column in columns] == [n for n in REAL[section] if n not in derived], path
        for column in columns:
            value: Any = REAL
            for key in path.replace("*", column.strip("`")).split("."):
                value = None if value is None else value[key]  # a whole mapping may be null
            assert yaml.safe_load(row[column].strip("`")) == value, (path, column)


def derived_recipes() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Section, name, recipe it is, and the keys in which it is another, as README's tables of such recipes say."""
    section = ""
    for line in README.read_text("utf-8").splitlines():
        if line.startswith("## "):
            section = {"## Nash-DQN recipes": "nash_dqn", "## Fictitious-play recipes": "fictitious_play"}.get(line, "")
        found = re.fullmatch(r"\| `(\w+)` \| `(\w+)` \| `([^`]+)` \| [^|]+ \|", line)
        if section and found:
            but_for = found[3] if found[3].startswith("{") else f"{{{found[3]}}}"
            yield section, found[1], found[2], yaml.safe_load(but_for)


def test_recipes_that_are_others_but_for_some_keys() -> None:
    derived = list(derived_recipes())
    assert {name for _, name, _, _ in derived} == {
        *("unstopped", "wide_exploration", "narrow_exploration", "others_constant", "refined_20", "refined_same"),
        "average",
    }
    for section, name, recipe, changes in derived:
        assert REAL[section][name] == {**REAL[section][recipe], **changes}, name


def test_readme_quotes_the_initial_price_sd_that_null_stands_for() -> None:
    text = README.read_text("utf-8")
    for name in REAL["run"]["scenarios"]:
        market = REAL["scenarios"][name]
        kappa, horizon = market["kappa"], market["horizon"]
        variance = market["sigma"] * math.sqrt((1 - math.exp(-2 * kappa * horizon)) / (2 * kappa))
        assert re.search(rf"{math.sqrt(variance):.3f} \$ in\s+`{name}`", text), name


# ----------------------------------------------------------------------------------------- rejections

SCENARIO = "scenarios.table1"
NASH = "nash_dqn.paper"
FP = "fictitious_play.released"
SELF = "self_play.memory"
NAN, INF = float("nan"), float("inf")

# dotted path, value put there, what the line must contain: key, offending value, what is allowed
BAD: list[tuple[str, object, list[str]]] = [
    # unknown keys, with the nearest known one
    ("authors", 3, ["authors: got 3, expected"]),
    ("beta_sweep.scenarios", ["lq_released"], ["beta_sweep.scenarios[0]: got", "a name from run.scenarios (released,"]),
    ("sead", 1, ["sead: unknown key (value 1)", "expected one of device, authors, seeds,", "did you mean 'seeds'?"]),
    (f"{SCENARIO}.kapa", 0.1, [f"{SCENARIO}.kapa: unknown key", "value 0.1", "did you mean 'kappa'?"]),
    (f"{SCENARIO}.Kappa", 0.1, [f"{SCENARIO}.Kappa: unknown key", "did you mean 'kappa'?"]),
    (
        f"{SCENARIO}.zzz",
        None,
        [f"{SCENARIO}.zzz: unknown key (value null), expected one of n_agents, horizon"],
    ),
    (f"{NASH}.penalty.betta", 1, ["penalty.betta: unknown key", "one of norm, beta", "did you mean 'beta'?"]),
    (f"{NASH}.patiance", 1, [f"{NASH}.patiance: unknown key (value 1)", "did you mean 'patience'?"]),
    (f"{NASH}.early_stopping", None, [f"{NASH}.early_stopping: unknown key (value null)"]),
    (f"{NASH}.target.resets.below", 1, ["target.resets.below: unknown key", "one of after, good_below, above"]),
    (f"{NASH}.observation.scales.rate", 1, ["observation.scales.rate: unknown key", "time_centre, time, price"]),
    (f"{FP}.tau", 0.5, [f"{FP}.tau: unknown key (value 0.5)", "target_rate"]),
    (f"{FP}.replay_episodes", 10, [f"{FP}.replay_episodes: unknown key (value 10)"]),  # Nash-DQN's only
    (f"{NASH}.critics", None, [f"{NASH}.critics: unknown key (value null)", "did you mean 'critic'?"]),
    (f"{NASH}.critic", {"price": "S", "flow": "total"}, ["critic.flow: unknown key", "order_flow"]),
    (f"{SELF}.weight_decay", 0, [f"{SELF}.weight_decay: unknown key (value 0)"]),
    ("exploitability.policies.ddpg", ["last"], ["exploitability.policies.ddpg: unknown key", "self_play"]),
    ("lq.self_play", ["same"], ['lq.self_play: unknown key (value ["same"])']),
    ("data_efficiency.deviators", ["same"], ["data_efficiency.deviators: unknown key", "mean 'deviator'?"]),
    ("comparisons.paper.ddpg", "last", ['comparisons.paper.ddpg: unknown key (value "last")']),
    ("policy_grid.inventory.step", 1, ["policy_grid.inventory.step: unknown key", "low, high, points"]),
    ("run.a b\n", 1, ['run."a b\\n": unknown key']),
    # missing keys
    ("seeds", DELETE, ["seeds: missing, expected a list of at least 1, each a whole number >= 0"]),
    ("scenarios", DELETE, ["scenarios: missing, expected a mapping with at least one name"]),
    (
        "cross_play",
        DELETE,
        ["cross_play: missing, expected a mapping with the keys points, paths, seed, alpha"],
    ),
    (f"{SCENARIO}.kappa", DELETE, [f"{SCENARIO}.kappa: missing, expected a number >= 0 (1/hour)"]),
    (f"{SCENARIO}.n_steps", DELETE, [f"{SCENARIO}.n_steps: missing, expected a whole number >= 1 (steps)"]),
    (
        f"{NASH}.penalty.beta",
        DELETE,
        [f"{NASH}.penalty.beta: missing, expected a number >= 0 and <= 1000000"],
    ),
    (f"{NASH}.penalty.norm", DELETE, [f"{NASH}.penalty.norm: missing", 'one of "l1", "squared"']),
    (f"{NASH}.target.start", DELETE, [f"{NASH}.target.start: missing", 'one of "random", "copy"']),
    (f"{NASH}.target.resets.above", DELETE, [f"{NASH}.target.resets.above: missing, expected a number > 0"]),
    (f"{NASH}.observation.scales.flow", DELETE, [f"{NASH}.observation.scales.flow: missing, expected a number > 0"]),
    (f"{FP}.phi_hidden", DELETE, [f"{FP}.phi_hidden: missing, expected a list, each a whole number >= 1"]),
    (f"{FP}.opponents", DELETE, [f"{FP}.opponents: missing", 'one of "last", "average"']),
    (
        "beta_sweep.betas",
        DELETE,
        ["beta_sweep.betas: missing, expected a list of at least 1", "no two equal"],
    ),
    (
        "comparisons.paper.fictitious_play",
        DELETE,
        ['comparisons.paper: got {"nash_dqn": "paper"}, expected nash_dqn and either fictitious_play or self_play'],
    ),
    (f"{NASH}.critic", {"price": "S"}, [f"{NASH}.critic.order_flow: missing", '"total", "others_mean"']),
    (f"{SELF}.hidden", DELETE, [f"{SELF}.hidden: missing, expected a list of at least 1"]),
    ("exploitability.restarts", DELETE, ["exploitability.restarts: missing, expected a whole number >= 1"]),
    ("data_efficiency.visited_episodes", DELETE, ["data_efficiency.visited_episodes: missing"]),
    ("lq.scenarios", DELETE, ["lq.scenarios: missing, expected a list of at least 1, each a name"]),
    ("ddpg_best_response.recipe", DELETE, ["ddpg_best_response.recipe: missing, expected a name"]),
    # numbers out of range
    (f"{SCENARIO}.n_steps", 0, [f"{SCENARIO}.n_steps: got 0, expected a whole number >= 1"]),
    (f"{SCENARIO}.n_agents", 0, [f"{SCENARIO}.n_agents: got 0, expected a whole number >= 2"]),
    (f"{SCENARIO}.horizon", 0, [f"{SCENARIO}.horizon: got 0, expected a number > 0 (hours)"]),
    (f"{SCENARIO}.kappa", -0.1, [f"{SCENARIO}.kappa: got -0.1, expected a number >= 0"]),
    (f"{SCENARIO}.theta", 0, [f"{SCENARIO}.theta: got 0, expected a number > 0"]),
    (f"{SCENARIO}.sigma", -0.01, [f"{SCENARIO}.sigma: got -0.01, expected a number >= 0"]),
    (f"{SCENARIO}.gamma", -1, [f"{SCENARIO}.gamma: got -1, expected a number >= 0"]),
    (f"{SCENARIO}.rho", -1, [f"{SCENARIO}.rho: got -1, expected a number >= 0"]),
    (f"{SCENARIO}.eta", -1, [f"{SCENARIO}.eta: got -1, expected a number >= 0"]),
    (f"{SCENARIO}.b1", 0, [f"{SCENARIO}.b1: got 0, expected a number > 0"]),
    (f"{SCENARIO}.b2", -1, [f"{SCENARIO}.b2: got -1, expected a number >= 0"]),
    (f"{SCENARIO}.b3", -1, [f"{SCENARIO}.b3: got -1, expected a number >= 0"]),
    (f"{SCENARIO}.discount", 0, [f"{SCENARIO}.discount: got 0, expected a number > 0 and <= 1"]),
    (f"{SCENARIO}.discount", 1.01, [f"{SCENARIO}.discount: got 1.01, expected a number > 0 and <= 1"]),
    (f"{SCENARIO}.initial_inventory_var", -50, ["initial_inventory_var: got -50, expected a number >= 0"]),
    (f"{SCENARIO}.initial_price_sd", -1, ["initial_price_sd: got -1, expected a number >= 0 or null ($)"]),
    (f"{NASH}.learning_rate", 0, [f"{NASH}.learning_rate: got 0, expected a number > 0"]),
    (f"{NASH}.penalty.beta", -1, [f"{NASH}.penalty.beta: got -1, expected a number >= 0"]),
    (f"{NASH}.gradient_clip", 0, [f"{NASH}.gradient_clip: got 0, expected a number > 0 or null"]),
    (f"{NASH}.target.refresh", 0, [f"{NASH}.target.refresh: got 0, expected a whole number >= 1 (iterations)"]),
    (f"{NASH}.target.resets.after", -1, ["resets.after: got -1, expected a whole number >= 0"]),
    (f"{NASH}.target.resets.good_below", -1, ["resets.good_below: got -1, expected a number >= 0"]),
    (f"{NASH}.patience", 0, [f"{NASH}.patience: got 0, expected a whole number >= 1 or null"]),
    (f"{NASH}.observation.scales.inventory", 0, ["scales.inventory: got 0, expected a number > 0 (shares)"]),
    (f"{NASH}.divergence_factor", 1, ["divergence_factor: got 1, expected a number > 1"]),
    (f"{NASH}.value_hidden", [32, 0], [f"{NASH}.value_hidden[1]: got 0, expected a whole number >= 1"]),
    (f"{NASH}.value_hidden", [], [f"{NASH}.value_hidden: got [], expected a list of at least 1"]),
    (f"{FP}.phi_hidden", [20, 0], [f"{FP}.phi_hidden[1]: got 0, expected a whole number >= 1"]),
    (f"{FP}.target_rate", 1.5, [f"{FP}.target_rate: got 1.5, expected a number > 0 and <= 1"]),
    (f"{FP}.exploration.target_sd", 0, ["exploration.target_sd: got 0, expected a number > 0 or null (shares)"]),
    (f"{FP}.action_scale", 0, [f"{FP}.action_scale: got 0, expected a number > 0 or null (shares/hour)"]),
    (f"{FP}.largest_loss", 0, [f"{FP}.largest_loss: got 0, expected a number > 0 or null"]),
    (f"{FP}.exploration.start", 2.5, [f"{FP}.exploration.start: got 2.5", ">= 0 and <= 1 (probability)"]),
    ("beta_sweep.betas", [], ["beta_sweep.betas: got [], expected a list of at least 1, each a number >= 0"]),
    ("beta_sweep.betas", [0, -1], ["beta_sweep.betas[1]: got -1, expected a number >= 0"]),
    ("beta_sweep.iterations", [], ["beta_sweep.iterations: got [], expected a list of at least 1"]),
    ("beta_sweep.iterations", [0], ["beta_sweep.iterations[0]: got 0, expected a whole number >= 1"]),
    ("beta_sweep.window", 0, ["beta_sweep.window: got 0, expected a whole number >= 1 (iterations)"]),
    ("seeds", [], ["seeds: got [], expected a list of at least 1"]),
    ("seeds", [-1], ["seeds[0]: got -1, expected a whole number >= 0 and <= 2147483647"]),
    ("cross_play.alpha", 1, ["cross_play.alpha: got 1, expected a number > 0 and < 1"]),
    ("cross_play.points", 1, ["cross_play.points: got 1, expected a whole number >= 2"]),
    (f"{NASH}.adam_beta2", 1, [f"{NASH}.adam_beta2: got 1, expected a number > 0 and < 1"]),
    (f"{NASH}.adam_beta2", 0, [f"{NASH}.adam_beta2: got 0, expected a number > 0 and < 1"]),
    (f"{NASH}.seeds", [], [f"{NASH}.seeds: got [], expected a list of at least 1", "no two equal or null"]),
    (f"{SELF}.opponent_rate", 0, [f"{SELF}.opponent_rate: got 0, expected a number > 0 and <= 1"]),
    (f"{SELF}.learning_rate", 0, [f"{SELF}.learning_rate: got 0, expected a number > 0"]),
    ("exploitability.restarts", 0, ["exploitability.restarts: got 0, expected a whole number >= 1"]),
    ("exploitability.paths", 1, ["exploitability.paths: got 1, expected a whole number >= 2 (paths)"]),
    ("data_efficiency.validation_paths", 1, ["validation_paths: got 1, expected a whole number >= 2"]),
    ("data_efficiency.hidden", [], ["data_efficiency.hidden: got [], expected a list of at least 1"]),
    ("lq.episodes", 0, ["lq.episodes: got 0, expected a whole number >= 1 (episodes)"]),
    ("equilibrium_path.width", 0, ["equilibrium_path.width: got 0, expected a number > 0 (shares/hour)"]),
    ("equilibrium_path.start", "table2", ['equilibrium_path.start: got "table2"', "from scenarios", "'table1'"]),
    ("outside_learners.recipe", "x", ['outside_learners.recipe: got "x"', "from fictitious_play"]),
    ("outside_learners.scenarios", ["x"], ['outside_learners.scenarios[0]: got "x"', "from scenarios"]),
    ("outside_learners.opponents.fictitious_play", ["x"], ['fictitious_play[0]: got "x"', "from fictitious_play"]),
    ("outside_learners.learners", ["sac"], ['outside_learners.learners[0]: got "sac"', "ddpg", "td3"]),
    ("outside_learners.transitions", 25605, ["transitions: got 25605", "a multiple of 10 (of Stable-Baselines3"]),
    ("outside_learners.transitions", 25610, ["transitions: got 25610", "a multiple of 100 (of DDPG, an epoch's)"]),
    ("outside_learners.transitions", 25700, ["transitions: got 25700", "a multiple of 640 (of gradients"]),
    ("outside_learners.action_bound", 0, ["outside_learners.action_bound: got 0, expected a number > 0"]),
    ("outside_learners.noise", -1, ["outside_learners.noise: got -1, expected a number >= 0"]),
    ("outside_learners.trainings", 0, ["outside_learners.trainings: got 0, expected a whole number >= 1"]),
    ("projection.recipe", "paper", ['projection.recipe: got "paper", expected a recipe with policy: projected']),
    ("projection.recipe", "x", ['projection.recipe: got "x"', "from nash_dqn"]),
    ("projection.explorations", [0], ["projection.explorations[0]: got 0, expected a number > 0"]),
    ("projection.damping", 1.5, ["projection.damping: got 1.5, expected a number"]),
    ("robustness.nash_dqn", ["refind"], ['robustness.nash_dqn[0]: got "refind"', "from nash_dqn", "'refined'"]),
    ("equilibrium_path.policies", ["x"], ['equilibrium_path.policies[0]: got "x"', "from self_play"]),
    ("games", {}, ["games: got {}, expected a mapping with at least one name"]),
    (
        "games.traders.game",
        "os;Traders",
        ['games.traders.game: got "os;Traders", expected a module and a class of nash_dqn.games, such as traders.Tra'],
    ),
    ("games.traders.game", "../traders.Traders", ['games.traders.game: got "../traders.Traders", expected a module']),
    ("games.traders.setting", {}, ["games.traders.setting: unknown key (value {})", "did you mean 'settings'?"]),
    ("games.traders.settings", [1], ["games.traders.settings: got [1], expected a mapping"]),
    ("games.traders.nash_dqn", {"exploratio": 1}, ["nash_dqn.exploratio: unknown key", "did you mean 'exploration'?"]),
    ("games.traders.nash_dqn", {"exploration": {"start": 1}}, ["traders.nash_dqn.exploration.end: missing, expected"]),
    ("games.traders.nash_dqn", {"seeds": [1]}, ["traders.nash_dqn.seeds: got [1], expected no seeds, as all games"]),
    (
        "games.basket.nash_dqn",
        {"explorers": "one", "minibatch_episodes": 8},
        ["basket.nash_dqn.minibatch_episodes: got 8"],
    ),
    (
        "games.basket.fictitious_play",
        {"first_epochs": 5},
        ["basket.fictitious_play.first_epochs: got 5, expected at le"],
    ),
    (
        "games.many_players_5",
        {"game": "traders.Traders"},
        ['games: got "many_players_5"', "do not start with many_pla"],
    ),
    ("general.nash_dqn", "lg", ['general.nash_dqn: got "lg", expected a name from nash_dqn', "refined_same, lq)"]),
    ("general.fictitious_play", "fq", ['general.fictitious_play: got "fq", expected a name from fictitious_play']),
    ("general.seeds", [], ["general.seeds: got [], expected a list of at least 1"]),
    ("general.many_players.scenario", "lq", ['many_players.scenario: got "lq", expected a name from scenarios']),
    (
        "general.many_players.scenario",
        "table1",
        ['many_players.scenario: got "table1"', 'with impact "linear" or "none"'],
    ),
    ("general.many_players.agents", [1, 5], ["many_players.agents[0]: got 1, expected a whole number >= 2"]),
    ("general.many_players.cost_agents", [5], ["many_players.cost_agents: got [5], expected a list of at least 2"]),
    ("general.many_players.nash_dqn", {"seeds": [1]}, ["many_players.nash_dqn.seeds: got [1], expected no seeds"]),
    ("ablation.seeds", [], ["ablation.seeds: got [], expected a list of at least 1"]),
    ("ablation.switches", {}, ["ablation.switches: got {}, expected a mapping with at least one name"]),
    ("ablation.switches.own-flow", ["critic"], ['switches: got the name "own-flow", expected a name of lower-case']),
    ("ablation.variants.refined.empty", {}, ["ablation.variants.refined.empty: got {}, expected a mapping"]),
    ("ddpg_best_response.members", 0, ["ddpg_best_response.members: got 0, expected a whole number >= 1"]),
    ("ddpg_best_response.seed", -1, ["ddpg_best_response.seed: got -1, expected a whole number >= 0"]),
    # not finite
    (f"{SCENARIO}.kappa", NAN, [f"{SCENARIO}.kappa: got .nan, expected a number >= 0", "must be finite"]),
    (f"{SCENARIO}.theta", INF, [f"{SCENARIO}.theta: got .inf, expected a number > 0", "must be finite"]),
    (
        f"{SCENARIO}.price_floor",
        -INF,
        ["price_floor: got -.inf, expected a number or null", "must be finite"],
    ),
    ("beta_sweep.betas", [0, NAN], ["beta_sweep.betas[1]: got .nan, expected a number"]),
    ("policy_grid.impacts", [INF], ["policy_grid.impacts[0]: got .inf, expected a number"]),
    ("policy_grid.inventory.low", -INF, ["policy_grid.inventory.low: got -.inf, expected a number"]),
    (f"{SCENARIO}.theta", 10**400, [f"{SCENARIO}.theta: got 1000", "expected a number > 0"]),
    # of the wrong type
    (
        f"{SCENARIO}.n_steps",
        5.0,
        ["n_steps: got 5.0, expected a whole number", "write 5, without a decimal point"],
    ),
    (f"{SCENARIO}.n_agents", 2.5, [f"{SCENARIO}.n_agents: got 2.5, expected a whole number >= 2"]),
    ("seeds", [1, 2.0], ["seeds[1]: got 2.0, expected a whole number", "write 2, without a decimal point"]),
    (f"{SCENARIO}.kappa", True, [f"{SCENARIO}.kappa: got true, expected a number >= 0"]),
    (f"{SCENARIO}.n_steps", True, [f"{SCENARIO}.n_steps: got true, expected a whole number >= 1"]),
    ("beta_sweep.betas", [True], ["beta_sweep.betas[0]: got true, expected a number >= 0"]),
    (f"{NASH}.observation.own_flow", 1, ["observation.own_flow: got 1, expected true or false"]),
    (f"{NASH}.learning_rate", "1e-3", ['got "1e-3", expected a number > 0', "write 0.001 or 1.0e-3"]),
    (f"{NASH}.learning_rate", "1.25E-3", ['got "1.25E-3"', "write 0.00125 or 1.25e-3"]),
    (f"{NASH}.iterations", "2e4", ['iterations: got "2e4", expected a whole number >= 1', "write 20000"]),
    (f"{NASH}.iterations", "50", ['iterations: got "50"', "write 50 without quotes"]),
    (f"{NASH}.learning_rate", "fast", [f'{NASH}.learning_rate: got "fast", expected a number > 0']),
    (f"{SCENARIO}.kappa", None, [f"{SCENARIO}.kappa: got null, expected a number >= 0"]),
    (f"{SCENARIO}.kappa", [0.1], [f"{SCENARIO}.kappa: got [0.1], expected a number >= 0"]),
    (f"{SCENARIO}.kappa", "x" * 500, [f'{SCENARIO}.kappa: got "xxx', "..., expected a number >= 0"]),
    (f"{SCENARIO}.kappa", "a\nb\u2028c", ["expected a number >= 0"]),
    (SCENARIO, None, [f"{SCENARIO}: got null, expected a mapping with the keys n_agents, horizon"]),
    ("scenarios", [], ["scenarios: got [], expected a mapping with at least one name"]),
    ("scenarios", {}, ["scenarios: got {}, expected a mapping with at least one name"]),
    ("seeds", 3, ["seeds: got 3, expected a list of at least 1, each a whole number"]),
    (f"{NASH}.target", False, [f"{NASH}.target: got false, expected a mapping with the keys refresh,", "or null"]),
    (f"{NASH}.target", 50, [f"{NASH}.target: got 50, expected a mapping with the keys refresh, start, resets or null"]),
    (f"{NASH}.target.resets", 100, ["target.resets: got 100, expected a mapping with the keys after,", "or null"]),
    (f"{NASH}.observation.scales", 1.0, ["scales: got 1.0, expected a mapping with the keys time_centre,", "or null"]),
    (f"{NASH}.patience", 30.0, [f"{NASH}.patience: got 30.0, expected a whole number", "write 30"]),
    (
        f"{NASH}.exploration",
        2.5,
        [f"{NASH}.exploration: got 2.5, expected a mapping with the keys start, end"],
    ),
    (f"{NASH}.critic", True, [f"{NASH}.critic: got true, expected a mapping with the keys price", "or null"]),
    (f"{NASH}.skip_terms", 1, [f"{NASH}.skip_terms: got 1, expected true or false"]),
    (f"{NASH}.opponent_gradient", None, ["opponent_gradient: got null, expected true or false"]),
    (f"{FP}.seeds", 4, [f"{FP}.seeds: got 4, expected a list of at least 1", "or null"]),
    ("lq.nash_dqn", "lq", ['lq.nash_dqn: got "lq", expected a list of at least 1, each a name']),
    # choices
    (f"{NASH}.explorers", "1", [f'{NASH}.explorers: got "1", expected one of "all", "one", "half"']),
    (f"{NASH}.learning_rate_schedule", "cosin", ['one of "constant", "cosine"', "did you mean 'cosine'?"]),
    ("exploitability.deviators", ["memroy"], ['deviators[0]: got "memroy"', "did you mean 'memory'?"]),
    ("data_efficiency.deviator", ["memory"], ["deviator: got", 'one of "same", "memory", "history"']),
    ("device", "gpu", ['device: got "gpu", expected one of "auto", "cpu", "cuda"', "did you mean 'cpu'?"]),
    ("device", "CUDA", ["did you mean 'cuda'?"]),
    (f"{SCENARIO}.impact", "root", ['impact: got "root", expected one of "sqrt", "linear", "none"']),
    (f"{SCENARIO}.impact", None, ['impact: got null, expected one of "sqrt", "linear", "none"']),
    (f"{NASH}.penalty.norm", "l2", ['norm: got "l2", expected one of "l1", "squared"']),
    (f"{NASH}.observation.price", "Y", ['observation.price: got "Y", expected one of "S", "S-Y"']),
    (f"{NASH}.p11", "abs", [f'{NASH}.p11: got "abs", expected one of "cholesky", "absolute"']),
    (f"{NASH}.watched", "penalty", [f'{NASH}.watched: got "penalty", expected one of "total_loss", "loss"']),
    (f"{NASH}.returned", "first", [f'{NASH}.returned: got "first", expected one of "best", "last"']),
    (f"{NASH}.target.start", "zero", ['target.start: got "zero", expected one of "random", "copy"']),
    (f"{FP}.returned", "best", [f'{FP}.returned: got "best", expected one of "target", "online"']),
    (f"{FP}.optimisers", "reset", [f'{FP}.optimisers: got "reset", expected one of "renewed", "kept"']),
    (f"{FP}.opponents", "avarage", ['got "avarage"', "did you mean 'average'?"]),
    # names that become folders
    ("scenarios.Table 1", {}, ['scenarios: got the name "Table 1", expected a name of lower-case letters']),
    ("scenarios.$(id)", {}, ['scenarios: got the name "$(id)", expected a name of lower-case letters']),
    ("nash_dqn.a/b", {}, ['nash_dqn: got the name "a/b", expected a name']),
    ("nash_dqn.paper\n", {}, ['nash_dqn: got the name "paper\\n", expected a name']),
    ("fictitious_play.1st", {}, ['fictitious_play: got the name "1st", expected a name']),
    ("comparisons." + "a" * 41, {}, ["comparisons: got the name", "at most 40 characters"]),
    # names that refer to other sections
    ("run.scenarios", ["tabel1"], ['run.scenarios[0]: got "tabel1"', "(table1, released, ", "mean 'table1'?"]),
    ("run.scenarios", [], ["run.scenarios: got [], expected a list of at least 1, each a name"]),
    ("run.scenarios", ["../x"], ['run.scenarios[0]: got "../x", expected a name of lower-case letters']),
    (
        "run.comparisons",
        ["paper", "x"],
        ['run.comparisons[1]: got "x"', "from comparisons (paper, released, refined, reference)"],
    ),
    ("run.comparisons", ["paper", "paper"], ['run.comparisons[1]: got "paper", expected no duplicates']),
    (
        "comparisons.paper.nash_dqn",
        "last",
        ['comparisons.paper.nash_dqn: got "last"', "from nash_dqn (paper"],
    ),
    ("comparisons.paper.fictitious_play", "paper", ['fictitious_play: got "paper"', "(released, average"]),
    ("beta_sweep.recipe", "papers", ['beta_sweep.recipe: got "papers"', "did you mean 'paper'?"]),
    ("exploitability.reference", "last", ['reference: got "last"', "exploitability.policies.self_play (memory, same)"]),
    ("exploitability.policies.self_play", ["same"], ['exploitability.reference: got "memory"', "self_play (same)"]),
    ("exploitability.policies.nash_dqn", ["last"], ['policies.nash_dqn[0]: got "last"', "from nash_dqn (paper"]),
    ("exploitability.policies.self_play", ["memory", "sam"], ["self_play[1]: got", "did you mean 'same'?"]),
    ("data_efficiency.reference", "paper", ['data_efficiency.reference: got "paper"', "policies.self_play"]),
    ("lq.scenarios", ["lq_table"], ['lq.scenarios[0]: got "lq_table"', "did you mean 'lq_table1'?"]),
    ("lq.fictitious_play", ["paper"], ['lq.fictitious_play[0]: got "paper"', "from fictitious_play (released"]),
    ("ddpg_best_response.recipe", "paper", ['ddpg_best_response.recipe: got "paper"', "from fictitious_play"]),
    ("ddpg_best_response.opponents.nash_dqn", ["x"], ['opponents.nash_dqn[0]: got "x"', "from nash_dqn"]),
    ("ablation.scenarios", ["table"], ['ablation.scenarios[0]: got "table"', "did you mean 'table1'?"]),
    ("ablation.base", "papr", ['ablation.base: got "papr", expected a name from nash_dqn', "did you mean 'paper'?"]),
    ("ablation.switches.noise", ["explore"], ['switches.noise[0]: got "explore", expected a key of a nash_dqn recipe']),
    ("ablation.switches.noise", ["seeds"], ['switches.noise[0]: got "seeds", expected a key of a nash_dqn recipe']),
    ("ablation.variants.released", {"x": {}}, ["ablation.variants.released.x: got {}"]),
    ("ablation.variants.lq", {}, ['ablation.variants: got the name "lq", expected base or goal (paper, refined)']),
    (
        "ablation.variants.refined.target_network",
        {"targett": 5},
        ['ablation."refined+target_network".targett: unknown key (value 5)', "did you mean 'target'?"],
    ),
    ("ablation.variants.refined.more", {"seeds": [9]}, ["refined.more.seeds: got [9], expected no seeds, as all"]),
    # duplicates
    ("seeds", [1, 2, 1], ["seeds[2]: got 1, expected no duplicates, but seeds[0] is 1"]),
    (
        "beta_sweep.betas",
        [0, 1, 1.0],
        ["betas[2]: got 1.0, expected no duplicates, but beta_sweep.betas[1] is 1"],
    ),
    ("beta_sweep.betas", [0, -0.0], ["beta_sweep.betas[1]: got -0.0, expected no duplicates"]),
    ("lq.nash_dqn", ["lq", "lq"], ['lq.nash_dqn[1]: got "lq", expected no duplicates']),
    (f"{SELF}.seeds", [1, 1], [f"{SELF}.seeds[1]: got 1, expected no duplicates"]),
    ("policy_grid.prices", [10, 10.0], ["policy_grid.prices[1]: got 10.0, expected no duplicates"]),
    # values that must agree
    (f"{SCENARIO}.price_floor", 10, ["price_floor: got 10, expected a number below theta (10) or null"]),
    (f"{NASH}.replay_episodes", 9, ["replay_episodes: got 9, expected at least episodes_per_iteration (10)"]),
    (
        f"{NASH}.minibatch_episodes",
        2000,
        ["replay_episodes: got 10, expected at least minibatch_episodes (2000)"],
    ),
    (f"{NASH}.iterations", 50, [f"{NASH}.iterations: got 50, expected at least history_every (100)"]),
    ("nash_dqn.refined.minibatch_episodes", 5, ["minibatch_episodes: got 5, expected replay_episodes (40), as with"]),
    (
        "nash_dqn.refined.explorers",
        "two",
        ['nash_dqn.refined.explorers: got "two", expected one of "all", "one", "half"'],
    ),
    (
        "nash_dqn.refined.policy",
        "greedy",
        ['nash_dqn.refined.policy: got "greedy", expected one of "nash", "projected"'],
    ),
    (
        "beta_sweep.recipe",
        "refined",
        ['beta_sweep.recipe: got "refined", expected a recipe with policy: nash and critic'],
    ),
    ("beta_sweep.recipe", "paper", ['beta_sweep.recipe: got "paper", expected a recipe with patience: null']),
    ("beta_sweep.window", 150, ["beta_sweep.window: got 150, expected a multiple of history_every (100) of unstopped"]),
    ("beta_sweep.iterations", [150], ["iterations[0]: got 150, expected a multiple of 100 from 1000 to 20000"]),
    ("beta_sweep.iterations", [900], ["iterations[0]: got 900, expected a multiple of 100 from 1000 to 20000"]),
    ("beta_sweep.iterations", [6000, 20100], ["iterations[1]: got 20100", "to 20000, the iterations of unstopped"]),
    ("penalty_study.recipes", ["unstoped"], ['penalty_study.recipes[0]: got "unstoped"', "did you mean 'unstopped'?"]),
    ("penalty_study.recipes", ["unstopped", "released"], ['recipes[1]: got "released", expected a recipe with pat']),
    ("penalty_study.recipes", ["refined"], ['recipes[0]: got "refined", expected a recipe with policy: nash and crit']),
    ("penalty_study.iterations", [15000], ["penalty_study.iterations[0]: got 15000, expected one of 100, 200, 500,"]),
    ("penalty_study.window", 50, ["penalty_study.window: got 50, expected a multiple of history_every (100)"]),
    ("penalty_study.betas", [0], ["penalty_study.betas: got [0], expected a list of 2, each"]),
    ("nash_dqn.refined.replay_episodes", 50, ["episodes_per_iteration: got 40, expected replay_episodes (50)"]),
    (f"{NASH}.target.resets.above", 99, ["target.resets.above: got 99, expected at least good_below (100)"]),
    (f"{FP}.first_epochs", 99, [f"{FP}.first_epochs: got 99, expected at least history_every (100)"]),
    (f"{SELF}.iterations", 99, [f"{SELF}.iterations: got 99, expected at least history_every (100)"]),
    (
        f"{NASH}.seeds",
        [5, 6],
        ["comparisons.paper: got the seeds [5, 6] of nash_dqn.paper and [1, 2, 3, 4] of fictitious_play.rele", "or a"],
    ),
    ("comparisons.paper.self_play", "memory", ["comparisons.paper: got {", "either fictitious_play or self_play"]),
    ("comparisons.reference.self_play", None, ["comparisons.reference: got {", "either fictitious_play or self_play"]),
    ("comparisons.reference.self_play", "last", ['reference.self_play: got "last"', "from self_play (memory, same)"]),
    ("comparisons.reference.self_play", 3, ["reference.self_play: got 3, expected a name", "characters or null"]),
    ("lq.scenarios", ["table1"], ['lq.scenarios[0]: got "table1"', 'impact "linear" or "none" and price_floor null']),
    ("scenarios.lq_table1.price_floor", 0, ['lq.scenarios[0]: got "lq_table1"', "price_floor null"]),
    ("ablation.goal", "paper", ['ablation.goal: got "paper", expected a recipe that differs from base (paper)']),
    (
        "ablation.switches.noise",
        DELETE,
        ["ablation.switches: got", "every key in which paper and refined differ, but exploration has no switch"],
    ),
    ("ablation.switches.again", ["critic"], ['switches.again[0]: got "critic", expected each key in one switch']),
    ("ablation.variants.refined.noise", {"weight_decay": 0}, ["refined.noise: got", "a name that is no switch's"]),
    (
        "ablation.variants.refined.target_network",
        {"target": {"refresh": 0, "start": "copy"}},
        ['ablation."refined+target_network".target.refresh: got 0, expected a whole number >= 1'],
    ),
    (
        "ablation.variants.refined.target_network",
        {"penalty": {"beta": 1}},
        ['ablation."refined+target_network".penalty.norm: missing, expected one of "l1", "squared"'],
    ),
    (
        "ablation.variants.refined.target_network",
        {"replay_episodes": 50},
        ['ablation."refined+target_network".episodes_per_iteration: got 40, expected replay_episodes (50), as with'],
    ),
    ("policy_grid.inventory.high", -10, ["inventory.high: got -10, expected more than low (-10)"]),
]


@pytest.mark.parametrize(("path", "value", "fragments"), BAD, ids=[f"{i}-{case[0][:30]}" for i, case in enumerate(BAD)])
def test_bad_value_is_refused_with_key_value_and_what_is_allowed(
    path: str, value: object, fragments: list[str]
) -> None:
    message = rejection(changed(path, value))
    for fragment in fragments:
        assert fragment in message
    assert len(message.splitlines()) == 1
    assert len(message) < 500


OBSERVATION = {"price": "S", "order_flow": "total", "own_flow": True, "inventories": "private", "scales": None}
HOSTILE = [
    *("", " ", "a b", "a'b", 'a"b', "a;b", "$(id)", "`id`", "../x", "..", "/etc", "a/b", "-rf", "--all", "a\n"),
    *("a\x00", "a.b", "a*", "{a}", "A", "1a", "_a", "ä", "a" * 41),
]
NAMED = ["scenarios", "nash_dqn", "fictitious_play", "self_play", "comparisons", "games", "ablation.switches"]
NAMED += ["games.traders.settings", "games.traders.nash_dqn", "games.traders.fictitious_play"]
NAMED += ["general.many_players.nash_dqn"]
NAMED += ["ablation.variants", "ablation.variants.refined", "ablation.variants.refined.target_network"]
"""Mappings from names."""
NAMES = [
    *("run.scenarios", "run.comparisons", "lq.scenarios", "lq.nash_dqn", "lq.fictitious_play", "ablation.scenarios"),
    *(f"exploitability.policies.{algorithm}" for algorithm in ("nash_dqn", "fictitious_play", "self_play")),
    *(f"ddpg_best_response.opponents.{algorithm}" for algorithm in ("nash_dqn", "fictitious_play")),
    *(
        "outside_learners.scenarios",
        "outside_learners.opponents.nash_dqn",
        "outside_learners.opponents.fictitious_play",
    ),
    *("robustness.nash_dqn", "equilibrium_path.policies", "ablation.switches.noise"),
    *("beta_sweep.scenarios", "penalty_study.scenarios", "penalty_study.recipes"),
]
"""Lists of names."""
NAME = ["beta_sweep.recipe", "exploitability.reference", "data_efficiency.reference", "ddpg_best_response.recipe"]
NAME += ["outside_learners.recipe"]
NAME += ["equilibrium_path.start", "equilibrium_path.end", "ablation.base", "ablation.goal", "projection.recipe"]
NAME += ["general.nash_dqn", "general.fictitious_play", "general.many_players.scenario"]
NAME += [f"comparisons.paper.{algorithm}" for algorithm in ("nash_dqn", "fictitious_play", "self_play")]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_name_gets_into_a_path_or_a_shell(name: str) -> None:
    for path in NAMED:
        config = copy.deepcopy(REAL)
        node = config
        for key in path.split("."):
            node = node[key]
        node[name] = {}
        message = rejection(config)
        assert message.startswith(path.split(".")[0]) and "got the name" in message, path
        assert "expected a name of lower-case letters, digits and underscores" in message, path
        assert len(message.splitlines()) == 1
    for path, value in [*((path, [name]) for path in NAMES), *((path, name) for path in NAME)]:
        message = rejection(changed(path, value))
        assert message.startswith(f"{path}[0]: got" if path in NAMES else f"{path}: got"), path
        assert "expected a name of lower-case letters, digits and underscores" in message, path
        assert len(message.splitlines()) == 1


def test_every_name_is_tried() -> None:
    """Whatever the schema calls a name, alone or in a list, and every mapping from names."""
    pattern = SCHEMA_CONTENT["$defs"]["name"]["pattern"]
    named = {path for path, (schema, _) in LEAVES.items() if schema.get("pattern") == pattern}
    assert {re.sub(r"^comparisons\.\w+", "comparisons.*", path) for path in NAME} == named
    lists = {path for path, (schema, _) in LEAVES.items() if resolve(schema.get("items", {})).get("pattern") == pattern}
    assert set(NAMES) - {"ablation.switches.noise"} == lists  # a list below a name of its own


@pytest.mark.parametrize("seeds", [[4, 9], [9]], ids=["one in common", "one alone"])
def test_policies_may_be_compared_on_some_seeds(seeds: list[int]) -> None:
    validate(changed(f"{NASH}.seeds", seeds), SCHEMA_CONTENT)


def test_the_two_policies_of_a_comparison() -> None:
    """Whichever way the configuration says that there is no other."""
    expected = {
        "paper": {"nash_dqn": "paper", "fictitious_play": "released"},
        "reference": {"nash_dqn": "refined", "self_play": "memory"},
    }
    brief = {**REAL, "comparisons": expected}
    for config in (REAL, brief):
        assert {name: comparison(config, name) for name in expected} == expected
    assert validate({**brief, "run": {**REAL["run"], "comparisons": ["reference"]}}, SCHEMA_CONTENT)["comparisons"] == {
        name: REAL["comparisons"][name] for name in expected
    }


def test_enough_bad_configurations_are_tried() -> None:
    sections = {path.split(".")[0] for path, _, _ in BAD}
    assert len(BAD) >= 60
    assert sections >= REAL.keys()


@pytest.mark.parametrize("config", [None, [], "device: cpu", 3])
def test_top_level_must_be_a_mapping(config: object) -> None:
    assert rejection(config).startswith("config: got ")
    assert "expected a mapping with the keys device, authors, seeds, run" in rejection(config)


@pytest.mark.parametrize(
    ("path", "key", "message"),
    [
        ("scenarios", 1, "scenarios: got the name 1, expected a name"),
        ("scenarios", True, "scenarios: got the name true, expected a name"),
        ("nash_dqn", None, "nash_dqn: got the name null, expected a name"),
        ("run", 7, "run[7]: unknown key"),
        ("run", False, "run.false: unknown key"),
    ],
)
def test_keys_must_be_text(path: str, key: object, message: str) -> None:
    config = copy.deepcopy(REAL)
    config[path][key] = {}
    assert message in rejection(config)


def test_misspelling_is_named_rather_than_the_key_it_leaves_missing() -> None:
    config = changed(f"{SCENARIO}.kappa", DELETE)
    config["scenarios"]["table1"]["kapa"] = 0.1
    assert rejection(config).startswith(f"{SCENARIO}.kapa: unknown key")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((f"{SCENARIO}.{key}", 0) for key in ("kappa", "sigma", "gamma", "rho", "eta", "b2", "b3")),
        *((f"{SCENARIO}.initial_{key}", 0) for key in ("inventory_var", "price_sd", "impact_sd")),
        (f"{SCENARIO}.price_floor", None),
        (f"{SCENARIO}.price_floor", -1),
        (f"{SCENARIO}.n_agents", 2),
        (f"{SCENARIO}.n_steps", 1),
        (f"{NASH}.phi_hidden", []),
        (f"{FP}.phi_hidden", []),
        *((f"{NASH}.{key}", None) for key in ("patience", "target", "target.resets", "observation.scales")),
        (f"{NASH}.target.resets", {"after": 0, "good_below": 5, "above": 5}),
        (f"{NASH}.observation.scales.time_centre", -1.5),
        (f"{NASH}.divergence_factor", 1.5),
        *((f"{FP}.{key}", None) for key in ("exploration.target_sd", "action_scale", "largest_loss", "gradient_clip")),
        ("beta_sweep.iterations", [20000, 1000]),
        (f"{NASH}.replay_episodes", 10),
        (f"{NASH}.penalty.beta", 0.5),
        (f"{NASH}.exploration", {"start": 0, "end": 0}),
        ("nash_dqn.lq.critic", {**OBSERVATION, "inventories": "visible"}),
        (f"{NASH}.seeds", [5, 6, 7, 1]),
        ("scenarios.lq_table1.impact", "none"),
        (f"{SELF}.opponent_rate", 0.01),
        ("beta_sweep.betas", [1.0e-7]),
        ("ablation.variants", {}),
        ("ablation.seeds", [7]),
        ("ablation.switches.noise", ["exploration", "watched"]),
        ("seeds", [0]),
    ],
)
def test_value_at_the_edge_is_accepted(path: str, value: object) -> None:
    config = changed(path, value)
    assert validate(config, SCHEMA_CONTENT) == config


def test_defaults_are_filled_into_a_copy() -> None:
    config = changed(f"{SCENARIO}.initial_price_sd", DELETE)
    paper, play = config["nash_dqn"]["paper"], config["fictitious_play"]["average"]
    del config["device"], config["cross_play"]["alpha"], paper["patience"], paper["target"]["resets"]
    del paper["observation"]["own_flow"], paper["observation"]["scales"]
    del play["seeds"], play["exploration"]["target_sd"], play["largest_loss"], play["returned"]
    config["nash_dqn"]["lq"]["critic"] = {"price": "S", "order_flow": "total"}
    before = copy.deepcopy(config)
    complete = validate(config, SCHEMA_CONTENT)
    assert config == before
    assert complete["device"] == "cpu"
    assert complete["cross_play"]["alpha"] == 0.05
    paper, play = complete["nash_dqn"]["paper"], complete["fictitious_play"]["average"]
    assert paper["patience"] is paper["target"]["resets"] is paper["observation"]["scales"] is None
    assert paper["observation"]["own_flow"] is False
    assert complete["nash_dqn"]["lq"]["critic"]["inventories"] == "private"
    assert play["seeds"] is play["exploration"]["target_sd"] is play["largest_loss"] is None
    assert play["returned"] == "target"
    assert complete["scenarios"]["table1"]["initial_price_sd"] is None
    complete["scenarios"]["table1"]["kappa"] = 7
    assert config == before


# --------------------------------------------------------------------------------------- reading files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: [1, 2\n", "line 3, column 1: expected ',' or ']'"),
        (b"a: 1\n\tb: 2\n", "line 2, column 1: found character '\\t' that cannot start any token"),
        (b"a: 1\nb: {c: 1, c: 2}\n", 'line 2, column 11: duplicate key "c", expected each key once'),
        (b"a: 1\nb: 2\na: 3\n", 'line 3, column 1: duplicate key "a"'),
        (b"a: 1\nb: \xe9\n", "line 2, column 4: not UTF-8"),
        (b"a: 1\nb: 2026-13-01\n", 'line 2, column 4: cannot read "2026-13-01"'),
        (b"a: !!python/object:os.system x\n", "line 1, column 4: could not determine a constructor"),
        (b"a: 1\n---\nb: 2\n", "line 2, column 1: but found another document"),
        (b"? [a]\n: 1\n", "line 1, column 3: found unhashable key"),
        (b"a: \x07\n", "not YAML: unacceptable character"),
        (b"[" * 5000, "nested too deeply"),
        (b"", "got null at the top level, expected a mapping"),
        (b"- a\n- b\n", 'got ["a", "b"] at the top level, expected a mapping'),
    ],
)
def test_unreadable_yaml_names_file_line_and_column(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read: No such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot read: Is a directory"):
        load_yaml(tmp_path)


def test_merged_mappings_may_be_overridden_and_a_self_reference_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "merge.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}\n", "utf-8")
    assert load_yaml(path)["more"] == {"a": 1, "b": 3}
    path.write_text("seeds: &seeds [1, *seeds]\n", "utf-8")
    config = {**REAL, **load_yaml(path)}
    assert "seeds[1]: got " in rejection(config)


# -------------------------------------------------------------------------------------- betas, settings


@pytest.mark.parametrize(
    ("beta", "text"),
    [
        (100, "100"),
        (100.0, "100"),
        (0.5, "0.5"),
        (0, "0"),
        (-0.0, "0"),
        (1e-7, "1e-07"),
        (1000000, "1000000"),
    ],
)
def test_beta_in_paths(beta: float, text: str) -> None:
    assert format_beta(beta) == text
    assert parse_beta(text) == beta
    assert re.fullmatch(BETA_PATTERN, text)


@pytest.mark.parametrize("text", ["", "1e2", "100.0", "0100", "-1", "nan", "inf", "1_0", " 1", "1\n", "٣", "x"])
def test_malformed_beta_in_a_path(text: str) -> None:
    with pytest.raises(ConfigError, match="beta: got .*, expected a number >= 0 written as 100 or 0.5"):
        parse_beta(text)


def trained(section: str, name: str) -> dict[str, Any]:
    """The recipe as its dataclass knows it: how to train, not with which seeds."""
    return {key: value for key, value in REAL[section][name].items() if key != "seeds"}


def test_nash_dqn_settings_hold_the_given_beta_and_leave_the_configuration_alone() -> None:
    before = copy.deepcopy(REAL)
    settings = nash_dqn_settings(REAL, "released", "paper", "0.5")
    assert settings["game"] == REAL["scenarios"]["released"]
    assert settings["recipe"] == {**trained("nash_dqn", "paper"), "penalty": {"norm": "l1", "beta": 0.5}}
    assert settings["scenario"] == "released"
    assert settings["recipe_name"] == "paper"
    assert settings["seeds"] == [1, 2, 3, 4]
    assert settings["device"] == "cpu"
    settings["seeds"].append(4)
    settings["game"]["kappa"] = 7
    assert before == REAL
    # however beta is written, the settings are the same, so nothing is retrained
    spellings = [nash_dqn_settings(REAL, "released", "paper", beta) for beta in ("100", 100, 100.0)]
    assert repr(spellings[0]) == repr(spellings[1]) == repr(spellings[2])


def test_fictitious_play_settings() -> None:
    settings = fictitious_play_settings(REAL, "table1", "average")
    assert settings["recipe"] == trained("fictitious_play", "average")
    assert settings["game"] == scenario(REAL, "table1") == REAL["scenarios"]["table1"]
    assert settings["seeds"] == [1, 2, 3, 4]


def test_self_play_settings() -> None:
    settings = self_play_settings(REAL, "released", "same")
    assert settings["recipe"] == trained("self_play", "same")
    assert settings["recipe_name"] == "same"
    assert settings["seeds"] == [1]


def test_a_recipe_may_have_seeds_of_its_own() -> None:
    assert nash_dqn_settings(REAL, "lq_table1", "lq", 100)["seeds"] == [1, 2, 3, 4, 5]
    assert fictitious_play_settings(REAL, "lq_table1", "lq")["seeds"] == [1, 2, 3, 4, 5]
    config = changed("nash_dqn.lq.seeds", None)
    assert nash_dqn_settings(config, "lq_table1", "lq", 100)["seeds"] == REAL["seeds"]


@pytest.mark.parametrize("path", [CONFIG, SMOKE], ids=["full", "smoke"])
def test_settings_are_what_the_recipes_know(path: Path) -> None:
    """Each recipe reaches its dataclass, which refuses unknown and missing keys, without loss."""
    config = validate(load_yaml(path), SCHEMA)
    for name in config["nash_dqn"]:
        recipe = nash_dqn_settings(config, "table1", name, 100)["recipe"]
        assert dataclasses.asdict(NashDQNRecipe.from_dict(recipe)).keys() == recipe.keys()
    for name in config["fictitious_play"]:
        recipe = fictitious_play_settings(config, "table1", name)["recipe"]
        assert dataclasses.asdict(FictitiousPlayRecipe.from_dict(recipe)).keys() == recipe.keys()
    for name in config["self_play"]:
        recipe = self_play_settings(config, "table1", name)["recipe"]
        assert dataclasses.asdict(SelfPlayRecipe.from_dict(recipe)).keys() == recipe.keys()
    for section in ("exploitability", "data_efficiency"):
        keys = BestResponseSettings.__dataclass_fields__.keys()
        BestResponseSettings(**{key: config[section][key] for key in keys})


def test_settings_of_unknown_names() -> None:
    with pytest.raises(ConfigError, match=r'got "tabl", expected a name from scenarios .*mean \'table1\'\?'):
        scenario(REAL, "tabl")
    with pytest.raises(ConfigError, match=r"nash_dqn: got \"last\", expected a name from nash_dqn \(paper, rel"):
        nash_dqn_settings(REAL, "table1", "last", 0)
    with pytest.raises(ConfigError, match="fictitious_play: got"):
        fictitious_play_settings(REAL, "table1", "paper")
    with pytest.raises(ConfigError, match="self_play: got .*from self_play"):
        self_play_settings(REAL, "table1", "paper")
    with pytest.raises(ConfigError, match='beta: got "1e2"'):
        nash_dqn_settings(REAL, "table1", "paper", "1e2")
