"""Settings: what ships is complete and names its sources, and everything else is refused in one clear line."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from nash_dqn.agents.fictitious_play import FictitiousPlayRecipe
from nash_dqn.agents.least_squares import LeastSquaresRecipe
from nash_dqn.agents.nash_dqn import NashDQNRecipe
from nash_dqn.agents.self_play import SelfPlayRecipe
from nash_dqn.config import (
    POLICY_PATTERN,
    ConfigError,
    at_beta,
    format_beta,
    game_of,
    load_yaml,
    parse_beta,
    policy,
    scenario,
    training_settings,
    validate,
    versus,
)
from nash_dqn.games.catalogue import make
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import shared
from nash_dqn.settings.__main__ import main
from tests.common import ROOT

CONFIG = ROOT / "config" / "config.yaml"
SHIPPED = {"full": [CONFIG], "small": [CONFIG, ROOT / ".test" / "config" / "config.yaml"]}
REAL: dict[str, Any] = load_yaml(CONFIG)
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
        validate(config)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------- what ships


@pytest.mark.parametrize("paths", SHIPPED.values(), ids=SHIPPED)
def test_what_ships_is_valid_and_reaches_the_code_without_loss(paths: list[Path]) -> None:
    config = validate(load_yaml(*paths))
    assert validate(config) == config
    kinds: dict[str, Any] = {
        "nash_dqn": NashDQNRecipe,
        "fictitious_play": FictitiousPlayRecipe,
        "self_play": SelfPlayRecipe,
        "least_squares": LeastSquaresRecipe,
    }
    for name in config["policies"]:
        settings = training_settings(config, "code", name)
        assert asdict(kinds[settings["algorithm"]].from_dict(settings["recipe"])) == settings["recipe"], name
    for name in config["scenarios"]:
        made = asdict(make(**game_of(config, name)))
        assert json.loads(json.dumps(made)) == game_of(config, name)["settings"], name


def test_scenarios_and_budgets_are_as_the_documents_say() -> None:
    """The two scenarios differ in kappa and sigma alone, and have linear twins; lq's algorithms have one budget."""
    of = REAL["scenarios"]
    assert of["code"] == {**of["table1"], "kappa": 0.5, "sigma": 0.1}  # released code
    assert (of["table1"]["kappa"], of["table1"]["sigma"]) == (0.1, 0.01)  # Table 1
    for name in ("table1", "code"):
        assert of[f"lq_{name}"] == {**of[name], "impact": "linear", "price_floor": None}
    play, nash, steps = REAL["policies"]["fp-lq"], REAL["policies"]["nash-lq"], of["lq_table1"]["n_steps"]
    budget = (play["first_epochs"] + (play["iterations"] - 1) * play["epochs"]) * play["episodes_per_epoch"] * steps
    assert budget == 2_001_200  # as the configuration says
    assert budget == pytest.approx(nash["iterations"] * nash["episodes_per_iteration"] * steps, rel=0.01)


def test_published_policies_have_what_was_published() -> None:
    """The switches that the paper and the released code do not know are off."""
    off = {"critic": None, "skip_terms": False, "learning_rate_schedule": "constant", "adam_beta2": 0.999}
    off |= {"explorers": "all", "opponent_gradient": True}
    for name in ("nash-text", "nash-code"):
        assert {key: REAL["policies"][name][key] for key in off} == off


def test_every_value_of_the_full_configuration_names_its_source() -> None:
    leaf = re.compile(r"^ *(?!base:)[a-z0-9_-]+: [^#\s]")
    source = re.compile(r"Table 1|text|Fig \d|Algorithm \d|released code|our choice: \S")
    lines = [line for line in CONFIG.read_text("utf-8").splitlines() if leaf.match(line)]
    assert len(lines) > 100
    for line in lines:
        assert source.search(line.partition("  # ")[2]), line


# ------------------------------------------------------------------------------------------------------- rejections

MARKET, NASH, FP, SELF = "scenarios.table1", "policies.nash-text", "policies.fp-code", "policies.reference"
NAN, INF = float("nan"), float("inf")

# dotted path, value put there, what the line must contain: key, offending value, what is allowed
BAD: list[tuple[str, object, list[str]]] = [
    # unknown keys, with the nearest known one
    ("sead", 1, ["sead: unknown key (value 1)", "expected one of device, authors, seeds,", "did you mean 'seeds'?"]),
    (f"{MARKET}.Kappa", 0.1, [f"{MARKET}.Kappa: unknown key", "value 0.1", "did you mean 'kappa'?"]),
    (f"{NASH}.target.resets.below", 1, ["target.resets.below: unknown key", "one of after, good_below, above"]),
    ("run.a b\n", 1, ['run."a b\\n": unknown key']),
    # missing keys, with what they are to be
    ("seeds", DELETE, ["seeds: missing, expected a list of at least 1, each a whole number >= 0", "no two equal"]),
    ("cross_play", DELETE, ["cross_play: missing, expected a mapping with the keys points, paths, seed, alpha"]),
    (f"{MARKET}.n_steps", DELETE, [f"{MARKET}.n_steps: missing, expected a whole number >= 1 (steps)"]),
    # out of range
    (f"{MARKET}.n_agents", 1, [f"{MARKET}.n_agents: got 1, expected a whole number >= 2"]),
    (f"{MARKET}.initial_price_sd", -1, ["initial_price_sd: got -1, expected a number >= 0 or null ($)"]),
    (f"{NASH}.patience", 0, [f"{NASH}.patience: got 0, expected a whole number >= 1 or null (iterations)"]),
    (f"{NASH}.value_hidden", [32, 0], [f"{NASH}.value_hidden[1]: got 0, expected a whole number >= 1"]),
    ("penalty_study.betas", [0], ["penalty_study.betas: got [0], expected a list of 2, each"]),
    # not finite, or of the wrong type
    (f"{MARKET}.kappa", NAN, [f"{MARKET}.kappa: got .nan, expected a number >= 0", "must be finite"]),
    (f"{MARKET}.price_floor", -INF, ["price_floor: got -.inf, expected a number or null", "must be finite"]),
    (f"{MARKET}.n_steps", 5.0, ["n_steps: got 5.0, expected a whole number", "write 5, without a decimal point"]),
    (f"{MARKET}.n_agents", 5.5, [f"{MARKET}.n_agents: got 5.5, expected a whole number >= 2"]),
    ("beta_sweep.betas", [True], ["beta_sweep.betas[0]: got true, expected a number >= 0"]),
    (f"{NASH}.skip_terms", 1, [f"{NASH}.skip_terms: got 1, expected true or false"]),
    (f"{NASH}.learning_rate", "1.25E-3", ['got "1.25E-3"', "was read as text: write 0.00125 or 1.25e-3"]),
    (f"{NASH}.iterations", "2e4", ['iterations: got "2e4", expected a whole number >= 1', "write 20000"]),
    (f"{MARKET}.kappa", None, [f"{MARKET}.kappa: got null, expected a number >= 0"]),
    (f"{MARKET}.kappa", "x" * 500, [f'{MARKET}.kappa: got "xxx', "..., expected a number >= 0"]),
    (f"{MARKET}.kappa", "a\nb\u2028c", ["expected a number >= 0"]),
    (f"{NASH}.target", 50, [f"{NASH}.target: got 50, expected a mapping with the keys refresh, start, resets or null"]),
    ("authors", 3, ["authors: got 3, expected the path of a folder or null"]),
    # choices
    (f"{NASH}.explorers", True, ['explorers: got true, expected one of "all"', "YAML reads yes, no, on and off as tr"]),
    ("device", "CUDA", ['device: got "CUDA", expected one of "auto", "cpu", "cuda"; did you mean \'cuda\'?']),
    # duplicates
    ("beta_sweep.betas", [0, 1, 1.0], ["betas[2]: got 1.0, expected no duplicates, but beta_sweep.betas[1] is 1"]),
    # names that refer to others
    ("run.scenarios", ["tabel1"], ['run.scenarios[0]: got "tabel1"', "(table1, code, ", "mean 'table1'?"]),
    ("beta_sweep.scenarios", ["lq_code"], ["beta_sweep.scenarios[0]: got", "a name from run.scenarios (code,"]),
    ("exploitability.policies", ["fp-code"], ['exploitability.reference: got "reference"', "ility.policies (fp-code)"]),
    ("data_efficiency.reference", "fp-lq", ['got "fp-lq", expected a policy of algorithm self_play (reference, refe']),
    ("many_players.scenario", "lq", ['many_players.scenario: got "lq", expected a name from scenarios']),
    ("policies.authors-fp", {"base": "fp-code"}, ['policies: got the name "authors-fp", expected another']),
    ("run.comparisons", [["fp-code", "nash-code"]], ["comparisons[0]: got [", "nash_dqn, and one of another"]),
    ("games.traders", ["nash-trader"], ['games.traders[0]: got "nash-trader"', "did you mean 'nash-traders'?"]),
    ("lq.policies.lq_cod", ["fp-lq"], ['lq.policies: got "lq_cod", expected a name from scenarios', "'lq_code'?"]),
    ("policies.x", {"iterations": 3}, ["policies.x.algorithm: missing, expected one of nash_dqn, fictitious_play, se"]),
    ("policies.x", {"algorithm": "nash"}, ['policies.x.algorithm: got "nash", expected one of', "mean 'nash_dqn'?"]),
    ("policies.x", 3, ["policies.x: got 3, expected a mapping"]),
    # values that must agree
    (f"{MARKET}.price_floor", 10, ["price_floor: got 10, expected a number below theta (10) or null"]),
    (f"{NASH}.replay_episodes", 9, ["replay_episodes: got 9, expected at least episodes_per_iteration (10)"]),
    (f"{NASH}.iterations", 50, [f"{NASH}.iterations: got 50, expected at least history_every (100)"]),
    (f"{FP}.first_epochs", 99, [f"{FP}.first_epochs: got 99, expected at least history_every (100)"]),
    (f"{SELF}.iterations", 99, [f"{SELF}.iterations: got 99, expected at least history_every (100)"]),
    ("policies.nash-refined.minibatch_episodes", 5, ["minibatch_episodes: got 5, expected replay_episodes (40)"]),
    (f"{NASH}.target.resets.above", 99, ["target.resets.above: got 99, expected at least good_below (100)"]),
    ("policy_grid.inventory.high", -10, ["inventory.high: got -10, expected more than low (-10)"]),
    (f"{NASH}.seeds", [5, 6], ["comparisons[1]: got the seeds [5, 6] of nash-text and [1, 2, 3, 4] of fp-code"]),
    ("beta_sweep.policy", "nash-refined", ["expected one with policy: nash and critic"]),
    ("beta_sweep.policy", "nash-text", ['beta_sweep.policy: got "nash-text", expected one with patience: null']),
    ("beta_sweep.window", 150, ["window: got 150, expected a multiple of history_every (100) of nash-unstopped"]),
    ("beta_sweep.iterations", [900], ["iterations[0]: got 900, expected a multiple of 100 from 1000 to 20000"]),
    ("penalty_study.iterations", [15000], ["penalty_study.iterations[0]: got 15000, expected one of 100, 200, 500,"]),
    ("projection.policy", "nash-text", ['projection.policy: got "nash-text", expected one with policy: projected']),
    ("projection.scenarios", ["table1"], ['scenarios[0]: got "table1"', 'impact "linear" or "none"']),
    ("fictitious_play.policies.lq_code", ["fp-code"], ["policies.lq_code[0]: got", "observation.inventories: visible"]),
    ("fictitious_play.policies.lq_code", ["nash-lq"], ["policies.lq_code[0]: got", "a policy of algorithm fictit"]),
    ("fictitious_play.policies.cod", ["fp-code"], ['fictitious_play.policies: got "cod"', "did you mean 'code'?"]),
    ("outside_learners.transitions", 25610, ["transitions: got 25610", "a multiple of 100 (of DDPG, an epoch's)"]),
    # games beyond the paper's
    ("scenarios.traders.game", "../traders.Traders", ['traders.game: got "../traders.Traders", expected a module']),
    ("scenarios.traders.b1", [-1, 1], ["scenarios.traders.b1[0]: got -1, expected a number > 0"]),
    ("scenarios.traders.b1", [1], ["scenarios.traders.b1: got [1.0], expected 2 of them, one per group"]),
    ("scenarios.interbank.epsilon", 0.5, ["interbank.epsilon: got 0.5, expected at least q^2 (1)"]),
    # the ablation, whose policies are put together of others
    ("ablation.switches.noise", DELETE, ["in which nash-text and nash-refined differ, but exploration has no switch"]),
    ("ablation.switches.again", ["critic"], ['switches.again[0]: got "critic", expected each key in one switch']),
    ("ablation.switches.noise", ["seeds"], ['switches.noise[0]: got "seeds", expected a key of a nash_dqn policy']),
    ("ablation.variants.x", {}, ['variants: got the name "x", expected base or goal (nash-text, nash-refined)']),
    ("ablation.variants.nash-refined.noise", {"weight_decay": 0}, ["nash-refined.noise: got", "that is no switch's"]),
    ("ablation.variants.nash-refined.x", {"penalty": {"beta": -1}}, ['"nash-refined+x".penalty.beta: got -1']),
    ("ablation.variants.nash-refined.x", {"seeds": [1]}, ["nash-refined.x.seeds: got [1], expected no seeds"]),
    ("policies.nash-refined-noise", {"base": "fp-lq"}, ['got the name "nash-refined-noise"', "an ablation's policy"]),
    # bases
    (f"{NASH}.base", "fp-cod", ['.base: got "fp-cod", expected a name from policies', "did you mean 'fp-code'?"]),
    (f"{NASH}.base", ["x"], [f'{NASH}.base: got ["x"], expected a name from policies']),
    (f"{NASH}.base", "nash-text", ["expected one that does not lead back to it (nash-text -> nash-text)"]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "fragments"), BAD, ids=[f"{i}-{case[0][:30]}" for i, case in enumerate(BAD)])
def test_bad_value_is_refused_with_key_value_and_what_is_allowed(
    path: str, value: object, fragments: list[str]
) -> None:
    message = rejection(changed(path, value))
    for fragment in fragments:
        assert fragment in message
    assert len(message.splitlines()) == 1
    assert len(message) < 500


def test_keys_must_be_text_and_a_misspelling_is_named_rather_than_the_key_it_leaves_missing() -> None:
    tops: list[object] = [None, [], "device: cpu", 3]
    for config in tops:
        assert re.match(r"config: got .*expected a mapping with the keys device, authors, seeds", rejection(config))
    for section, key, message in (
        ("scenarios", 1, "scenarios: got the name 1"),
        ("run", False, "run.false: unknown key (value {}), expected one of scenarios, comparisons; YAML reads"),
    ):
        wrong: Any = copy.deepcopy(REAL)
        wrong[section][key] = {}
        assert message in rejection(wrong)
    misspelt = changed(f"{MARKET}.kappa", DELETE)
    misspelt["scenarios"]["table1"]["kapa"] = 0.1
    assert rejection(misspelt).startswith(f"{MARKET}.kapa: unknown key")


HOSTILE = ["", " ", "a b", "a'b", 'a"b', "a;b", "$(id)", "../x", "..", "/etc", "a/b", "-rf", "a\n", "a\x00", "a.b"]
HOSTILE += ["a*", "{a}", "A", "1a", "_a", "ä", "a" * 41, "a+b", "a=b"]
NAMED = ["scenarios", "policies", "games", "lq.policies", "fictitious_play.policies"]
NAMED += ["ablation.switches", "ablation.variants"]
NAMED += ["ablation.variants.nash-refined", "ablation.variants.nash-refined.target_network"]


def test_no_hostile_name_gets_into_a_path_or_a_shell() -> None:
    """Whether it is the name of something or refers to it."""
    expected = "expected a name of lower-case letters, digits, - and _"
    for name, path in itertools.product(HOSTILE, NAMED):
        config: Any = copy.deepcopy(REAL)
        node = config
        for key in path.split("."):
            node = node.setdefault(key, {})
        node[name] = {}
        message = rejection(config)
        assert message.startswith(path.split(".")[0]) and "got the name" in message and expected in message, path
        assert len(message.splitlines()) == 1
    for name in HOSTILE:
        for path, value in (
            ("run.scenarios", [name]),
            ("beta_sweep.policy", name),
            ("run.comparisons", [["fp-code", name]]),
        ):
            message = rejection(changed(path, value))
            assert message.startswith(path) and expected in message and len(message.splitlines()) == 1


# --------------------------------------------------------------------------------------- what settings mean, and bases


def test_settings_are_compared_as_what_they_mean() -> None:
    """Order of keys and of sets of numbers, 10 or 10.0, a default spelt out or not, null or nothing: the same bytes."""
    other = json.loads(json.dumps(REAL), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    other["scenarios"]["table1"] |= {"theta": 10.0, "b3": 0.0}
    other["seeds"], other["beta_sweep"]["betas"] = [4, 3, 2, 1], [500.0, 100, 75, 50, 25, 10, 1, 0]
    other["exploitability"]["deviators"] = ["memory", "same"]
    for section, key in (("policy_grid", "prices"), ("many_players", "agents"), ("many_players", "cost_agents")):
        other[section][key].reverse()
    del other["device"], other["policies"]["nash-text"]["critic"], other["scenarios"]["code"]["initial_price_sd"]
    other["scenarios"]["table1"]["game"] = "market.Market"
    other["scenarios"]["traders"] |= {"sizes": [2, 3], "horizon": 5, "b3": [0.05, 0]}
    other["policies"]["nash-traders"]["exploration"] = {"end": 1.3, "start": 2.2}
    first, second = validate(REAL), validate(other)
    assert first == second
    for section in ("scenarios", "policies"):  # entries keep the order that is given
        for name in first[section]:
            assert json.dumps(first[section][name]) == json.dumps(second[section][name])
    for section in ("seeds", "run", "beta_sweep", "policy_grid", "exploitability", "equilibrium_path", "many_players"):
        assert json.dumps(first[section]) == json.dumps(second[section]), section
    for where, name in (
        ("code", "nash-refined+large_networks"),
        ("code", "nash-text+noise"),
        ("lq_code+players=10", "nash-many"),
    ):
        both = [json.dumps(training_settings(config, where, name)) for config in (first, second)]
        assert both[0] == both[1]
    assert validate(changed(f"{MARKET}.theta", 11))["scenarios"] != first["scenarios"]


def test_a_base_gives_all_that_an_entry_does_not() -> None:
    """Mappings merge by key, lists and null replace, chains are followed, in whichever order entries stand."""
    config = copy.deepcopy(REAL)
    policies = config["policies"]
    policies["first"] = {"base": "second", "penalty": {"beta": 7}, "target": {"resets": None}}
    policies["second"] = {"base": "nash-code", "value_hidden": [3], "patience": None}
    config["scenarios"]["calm"] = {"base": "lq_table1", "sigma": 0.001}
    complete = validate(config)
    found, target = complete["policies"], {**REAL["policies"]["nash-code"]["target"], "resets": None}
    second = {**found["nash-code"], "value_hidden": [3], "patience": None}
    assert found["second"] == second
    assert found["first"] == {**second, "penalty": {"norm": "squared", "beta": 7}, "target": target}
    assert complete["scenarios"]["calm"] == {**complete["scenarios"]["lq_table1"], "sigma": 0.001}
    policies["second"]["base"] = "first"
    assert rejection(config).endswith("expected one that does not lead back to it (first -> second -> first)")
    assert policies["second"]["base"] == "first"  # what was given stays as it was


def test_files_are_laid_over_each_other_before_bases_are_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(
        "policies:\n  slow: {base: nash-code, learning_rate: 0.0001}\n  nash-code: {weight_decay: 0.5}\n"
        "games: {basket: null, interbank: null}\nseeds: [7]\n"
    )
    config = validate(load_yaml(CONFIG, path))
    assert config["seeds"] == [7] and list(config["games"]) == ["traders"]
    policies = config["policies"]
    assert policies["slow"] == {**policies["nash-code"], "learning_rate": 0.0001}
    assert policies["nash-code"]["weight_decay"] == policies["nash-others-constant"]["weight_decay"] == 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: [1, 2\n", "line 3, column 1: expected ',' or ']'"),
        (b"a: 1\n\tb: 2\n", "line 2, column 1: found character '\\t' that cannot start any token"),
        (b"a: 1\nb: {c: 1, c: 2}\n", 'line 2, column 11: duplicate key "c", expected each key once'),
        (b"a: 1\nb: \xe9\n", "line 2, column 4: not UTF-8"),
        (b"a: 1\nb: 1:30\n", 'line 2, column 4: YAML reads "1:30" as 90, a number to base 60: write 90'),
        (b"a: 0100\n", 'line 1, column 4: YAML reads "0100" as 64, a number to base 8: write 64 or 100'),
        (b"a: 1\nb: 2026-13-01\n", 'line 2, column 4: cannot read "2026-13-01"'),
        (b"a: !!python/object:os.system x\n", "line 1, column 4: could not determine a constructor"),
        (b"a: !!set {x, y}\n", "line 1, column 4: could not determine a constructor"),
        (b"a: 1\n---\nb: 2\n", "line 2, column 1: but found another document"),
        (b"? [a]\n: 1\n", "line 1, column 3: found unhashable key"),
        (b"a: \x07\n", "not YAML: unacceptable character"),
        (b"[" * 5000, "nested too deeply"),
        (b"", "the file is empty, expected a mapping"),
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


WHOLE = ("ablation.", "lq.policies", "fictitious_play.policies", "games")
"""Mappings from names, described as one key."""


def test_the_reference_of_keys_has_each_with_unit_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    described = {row[0].strip("| `"): row for row in rows}
    assert all(len(row) == 5 and row[4].strip(" |") and row[2] for row in rows)
    patience = described["policies.*.patience (nash_dqn)"]
    assert patience[1:4] == ["a whole number >= 1 or null", "iterations", "null"]

    def documented(value: object, key: str, kind: str) -> None:
        if isinstance(value, dict) and not key.startswith(WHOLE):
            for name, inner in value.items():
                dotted = f"{key}.{name}".strip(".")
                if kind and name in ("game", "algorithm"):
                    continue
                if key in ("scenarios", "policies"):
                    documented(inner, f"{key}.*", f" ({inner.get('algorithm') or inner['game']})")
                else:
                    documented(inner, dotted if dotted + kind in described else f"{key}.*", kind)
        else:
            assert key + kind in described or key.startswith("ablation."), key

    documented(validate(REAL), "", "")


def test_what_files_come_to_is_printed_and_a_wrong_one_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("device: cuda\n")
    main([str(CONFIG), str(path)])
    assert yaml.safe_load(capsys.readouterr().out) == {**validate(REAL), "device": "cuda"}
    path.write_text("")
    with pytest.raises(SystemExit, match=r"Error in the configuration: .*my\.yaml: the file is empty, expected a map"):
        main([str(CONFIG), str(path)])


# --------------------------------------------------------------------------------------------- what is trained


def test_beta_in_paths_has_one_spelling() -> None:
    for beta, text in ((100.0, "100"), (0.5, "0.5"), (-0.0, "0"), (1e-7, "1e-07"), (1000000, "1000000")):
        assert format_beta(beta) == text
        assert parse_beta(text) == beta
        assert re.fullmatch(POLICY_PATTERN, f"+beta={text}")
    for malformed in ("", "1e2", "100.0", "0100", "-1", "nan", "inf", "1_0", " 1", "1\n", "٣", "x"):
        with pytest.raises(ConfigError, match="beta: got .*, expected a number >= 0 written as 100 or 0.5"):
            parse_beta(malformed)


def test_settings_of_a_training() -> None:
    config = validate(REAL)
    before = copy.deepcopy(config)
    recipe = {key: of for key, of in config["policies"]["nash-text"].items() if key not in ("algorithm", "seeds")}
    settings = training_settings(config, "code", "nash-text+beta=0.5")
    market = {key: value for key, value in config["scenarios"]["code"].items() if key != "game"}
    assert settings == {
        **{"scenario": "code", "policy": "nash-text+beta=0.5", "algorithm": "nash_dqn", "device": "cpu"},
        **{"game": {"game": "market.Market", "settings": market}, "seeds": [1, 2, 3, 4]},
        "recipe": {**recipe, "penalty": {"norm": "l1", "beta": 0.5}},
    }
    settings["seeds"].append(4)
    settings["game"]["settings"]["kappa"] = 7
    assert before == config
    assert training_settings(config, "table1", "fp-average")["recipe"]["opponents"] == "average"
    assert training_settings(config, "lq_table1", "fp-lq")["seeds"] == [1, 2, 3, 4, 5]  # the policy's own
    assert versus(config["run"]["comparisons"][0]) == "nash-code-vs-fp-code"


def test_a_policy_has_one_name() -> None:
    """At its own beta it is called by its own name, however that is written."""
    config = validate(REAL)
    assert at_beta(config, "nash-text", 100) == at_beta(config, "nash-text", 100.0) == "nash-text"
    assert at_beta(config, "nash-text", 10) == "nash-text+beta=10"
    with pytest.raises(ConfigError, match=r'got "nash-text\+beta=100", expected nash-text, which has this beta'):
        policy(config, "nash-text+beta=100")


def test_a_market_is_shared_among_many() -> None:
    config = validate(REAL)
    market = make(**game_of(config, "lq_code"))
    assert isinstance(market, Market)
    for count in (2, 1000):
        assert make(**game_of(config, f"lq_code+players={count}")) == shared(market, count)


def test_names_that_are_nobodys() -> None:
    cases: list[tuple[Callable[[dict[str, Any], str], object], str, str]] = [
        (scenario, "tabl", r'scenarios: got "tabl", expected a name from scenarios .*mean \'table1\'\?'),
        (scenario, "traders+players=5", r"expected a market before \+players=; traders is of traders.Traders"),
        (policy, "nash-last", r'policies: got "nash-last", expected a name from policies \(nash-text, nash-code'),
        (policy, "nash-refined-nois", r"did you mean 'nash-refined-noise'\?"),
        (policy, "fp-code+beta=1", r"expected a policy of algorithm nash_dqn before \+beta=; fp-code is none"),
        (policy, "nash-text+beta=1e2", 'beta: got "1e2"'),
    ]
    config = validate(REAL)
    for of, name, message in cases:
        with pytest.raises(ConfigError, match=message):
            of(config, name)
