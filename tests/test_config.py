"""The configuration: what ships is valid and documented, and everything else is refused in one clear line."""

import copy
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nash_dqn.config import (
    BETA_PATTERN,
    ConfigError,
    fictitious_play_settings,
    format_beta,
    load_yaml,
    nash_dqn_settings,
    parse_beta,
    scenario,
    validate,
)

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
    config = copy.deepcopy(REAL)
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
    for section in ("nash_dqn", "fictitious_play", "comparisons"):
        assert smoke[section].keys() == REAL[section].keys()
    for name, recipe in smoke["nash_dqn"].items():
        for key in (
            "observation",
            "penalty",
            "exploration",
            "learning_rate",
            "weight_decay",
            "gradient_clip",
        ):
            assert recipe[key] == REAL["nash_dqn"][name][key], (name, key)


def test_the_two_scenarios_differ_in_kappa_and_sigma_only() -> None:
    table1, released = REAL["scenarios"]["table1"], REAL["scenarios"]["released"]
    differing = {key for key in table1 if table1[key] != released[key]}
    assert differing == {"kappa", "sigma"}
    assert (table1["kappa"], table1["sigma"]) == (0.1, 0.01)  # Table 1
    assert (released["kappa"], released["sigma"]) == (0.5, 0.1)  # released code


def test_every_line_of_the_full_configuration_names_its_source() -> None:
    leaf = re.compile(r"^ *[a-z0-9_]+: [^#\s]")
    source = re.compile(r"Table 1|text|Fig \d|Algorithm 2|released code|our choice: \S")
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
            assert [column.strip("`") for column in columns] == list(REAL[path.split(".")[0]]), path
        for column in columns:
            value: Any = REAL
            for key in path.replace("*", column.strip("`")).split("."):
                value = value[key]
            assert yaml.safe_load(row[column].strip("`")) == value, (path, column)


def test_readme_quotes_the_initial_price_sd_that_null_stands_for() -> None:
    text = README.read_text("utf-8")
    for name, market in REAL["scenarios"].items():
        kappa, horizon = market["kappa"], market["horizon"]
        variance = market["sigma"] * math.sqrt((1 - math.exp(-2 * kappa * horizon)) / (2 * kappa))
        assert re.search(rf"{math.sqrt(variance):.3f} \$ in\s+`{name}`", text), name


# ----------------------------------------------------------------------------------------- rejections

SCENARIO = "scenarios.table1"
NASH = "nash_dqn.paper"
FP = "fictitious_play.last"
NAN, INF = float("nan"), float("inf")

# dotted path, value put there, what the line must contain: key, offending value, what is allowed
BAD: list[tuple[str, object, list[str]]] = [
    # unknown keys, with the nearest known one
    ("sead", 1, ["sead: unknown key (value 1)", "expected one of device, seeds,", "did you mean 'seeds'?"]),
    (f"{SCENARIO}.kapa", 0.1, [f"{SCENARIO}.kapa: unknown key", "value 0.1", "did you mean 'kappa'?"]),
    (f"{SCENARIO}.Kappa", 0.1, [f"{SCENARIO}.Kappa: unknown key", "did you mean 'kappa'?"]),
    (
        f"{SCENARIO}.zzz",
        None,
        [f"{SCENARIO}.zzz: unknown key (value null), expected one of n_agents, horizon"],
    ),
    (f"{NASH}.penalty.betta", 1, ["penalty.betta: unknown key", "one of norm, beta", "did you mean 'beta'?"]),
    (f"{NASH}.early_stopping.patiance", 1, ["did you mean 'patience'?"]),
    (f"{FP}.tau", 0.5, [f"{FP}.tau: unknown key (value 0.5)", "target_rate"]),
    (f"{FP}.replay_episodes", 10, [f"{FP}.replay_episodes: unknown key (value 10)"]),  # Nash-DQN's only
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
    (f"{NASH}.early_stopping.window", DELETE, [f"{NASH}.early_stopping.window: missing"]),
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
        ["comparisons.paper.fictitious_play: missing, expected a name"],
    ),
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
    (f"{NASH}.target_refresh", 0, ["target_refresh: got 0, expected a whole number >= 1 or null"]),
    (f"{NASH}.divergence_factor", 1, ["divergence_factor: got 1, expected a number > 1"]),
    (f"{NASH}.value_hidden", [32, 0], [f"{NASH}.value_hidden[1]: got 0, expected a whole number >= 1"]),
    (f"{NASH}.value_hidden", [], [f"{NASH}.value_hidden: got [], expected a list of at least 1"]),
    (f"{FP}.phi_hidden", [20, 0], [f"{FP}.phi_hidden[1]: got 0, expected a whole number >= 1"]),
    (f"{FP}.target_rate", 1.5, [f"{FP}.target_rate: got 1.5, expected a number > 0 and <= 1"]),
    (f"{FP}.exploration.start", 2.5, [f"{FP}.exploration.start: got 2.5", ">= 0 and <= 1 (probability)"]),
    ("beta_sweep.betas", [], ["beta_sweep.betas: got [], expected a list of at least 1, each a number >= 0"]),
    ("beta_sweep.betas", [0, -1], ["beta_sweep.betas[1]: got -1, expected a number >= 0"]),
    ("seeds", [], ["seeds: got [], expected a list of at least 1"]),
    ("seeds", [-1], ["seeds[0]: got -1, expected a whole number >= 0 and <= 2147483647"]),
    ("cross_play.alpha", 1, ["cross_play.alpha: got 1, expected a number > 0 and < 1"]),
    ("cross_play.points", 1, ["cross_play.points: got 1, expected a whole number >= 2"]),
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
    (
        f"{NASH}.early_stopping",
        False,
        ["early_stopping: got false, expected a mapping with the keys", "or null"],
    ),
    (
        f"{NASH}.exploration",
        2.5,
        [f"{NASH}.exploration: got 2.5, expected a mapping with the keys start, end"],
    ),
    # choices
    ("device", "gpu", ['device: got "gpu", expected one of "auto", "cpu", "cuda"', "did you mean 'cpu'?"]),
    ("device", "CUDA", ["did you mean 'cuda'?"]),
    (f"{SCENARIO}.impact", "root", ['impact: got "root", expected one of "sqrt", "linear", "none"']),
    (f"{SCENARIO}.impact", None, ['impact: got null, expected one of "sqrt", "linear", "none"']),
    (f"{NASH}.penalty.norm", "l2", ['norm: got "l2", expected one of "l1", "squared"']),
    (f"{NASH}.observation.price", "Y", ['observation.price: got "Y", expected one of "S", "S-Y"']),
    (f"{FP}.opponents", "avarage", ['got "avarage"', "did you mean 'average'?"]),
    # names that become folders
    ("scenarios.Table 1", {}, ['scenarios: got the name "Table 1", expected a name of lower-case letters']),
    ("scenarios.$(id)", {}, ['scenarios: got the name "$(id)", expected a name of lower-case letters']),
    ("nash_dqn.a/b", {}, ['nash_dqn: got the name "a/b", expected a name']),
    ("nash_dqn.paper\n", {}, ['nash_dqn: got the name "paper\\n", expected a name']),
    ("fictitious_play.1st", {}, ['fictitious_play: got the name "1st", expected a name']),
    ("comparisons." + "a" * 41, {}, ["comparisons: got the name", "at most 40 characters"]),
    # names that refer to other sections
    ("run.scenarios", ["tabel1"], ['run.scenarios[0]: got "tabel1"', "(table1, released)", "mean 'table1'?"]),
    ("run.scenarios", [], ["run.scenarios: got [], expected a list of at least 1, each a name"]),
    ("run.scenarios", ["../x"], ['run.scenarios[0]: got "../x", expected a name of lower-case letters']),
    (
        "run.comparisons",
        ["paper", "x"],
        ['run.comparisons[1]: got "x"', "from comparisons (paper, released)"],
    ),
    ("run.comparisons", ["paper", "paper"], ['run.comparisons[1]: got "paper", expected no duplicates']),
    (
        "comparisons.paper.nash_dqn",
        "last",
        ['comparisons.paper.nash_dqn: got "last"', "from nash_dqn (paper"],
    ),
    ("comparisons.paper.fictitious_play", "paper", ['fictitious_play: got "paper"', "(last, average)"]),
    ("beta_sweep.recipe", "papers", ['beta_sweep.recipe: got "papers"', "did you mean 'paper'?"]),
    # duplicates
    ("seeds", [1, 2, 1], ["seeds[2]: got 1, expected no duplicates, but seeds[0] is 1"]),
    (
        "beta_sweep.betas",
        [0, 1, 1.0],
        ["betas[2]: got 1.0, expected no duplicates, but beta_sweep.betas[1] is 1"],
    ),
    ("beta_sweep.betas", [0, -0.0], ["beta_sweep.betas[1]: got -0.0, expected no duplicates"]),
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
    (
        f"{NASH}.early_stopping.patience",
        99,
        [f"{NASH}.early_stopping.patience: got 99, expected at least early_stopping.window (100)"],
    ),
    (f"{FP}.first_epochs", 99, [f"{FP}.first_epochs: got 99, expected at least history_every (100)"]),
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


def test_enough_bad_configurations_are_tried() -> None:
    sections = {path.split(".")[0] for path, _, _ in BAD}
    assert len(BAD) >= 60
    assert sections >= REAL.keys()


@pytest.mark.parametrize("config", [None, [], "device: cpu", 3])
def test_top_level_must_be_a_mapping(config: object) -> None:
    assert rejection(config).startswith("config: got ")
    assert "expected a mapping with the keys device, seeds, run" in rejection(config)


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
        (f"{NASH}.early_stopping", None),
        (f"{NASH}.replay_episodes", 10),
        (f"{NASH}.penalty.beta", 0.5),
        (f"{NASH}.exploration", {"start": 0, "end": 0}),
        ("beta_sweep.betas", [1.0e-7]),
        ("seeds", [0]),
    ],
)
def test_value_at_the_edge_is_accepted(path: str, value: object) -> None:
    config = changed(path, value)
    assert validate(config, SCHEMA_CONTENT) == config


def test_defaults_are_filled_into_a_copy() -> None:
    config = changed(f"{SCENARIO}.initial_price_sd", DELETE)
    del config["device"], config["cross_play"]["alpha"], config["nash_dqn"]["paper"]["early_stopping"]
    del config["nash_dqn"]["paper"]["observation"]["own_flow"]
    before = copy.deepcopy(config)
    complete = validate(config, SCHEMA_CONTENT)
    assert config == before
    assert complete["device"] == "cpu"
    assert complete["cross_play"]["alpha"] == 0.05
    assert complete["nash_dqn"]["paper"]["early_stopping"] is None
    assert complete["nash_dqn"]["paper"]["observation"]["own_flow"] is False
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


def test_nash_dqn_settings_hold_the_given_beta_and_leave_the_configuration_alone() -> None:
    before = copy.deepcopy(REAL)
    settings = nash_dqn_settings(REAL, "released", "paper", "0.5")
    assert settings["game"] == REAL["scenarios"]["released"]
    assert settings["recipe"] == {**REAL["nash_dqn"]["paper"], "penalty": {"norm": "l1", "beta": 0.5}}
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
    assert settings["recipe"] == REAL["fictitious_play"]["average"]
    assert settings["game"] == scenario(REAL, "table1") == REAL["scenarios"]["table1"]


def test_settings_of_unknown_names() -> None:
    with pytest.raises(ConfigError, match=r'got "tabl", expected a name from scenarios .*mean \'table1\'\?'):
        scenario(REAL, "tabl")
    with pytest.raises(ConfigError, match=r"nash_dqn: got \"last\", expected a name from nash_dqn \(paper, rel"):
        nash_dqn_settings(REAL, "table1", "last", 0)
    with pytest.raises(ConfigError, match="fictitious_play: got"):
        fictitious_play_settings(REAL, "table1", "paper")
    with pytest.raises(ConfigError, match='beta: got "1e2"'):
        nash_dqn_settings(REAL, "table1", "paper", "1e2")
