"""Configuration: read it, check all of it before anything runs, and hand each training its settings.

Every rejection is a ``ConfigError`` whose message is one line: dotted key, offending value, what is allowed.
The library does not know where the schema lives; callers pass it.
"""

import copy
import difflib
import itertools
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from nash_dqn import ablation
from nash_dqn.pairing import member_pairs
from nash_dqn.published import AUTHORS

__all__ = [
    "AUTHORS_FILES",
    "BETA_PATTERN",
    "ConfigError",
    "ablation_settings",
    "authors_files",
    "comparison",
    "fictitious_play_settings",
    "format_beta",
    "general_game",
    "general_games",
    "general_settings",
    "load_yaml",
    "market_of_many",
    "nash_dqn_settings",
    "parse_beta",
    "scenario",
    "self_play_settings",
    "validate",
]

BETA_PATTERN = r"[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?"
"""Regular expression of a beta in a path; ``parse_beta`` is stricter (one spelling per number)."""

AUTHORS_FILES = {"action": "Action_Net.pt", "value": "Value_Net.pt", "fp": "pol_net_it.pt"}
"""Names of the files that the authors' weights are read from, by what :func:`authors_files` calls them."""

_MANY = "many_players_"
_COMPARED = ("nash_dqn", "fictitious_play", "self_play")  # the first with one of the others

_Schema = Mapping[str, Any]
_Path = Iterable[str | int]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line for the person who wrote it."""


# ---------------------------------------------------------------------------------------------- reading


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, but a repeated key is an error (YAML would silently keep the last one)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            identity = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if identity in seen:
                message = f"duplicate key {_show(key.value)}, expected each key once in a mapping"
                raise yaml.constructor.ConstructorError(problem=message, problem_mark=key.start_mark)
            if identity is not None:
                seen.add(identity)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # e.g. a date with month 13: PyYAML lets Python's own error through
            message = f"cannot read {_show(node.value)}"
            raise yaml.constructor.ConstructorError(problem=message, problem_mark=node.start_mark) from error


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ConfigError: the file cannot be opened, is not UTF-8 or not YAML (with line and column), repeats a key
            within one mapping, or is no mapping.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read: {error.strerror}") from error
    try:
        content = yaml.load(data.decode("utf-8-sig"), Loader=_UniqueKeyLoader)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError(f"{path}: line {line}, column {column}: not UTF-8, expected UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(_one_line(f"{path}: {where}{error.problem or error.context}")) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise ConfigError(_one_line(f"{path}: not YAML: {error}")) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not readable: nested too deeply") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: got {_show(content)} at the top level, expected a mapping")
    return content


# ------------------------------------------------------------------------------------------- validation


def validate(config: object, schema: _Schema | str | Path) -> dict[str, Any]:
    """Check a whole configuration and return a deep copy of it with the schema's defaults filled in.

    Numbers must be finite, whole numbers written as such (5.0 is refused where 5 is meant); booleans are no
    numbers. Beyond the schema, names must refer to something that exists and sizes must agree.

    Args:
        config: what ``load_yaml`` or Snakemake read.
        schema: a JSON schema (draft 2020-12) or the YAML file that holds it.

    Raises:
        ConfigError: at the first problem found: unknown keys come first, then missing ones, then values.
    """
    root: _Schema = schema if isinstance(schema, Mapping) else load_yaml(schema)
    errors = sorted(_Validator(root).iter_errors(config), key=_priority)
    if errors or not isinstance(config, dict):
        _reject(errors[0], root)
    complete: dict[str, Any] = copy.deepcopy(config)
    _fill_defaults(complete, root, root)
    _check_references(complete)
    _check_sizes(complete)
    _check_ablation(complete, root)
    _check_general(complete, root)
    return complete


def _priority(error: ValidationError) -> int:
    """Keys before values, and unknown before missing: a misspelt key leaves another one missing."""
    if error.validator == "additionalProperties" or "propertyNames" in error.absolute_schema_path:
        return 0
    return 1 if error.validator == "required" else 2


def _is_number(_: Any, value: object) -> bool:
    # NaN and infinities fail the comparison, and so do integers too large for a float
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_integer(_: Any, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number).redefine("integer", _is_integer),
)


def _resolve(schema: _Schema, root: _Schema) -> _Schema:
    """Follow a local reference; what stands beside it (a description, say) wins."""
    if "$ref" not in schema:
        return schema
    target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return {**_resolve(target, root), **{key: value for key, value in schema.items() if key != "$ref"}}


def _fill_defaults(value: object, schema: _Schema, root: _Schema) -> None:
    schema = _resolve(schema, root)
    if not isinstance(value, dict):
        return
    properties: Mapping[str, Any] = schema.get("properties", {})
    for key, sub in properties.items():
        resolved = _resolve(sub, root)
        if key not in value and "default" in resolved:
            value[key] = copy.deepcopy(resolved["default"])
    for key, item in value.items():
        _fill_defaults(item, properties.get(key) or schema.get("additionalProperties", {}), root)


def _check_references(config: Mapping[str, Any]) -> None:
    """Names that refer to other sections must exist there."""

    def each(*path: str) -> None:
        """A list whose last key is the section its names come from."""
        names: Any = config
        for key in path:
            names = names[key]
        for index, name in enumerate(names):
            _check_name((*path, index), name, config, path[-1])

    each("run", "scenarios")
    each("run", "comparisons")
    for index, name in enumerate(config["beta_sweep"]["scenarios"]):
        if name not in config["run"]["scenarios"]:
            names = config["run"]["scenarios"]
            allowed = f"a name from run.scenarios ({', '.join(names)})"
            _fail(("beta_sweep", "scenarios", index), name, allowed, _suggestion(name, names))
    for name in config["comparisons"]:
        if name == AUTHORS:
            raise ConfigError(
                f"comparisons: got the name {_show(name)}, expected another, as that of the authors' own policies"
            )
        pair = comparison(config, name)
        if len(pair) != 2:
            _fail(("comparisons", name), pair, f"{_COMPARED[0]} and either {' or '.join(_COMPARED[1:])}")
        for algorithm, recipe in pair.items():
            _check_name(("comparisons", name, algorithm), recipe, config, algorithm)
    for section in ("nash_dqn", "fictitious_play", "self_play"):
        each("exploitability", "policies", section)
    for section in ("scenarios", "nash_dqn", "fictitious_play"):
        each("lq", section)
    for section in ("nash_dqn", "fictitious_play"):
        each("ddpg_best_response", "opponents", section)
    each("outside_learners", "scenarios")
    for section in ("nash_dqn", "fictitious_play"):
        each("outside_learners", "opponents", section)
    path = config["equilibrium_path"]
    for end in ("start", "end"):
        _check_name(("equilibrium_path", end), path[end], config, "scenarios")
    for index, name in enumerate(path["policies"]):
        _check_name(("equilibrium_path", "policies", index), name, config, "self_play")
    of_recipe = {
        "beta_sweep": "nash_dqn",
        "ddpg_best_response": "fictitious_play",
        "outside_learners": "fictitious_play",
    }
    for section, recipes in of_recipe.items():
        _check_name((section, "recipe"), config[section]["recipe"], config, recipes)
    each("penalty_study", "scenarios")
    for index, name in enumerate(config["penalty_study"]["recipes"]):
        _check_name(("penalty_study", "recipes", index), name, config, "nash_dqn")
    _check_name(("projection", "recipe"), config["projection"]["recipe"], config, "nash_dqn")
    each("robustness", "nash_dqn")
    for section in ("nash_dqn", "fictitious_play"):
        _check_name(("general", section), config["general"][section], config, section)
    many = config["general"]["many_players"]
    _check_name(("general", "many_players", "scenario"), many["scenario"], config, "scenarios")
    each("ablation", "scenarios")
    for end in ("base", "goal"):
        _check_name(("ablation", end), config["ablation"][end], config, "nash_dqn")
    measured = config["exploitability"]["policies"]["self_play"]
    for section in ("exploitability", "data_efficiency"):
        name = config[section]["reference"]
        if name not in measured:  # without its own exploitability, nothing tells how good a reference is
            allowed = f"a name from exploitability.policies.self_play ({', '.join(measured)})"
            _fail((section, "reference"), name, allowed, _suggestion(name, measured))


def _check_name(path: _Path, name: str, config: Mapping[str, Any], section: str) -> None:
    if name not in config[section]:
        allowed = f"a name from {section} ({', '.join(config[section])})"
        _fail(path, name, allowed, _suggestion(name, config[section]))


def _check_sizes(config: Mapping[str, Any]) -> None:
    """Values that must agree with each other."""
    for name, market in config["scenarios"].items():
        if market["price_floor"] is not None and market["price_floor"] >= market["theta"]:
            allowed = f"a number below theta ({_show(market['theta'])}) or null"
            _fail(("scenarios", name, "price_floor"), market["price_floor"], allowed)
    for name, recipe in config["nash_dqn"].items():
        _check_nash_dqn(("nash_dqn", name), recipe)
    for name, recipe in config["fictitious_play"].items():
        _at_least(("fictitious_play", name), "first_epochs", "history_every", recipe)
    for name, recipe in config["self_play"].items():
        _at_least(("self_play", name), "iterations", "history_every", recipe)
    for name in config["comparisons"]:
        seeds = {
            f"{section}.{recipe}": _seeds(config, section, recipe)
            for section, recipe in comparison(config, name).items()
        }
        try:
            member_pairs(*seeds.values())
        except ValueError:
            found = " and ".join(f"{_show(of)} of {recipe}" for recipe, of in seeds.items())
            allowed = "a seed that both have, or a single seed of one of them"
            raise ConfigError(f"{_dotted(('comparisons', name))}: got the seeds {found}, expected {allowed}") from None
    _check_sweeps(config)
    fitted = config["projection"]["recipe"]
    if config["nash_dqn"][fitted]["policy"] != "projected":
        _fail(("projection", "recipe"), fitted, "a recipe with policy: projected")
    if config["nash_dqn"][fitted]["observation"]["inventories"] != "private":
        _fail(("projection", "recipe"), fitted, "a recipe with observation.inventories: private")
    linear: list[tuple[_Path, str]] = [
        (("lq", "scenarios", index), name) for index, name in enumerate(config["lq"]["scenarios"])
    ]
    linear.append((("general", "many_players", "scenario"), config["general"]["many_players"]["scenario"]))
    for path, name in linear:
        market = config["scenarios"][name]
        if market["impact"] == "sqrt" or market["price_floor"] is not None:
            _fail(path, name, 'a scenario with impact "linear" or "none" and price_floor null')
    _check_outside_learners(config)
    inventory = config["policy_grid"]["inventory"]
    if inventory["high"] <= inventory["low"]:
        allowed = f"more than low ({_show(inventory['low'])})"
        _fail(("policy_grid", "inventory", "high"), inventory["high"], allowed)


def _check_sweeps(config: Mapping[str, Any]) -> None:
    """Recipes that are trained at several betas have the loss that is compared, and histories where it is read off."""
    sweep, study = config["beta_sweep"], config["penalty_study"]
    _check_read_off(config, "beta_sweep", {("beta_sweep", "recipe"): sweep["recipe"]})
    recipes: dict[_Path, str] = {
        ("penalty_study", "recipes", index): name for index, name in enumerate(study["recipes"])
    }
    _check_read_off(config, "penalty_study", recipes)
    for name, market in itertools.product(study["recipes"], study["scenarios"]):
        recipe = config["nash_dqn"][name]
        played = recipe["episodes_per_iteration"] * config["scenarios"][market]["n_steps"]
        counts = [digit * 10**power for power in range(4, 12) for digit in (1, 2, 5)]
        kept = [n // played for n in counts if n % played == 0 and n <= played * recipe["iterations"]]
        for index, iteration in enumerate(study["iterations"]):
            if iteration not in kept:
                allowed = f"one of {', '.join(map(str, kept))}, after which policies of {name} are kept"
                _fail(("penalty_study", "iterations", index), iteration, allowed)


def _check_read_off(config: Mapping[str, Any], section: str, recipes: Mapping[_Path, str]) -> None:
    """Each recipe's loss is (17), and its history has whole windows before the iterations of the section."""
    window = config[section]["window"]
    for of_recipe, name in recipes.items():
        recipe = config["nash_dqn"][name]
        if recipe["policy"] != "nash" or recipe["critic"] is not None:
            _fail(of_recipe, name, "a recipe with policy: nash and critic: null, whose loss is (17)")
        if recipe["patience"] is not None:
            _fail(of_recipe, name, "a recipe with patience: null, which reaches every iteration")
        every = recipe["history_every"]
        if window % every:
            _fail((section, "window"), window, f"a multiple of history_every ({every}) of {name}")
        for index, iteration in enumerate(config[section]["iterations"]):
            if iteration % every or not window <= iteration <= recipe["iterations"]:
                allowed = f"a multiple of {every} from {window} to {recipe['iterations']}, the iterations of {name}"
                _fail((section, "iterations", index), iteration, allowed)


def _check_outside_learners(config: Mapping[str, Any]) -> None:
    """The common budget is a whole number of every learner's updates."""
    section = config["outside_learners"]
    budget, recipe = section["transitions"], config["fictitious_play"][section["recipe"]]
    for name in section["scenarios"]:
        steps = config["scenarios"][name]["n_steps"]
        for learner, size in (
            ("Stable-Baselines3, its environments", section["environments"]),
            ("DDPG, an epoch's", recipe["episodes_per_epoch"] * steps),
            ("gradients, an iteration's", config["exploitability"]["episodes"] * steps),
        ):
            if budget % size:
                _fail(("outside_learners", "transitions"), budget, f"a multiple of {size} (of {learner})")


def _at_least(path: tuple[str, ...], key: str, other: str, settings: Mapping[str, Any]) -> None:
    if settings[key] < settings[other]:
        _fail((*path, *key.split(".")), settings[key], f"at least {other} ({_show(settings[other])})")


def _check_nash_dqn(path: tuple[str, ...], recipe: Mapping[str, Any]) -> None:
    """Values of a recipe for Nash-DQN that must agree with each other."""
    _at_least(path, "replay_episodes", "episodes_per_iteration", recipe)
    _at_least(path, "replay_episodes", "minibatch_episodes", recipe)
    _at_least(path, "iterations", "history_every", recipe)
    for key in ("episodes_per_iteration", "minibatch_episodes"):
        unlike = [
            f"{name}: {recipe[name]}"
            for name, usual in (("explorers", "all"), ("policy", "nash"))
            if recipe[name] != usual
        ]
        if unlike and recipe[key] != recipe["replay_episodes"]:
            allowed = f"replay_episodes ({recipe['replay_episodes']}), as with {unlike[0]} no episode is reused"
            _fail((*path, key), recipe[key], allowed)
    if recipe["target"] is not None and recipe["target"]["resets"] is not None:
        _at_least((*path, "target", "resets"), "above", "good_below", recipe["target"]["resets"])


def _check_ablation(config: Mapping[str, Any], root: _Schema) -> None:
    """Each difference between the two recipes has one switch, and everything that is to be trained can be."""
    section, path = config["ablation"], ("ablation", "switches")
    base, goal = (config["nash_dqn"][section[end]] for end in ("base", "goal"))
    keys_of_recipes = [key for key in base if key != "seeds"]
    differing = [key for key in keys_of_recipes if base[key] != goal[key]]
    if not differing:
        _fail(("ablation", "goal"), section["goal"], f"a recipe that differs from base ({section['base']})")
    switch_of: dict[str, str] = {}
    for switch, keys in section["switches"].items():
        for index, key in enumerate(keys):
            if key not in keys_of_recipes:
                allowed = "a key of a nash_dqn recipe but seeds"
                _fail((*path, switch, index), key, allowed, _suggestion(key, keys_of_recipes))
            if key in switch_of:
                _fail((*path, switch, index), key, f"each key in one switch, but {switch_of[key]} has it too")
            switch_of[key] = switch
    for key in differing:
        if key not in switch_of:
            allowed = f"every key in which {section['base']} and {section['goal']} differ, but {key} has no switch"
            _fail(path, list(section["switches"]), allowed)

    for name, variants in section["variants"].items():
        ends = [section["base"], section["goal"]]
        if name not in ends:
            raise ConfigError(
                f"ablation.variants: got the name {_show(name)}, expected base or goal ({', '.join(ends)})"
            )
        for variant, values in variants.items():
            where = ("ablation", "variants", name, variant)
            if variant in section["switches"]:
                _fail(where, values, "a name that is no switch's")
            if "seeds" in values:
                _fail((*where, "seeds"), values["seeds"], "no seeds, as all settings have those of ablation.seeds")
    for name, setting in ablation.settings(config["nash_dqn"], section).items():
        _check_recipe(("ablation", name), "nash_dqn", setting.recipe, root)


def _check_general(config: Mapping[str, Any], root: _Schema) -> None:
    """Recipes as they are in each game can be trained."""
    for name, entry in config["games"].items():
        if name.startswith(_MANY):
            _fail(("games",), name, f"names that do not start with {_MANY}, as trainings with many agents do")
        for algorithm in ("nash_dqn", "fictitious_play"):
            if "seeds" in entry[algorithm]:
                path = ("games", name, algorithm, "seeds")
                _fail(path, entry[algorithm]["seeds"], "no seeds, as all games have those of general.seeds")
            recipe = _general_recipe(config, algorithm, entry[algorithm])
            _check_recipe(("games", name, algorithm), algorithm, recipe, root)
    many = config["general"]["many_players"]
    if "seeds" in many["nash_dqn"]:
        path = ("general", "many_players", "nash_dqn", "seeds")
        _fail(path, many["nash_dqn"]["seeds"], "no seeds, as those of many_players.seeds are trained")
    recipe = _general_recipe(config, "nash_dqn", many["nash_dqn"])
    _check_recipe(("general", "many_players", "nash_dqn"), "nash_dqn", recipe, root)


def _check_recipe(path: tuple[str, ...], algorithm: str, recipe: dict[str, Any], root: _Schema) -> None:
    """A recipe that is put together of others; fills its defaults."""
    # Down in a schema of its own, so that an error has the path.
    schema: dict[str, Any] = {"$ref": f"#/$defs/{algorithm}_recipe"}
    value: Any = recipe
    for key in reversed(path):
        schema, value = {"properties": {key: schema}}, {key: value}
    errors = sorted(_Validator({**schema, "$defs": root["$defs"]}).iter_errors(value), key=_priority)
    if errors:
        _reject(errors[0], root)
    _fill_defaults(recipe, root["$defs"][f"{algorithm}_recipe"], root)
    if algorithm == "nash_dqn":
        _check_nash_dqn(path, recipe)
    else:
        _at_least(path, "first_epochs", "history_every", recipe)


# ------------------------------------------------------------------------------------------- error lines


def _fail(path: _Path, value: object, allowed: str, hint: str = "") -> NoReturn:
    raise ConfigError(f"{_dotted(path)}: got {_show(value)}, expected {allowed}{hint}")


def _reject(error: ValidationError, root: _Schema) -> NoReturn:
    """Turn a schema violation into one line in the reader's terms."""
    path: list[str | int] = list(error.absolute_path)
    value: Any = error.instance
    schema: _Schema = error.schema
    if "propertyNames" in error.absolute_schema_path:
        raise ConfigError(f"{_dotted(path)}: got the name {_show(value)}, expected {_allowed(schema, root)}")
    match error.validator:
        case "additionalProperties":
            known = list(schema["properties"])
            key = next(key for key in value if key not in known)
            hint = _suggestion(key, known)
            raise ConfigError(
                f"{_dotted([*path, key])}: unknown key (value {_show(value[key])}), "
                f"expected one of {', '.join(known)}{hint}"
            )
        case "required":
            key = next(key for key in schema["required"] if key not in value)
            allowed = _allowed(schema["properties"][key], root)
            raise ConfigError(f"{_dotted([*path, key])}: missing, expected {allowed}")
        case "uniqueItems":
            index = next(i for i, item in enumerate(value) if item in value[:i])
            first = value.index(value[index])
            allowed = f"no duplicates, but {_dotted([*path, first])} is {_show(value[first])}"
            _fail([*path, index], value[index], allowed)
        case _:
            _fail(path, value, _allowed(schema, root), _hint(value, schema))


def _allowed(schema: _Schema, root: _Schema) -> str:
    """What a schema allows, in words: ``a number > 0 or null``."""
    schema = _resolve(schema, root)
    unit = f" ({schema['unit']})" if schema.get("unit", "-") not in ("-", "1") else ""
    return _allowed_without_unit(schema, root) + unit


def _allowed_without_unit(schema: _Schema, root: _Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(_show(value) for value in schema["enum"])
    kind, *rest = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    or_null = " or null" if rest else ""
    match kind:
        case "number" | "integer":
            signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
            bounds = " and ".join(f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema)
            noun = "a number" if kind == "number" else "a whole number"
            return f"{noun} {bounds}".rstrip() + or_null
        case "boolean":
            return "true or false"
        case "string" if "form" in schema:
            return str(schema["form"])
        case "string":
            return (
                "a name of lower-case letters, digits and underscores, starting with a letter, "
                f"at most {schema['maxLength']} characters{or_null}"
            )
        case "array":
            least = schema.get("minItems", 0)
            size = f" of at least {least}" if least else ""
            if least == schema.get("maxItems"):
                size = f" of {least}"
            distinct = " and no two equal" if schema.get("uniqueItems") else ""
            items = _allowed_without_unit(_resolve(schema["items"], root), root)
            return f"a list{size}, each {items}{distinct}{or_null}"
        case _:
            keys = schema.get("properties")
            content = f"with the keys {', '.join(keys)}" if keys else "with at least one name in it"
            return f"a mapping {content}{or_null}"


def _hint(value: object, schema: _Schema) -> str:
    if "enum" in schema:
        return _suggestion(value, schema["enum"])
    kinds = schema.get("type", ())
    wants_integer, wants_number = "integer" in kinds, "number" in kinds
    if wants_integer and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}, without a decimal point"
    if (wants_integer or wants_number) and isinstance(value, float) and not math.isfinite(value):
        return "; it must be finite"
    if (wants_integer or wants_number) and isinstance(value, str):
        return _text_number_hint(value, wants_integer)
    return ""


def _text_number_hint(text: str, whole: bool) -> str:
    """YAML 1.1 reads 1e-3 (no point in it) as text; so is all in quotes or inside ``--config a=[1]``."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if not math.isfinite(number) or (whole and not number.is_integer()):
        return ""
    exact = Decimal(repr(number))
    plain = f"{int(number)}" if whole else f"{exact:f}"
    if "e" not in text.lower():
        return f"; it was read as text: write {plain} without quotes, in a configuration file"
    mantissa, exponent = f"{exact.normalize():e}".split("e")
    scientific = f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}"
    return f"; it was read as text: write {plain}{'' if whole else f' or {scientific}'}"


def _suggestion(word: object, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word).lower(), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _dotted(path: _Path) -> str:
    """``beta_sweep.betas[1]``; the root is called ``config``."""
    text = ""
    for part in path:
        if isinstance(part, int) and not isinstance(part, bool) and text:
            text += f"[{part}]"
        else:
            plain = isinstance(part, str) and re.fullmatch(r"\w{1,60}", part, re.ASCII)
            word = str(part) if plain else _show(part)
            text += f".{word}" if text else word
    return text or "config"


def _show(value: object, limit: int = 60) -> str:
    """A value as one short line; text in quotes."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):  # keys that are no text, or an alias that contains itself
        text = repr(value)
    text = _one_line(text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


# ----------------------------------------------------------------------------------------------- betas


def format_beta(beta: float) -> str:
    """Beta as it stands in paths: 100 and 100.0 are ``100``, 0.5 is ``0.5``."""
    return repr(float(beta) + 0.0).removesuffix(".0")  # + 0.0 turns -0.0 into 0.0


def parse_beta(text: str) -> float:
    """The beta of a path; the inverse of ``format_beta``.

    Raises:
        ConfigError: the text is not how ``format_beta`` writes a number: ``1e2``, ``100.0``, ``-1``, ``nan``.
    """
    if re.fullmatch(BETA_PATTERN, text) and format_beta(float(text)) == text:
        return float(text)
    raise ConfigError(f"beta: got {_show(text)}, expected a number >= 0 written as 100 or 0.5")


# ------------------------------------------------------------------------------------------------ files


def authors_files(folder: str | Path) -> dict[str, str]:
    """Paths of the authors' weights, by the keys of :data:`AUTHORS_FILES`: in a folder, or else anywhere below it.

    Hidden folders are passed over; a relative path starts at the working directory.

    Raises:
        ConfigError: there is no such folder, or of one of the files none in it, or several below it.
    """
    path = Path(folder)
    found, wrong = {}, None if path.is_dir() else "there is no such folder"
    for key, name in AUTHORS_FILES.items():
        below = [at for at in path.rglob(name) if not any(part.startswith(".") for part in at.relative_to(path).parts)]
        paths = [path / name] if (path / name).is_file() else sorted(at for at in below if at.is_file())
        found[key] = str(paths[0]) if paths else ""
        if not paths:
            wrong = wrong or f"{name} is missing"
        elif len(paths) > 1:
            wrong = wrong or f"several are called {name}: {', '.join(map(str, paths))}"
    if wrong is not None:
        expected = f"a folder with {', '.join(AUTHORS_FILES.values())} in it or below it"
        raise ConfigError(_one_line(f"{AUTHORS}: got {_show(str(folder), 200)}, expected {expected}, but {wrong}"))
    return found


# --------------------------------------------------------------------------------------------- settings


def scenario(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The market ``name`` of a validated configuration, a copy; the keys are the fields of ``Market``.

    Raises:
        ConfigError: there is no such scenario.
    """
    return _named(config, "scenarios", name)


def comparison(config: Mapping[str, Any], name: str) -> dict[str, str]:
    """The two policies that Figs 2 and 3 compare: recipe by algorithm, Nash-DQN's first."""
    recipes = config["comparisons"][name]
    return {section: recipes[section] for section in _COMPARED if recipes.get(section) is not None}


def nash_dqn_settings(config: Mapping[str, Any], scenario: str, recipe: str, beta: float | str) -> dict[str, Any]:
    """All that determines a Nash-DQN training, in one dict.

    One dict, as Snakemake compares the parameters of a job as a set of values without their names.

    Args:
        config: a validated configuration.
        scenario: a name from ``scenarios``.
        recipe: a name from ``nash_dqn``.
        beta: weight of the penalty, in place of the recipe's own; text is read by ``parse_beta``.

    Returns:
        ``scenario`` and ``recipe_name`` (names), ``game`` (fields of ``Market``), ``recipe`` (the recipe with
        beta in ``penalty``, without seeds), ``seeds`` (the recipe's own, or the run's), ``device``.

    Raises:
        ConfigError: unknown scenario or recipe, or a malformed beta.
    """
    settings = _settings(config, scenario, "nash_dqn", recipe)
    settings["recipe"]["penalty"]["beta"] = parse_beta(beta if isinstance(beta, str) else format_beta(beta))
    return settings


def fictitious_play_settings(config: Mapping[str, Any], scenario: str, recipe: str) -> dict[str, Any]:
    """All that determines a fictitious-play training; as ``nash_dqn_settings``, without a beta.

    Raises:
        ConfigError: unknown scenario or recipe.
    """
    return _settings(config, scenario, "fictitious_play", recipe)


def self_play_settings(config: Mapping[str, Any], scenario: str, recipe: str) -> dict[str, Any]:
    """All that determines a self-play training; as ``nash_dqn_settings``, without a beta.

    Raises:
        ConfigError: unknown scenario or recipe.
    """
    return _settings(config, scenario, "self_play", recipe)


def ablation_settings(config: Mapping[str, Any], scenario: str, setting: str) -> dict[str, Any]:
    """All that determines a training of the ablation; as ``nash_dqn_settings``, ``recipe_name`` being the setting's.

    Raises:
        ConfigError: unknown scenario or setting.
    """
    known = ablation.settings(config["nash_dqn"], config["ablation"])
    if setting not in known:
        _fail(("ablation",), setting, f"a setting ({', '.join(known)})", _suggestion(setting, known))
    return {
        "scenario": scenario,
        "recipe_name": setting,
        "game": _named(config, "scenarios", scenario),
        "recipe": copy.deepcopy(known[setting].recipe),
        "seeds": list(config["ablation"]["seeds"]),
        "device": config["device"],
    }


def general_games(config: Mapping[str, Any]) -> list[str]:
    """Names of the games of section ``games``, then of the markets with more and more agents."""
    return [*config["games"], *(f"{_MANY}{count}" for count in config["general"]["many_players"]["agents"])]


def general_game(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What :func:`nash_dqn.games.catalogue.make` makes the game of that name of: ``game`` and ``settings``.

    Raises:
        ConfigError: there is no such game.
    """
    if name not in general_games(config):
        known = general_games(config)
        _fail(("games",), name, f"a game ({', '.join(known)})", _suggestion(name, known))
    if name in config["games"]:
        return {key: copy.deepcopy(config["games"][name][key]) for key in ("game", "settings")}
    return market_of_many(config, int(name.removeprefix(_MANY)))


def market_of_many(config: Mapping[str, Any], n_agents: int) -> dict[str, Any]:
    """The same of a market whose impact is shared among so many agents (:func:`nash_dqn.games.mean_field.shared`)."""
    market = _named(config, "scenarios", config["general"]["many_players"]["scenario"])
    factor = market["n_agents"] / n_agents
    shared = {key: market[key] * factor for key in ("eta", "gamma")}
    return {"game": "market.Market", "settings": {**market, "n_agents": n_agents, **shared}}


def general_settings(config: Mapping[str, Any], algorithm: str, name: str) -> dict[str, Any]:
    """All that determines a training in a game of :func:`general_games`; as ``nash_dqn_settings``.

    ``scenario`` is the game's name, ``game`` its :func:`general_game`.

    Raises:
        ConfigError: there is no such game.
    """
    game, general = general_game(config, name), config["general"]
    entry = config["games"].get(name, general["many_players"])
    return {
        "scenario": name,
        "recipe_name": general[algorithm],
        "game": game,
        "recipe": _general_recipe(config, algorithm, entry[algorithm]),
        "seeds": list(entry.get("seeds", general["seeds"])),
        "device": config["device"],
    }


def _general_recipe(config: Mapping[str, Any], algorithm: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    recipe = _named(config, algorithm, config["general"][algorithm])
    recipe.pop("seeds", None)
    return {**recipe, **copy.deepcopy(dict(changes))}


def _settings(config: Mapping[str, Any], scenario: str, section: str, recipe: str) -> dict[str, Any]:
    game, training = _named(config, "scenarios", scenario), _named(config, section, recipe)
    training.pop("seeds", None)  # who is trained, not how
    return {
        "scenario": scenario,
        "recipe_name": recipe,
        "game": game,
        "recipe": training,
        "seeds": list(_seeds(config, section, recipe)),
        "device": config["device"],
    }


def _seeds(config: Mapping[str, Any], section: str, recipe: str) -> list[int]:
    """The recipe's own seeds, or the run's."""
    own: list[int] | None = config[section][recipe].get("seeds")
    seeds: list[int] = config["seeds"] if own is None else own
    return seeds


def _named(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    _check_name((section,), name, config, section)
    result: dict[str, Any] = copy.deepcopy(config[section][name])
    return result
