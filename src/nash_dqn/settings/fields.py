"""What a setting is: a typed field with unit, bounds, default and meaning; and the one line for one that is wrong.

Numbers are strict (5.0 is no whole number, text and booleans are none) and finite; unknown keys are refused. What is
allowed is said in words from the JSON schema that pydantic makes of the types, so that nothing says it twice.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, NoReturn, Self, TypeVar, dataclass_transform

import pydantic.dataclasses
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.types import Strict
from pydantic_core import PydanticCustomError, core_schema

__all__ = [
    "ConfigError",
    "Section",
    "Settings",
    "at_least",
    "disagree",
    "fail",
    "knob",
    "like",
    "settings",
    "validated",
]

T = TypeVar("T")
Path = Sequence[str | int]

_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)
_NAME = "a name of lower-case letters, digits, - and _, starting with a letter, at most 40 characters"


class ConfigError(ValueError):
    """Settings that cannot be used; the message is one line: dotted key, value, what is allowed."""


# -------------------------------------------------------------------------------------------------- kinds of settings


def knob(meaning: str, unit: str = "-", *, default: Any = ..., **bounds: Any) -> Any:
    """A field: what it means, its unit (``1`` is dimensionless, ``-`` no quantity), default and bounds.

    One without stands for a mapping that must be there; what it means is its class's docstring.
    """
    return Field(default, description=meaning, json_schema_extra={"unit": unit}, **bounds)


def like(kind: Any, name: str, *, default: Any) -> Any:
    """The field of that name of another class of settings, with another default."""
    field = copy.copy(kind.__pydantic_fields__[name])
    field.default = default
    return field


class Section(BaseModel):
    """A mapping of the configuration with these keys and no others."""

    model_config = {**_CONFIG, "frozen": True}


class Settings:
    """What settings that code computes with have in common: dataclasses, made by :func:`settings`."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The settings of these values by name, nested ones as mappings.

        Raises:
            ConfigError: a key is missing or unknown, or a value is not allowed.
        """
        return cls(**values)


@dataclass_transform(frozen_default=True, field_specifiers=(knob, like))
def settings(cls: type[T]) -> type[T]:
    """Make a frozen dataclass whose values are checked; a wrong one is a ``ConfigError``."""
    own = dict(vars(cls))
    for name, annotation in own["__annotations__"].items():
        if name not in own:
            continue
        info = own[name]  # where dataclasses look for a default: it moves into the annotation
        cls.__annotations__[name] = Annotated[eval(annotation, vars(sys.modules[cls.__module__])), info]
        if info.is_required():
            delattr(cls, name)
        else:
            setattr(cls, name, info.default)
    made: Any = pydantic.dataclasses.dataclass(frozen=True, config=_CONFIG)(cls)
    check = made.__init__

    def init(self: Any, *values: Any, **named: Any) -> None:
        try:
            check(self, *values, **named)
        except ValidationError as error:
            raise ConfigError(_line(error, made)) from None

    made.__init__ = init
    checked: type[T] = made
    return checked


def validated(kind: Any, values: object, at: Path = ()) -> Any:
    """The settings of that type that ``values`` stand for; ``at`` is where they stand, for the error.

    Raises:
        ConfigError: at the first problem: unknown keys come first, then missing ones, then values.
    """
    try:
        return _adapter(kind).validate_python(values)
    except ValidationError as error:
        raise ConfigError(_line(error, kind, at, values)) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of a type of settings."""
    return _adapter(kind).json_schema()


def disagree(at: Path, value: object, allowed: str) -> NoReturn:
    """Refuse, from within a class of settings, a value that does not agree with others."""
    whole = isinstance(value, float) and value.is_integer()
    shown = int(value) if whole else value  # type: ignore[call-overload]
    raise PydanticCustomError("disagree", "{allowed}", {"at": list(at), "value": shown, "allowed": allowed})


def at_least(of: object, key: str, other: str) -> None:
    """Refuse, from within a class of settings, a value that is less than another."""
    if getattr(of, key) < getattr(of, other):
        disagree([key], getattr(of, key), f"at least {other} ({getattr(of, other):g})")


class _Form:
    """What a text or list must be, in words; or a keyword of its JSON schema."""

    def __init__(self, **keywords: Any) -> None:
        self._keywords = keywords

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        return {**handler(schema), **self._keywords}


class _Distinct(_Form):
    """No two equal; ``order`` sorts them, where their order means nothing."""

    def __init__(self, order: bool = False) -> None:
        super().__init__(uniqueItems=True)
        self._order = order

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, values: list[Any]) -> list[Any]:
        for index, value in enumerate(values):
            if value in values[:index]:
                raise PydanticCustomError("duplicate", "twice", {"index": index, "first": values.index(value)})
        return sorted(values) if self._order else values


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Positive = Annotated[Number, Field(gt=0)]
Count = Annotated[Whole, Field(ge=1)]
Text = Annotated[str, Strict(), Field(min_length=1), _Form(form="the path of a folder")]
Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_-]*$", max_length=40), _Form(form=_NAME)]
GameName = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_]*\.[A-Z][A-Za-z0-9]*$", max_length=80),
    _Form(form="a module and a class of nash_dqn.games, such as traders.Traders"),
]
Seed = Annotated[Whole, Field(ge=0, le=2**31 - 1)]
Beta = Annotated[Number, Field(ge=0, le=1_000_000)]
Layers = Sequence[Count]
Named = Annotated[dict[Name, T], Field(min_length=1)]
Names = Annotated[list[Name], Field(min_length=1), _Distinct()]
Seeds = Annotated[list[Seed], Field(min_length=1), _Distinct(order=True)]
Betas = Annotated[list[Beta], Field(min_length=1), _Distinct(order=True)]
Counts = Annotated[list[Count], Field(min_length=1), _Distinct(order=True)]
Numbers = Annotated[list[Number], Field(min_length=1), _Distinct(order=True)]
Positives = Annotated[list[Positive], Field(min_length=1), _Distinct()]
Distinct = _Distinct()

# -------------------------------------------------------------------------------------------------------- error lines


def fail(at: Path, value: object, allowed: str, hint: str = "") -> NoReturn:
    """Refuse the value at that place.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(f"{dotted(at)}: got {show(value)}, expected {allowed}{hint}")


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument", "invalid_key")


def _priority(error: Any) -> int:
    """Keys before values, and unknown before missing: a misspelt key leaves another one missing."""
    return 0 if error["type"] in _UNKNOWN or error["loc"][-1:] == ("[key]",) else 1 if error["type"] == "missing" else 2


_SWITCHES = "; YAML reads yes, no, on and off as true and false: put them in quotes"


def _line(error: ValidationError, kind: Any, at: Path = (), values: Any = None) -> str:
    """The first thing that pydantic found wrong, in the reader's terms."""
    found: Any = min(error.errors(), key=_priority)
    root = schema_of(kind)
    where, value, context = list(found["loc"]), found["input"], found.get("ctx", {})
    path = [*at, *where]
    if found["type"] in _UNKNOWN:
        known = list(_at(root, where[:-1])["properties"])
        if found["type"] == "invalid_key":  # no text, of which pydantic makes a number
            for key in where[:-1]:
                values = values[key]
            path[-1], value = value, values[value]
        hint = _SWITCHES if isinstance(path[-1], bool) else suggestion(path[-1], known)
        return f"{dotted(path)}: unknown key (value {show(value)}), expected one of {', '.join(known)}{hint}"
    if where[-1:] == ["[key]"]:
        return f"{dotted(path[:-2])}: got the name {show(value)}, expected {_NAME}"
    if found["type"] == "missing":
        return f"{dotted(path)}: missing, expected {allowed(_at(root, where), root)}"
    if found["type"] == "duplicate":
        index, first = context["index"], context["first"]
        but = f"{dotted([*path, first])} is {show(value[first])}"
        return f"{dotted([*path, index])}: got {show(value[index])}, expected no duplicates, but {but}"
    if found["type"] == "disagree":
        return f"{dotted([*path, *context['at']])}: got {show(context['value'])}, expected {context['allowed']}"
    schema = _at(root, where)
    return f"{dotted(path)}: got {show(value)}, expected {allowed(schema, root)}{_hint(value, schema)}"


def resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema without references and without the choice of null, which becomes ``nullable``."""
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return {**resolved(target, root), **{key: value for key, value in schema.items() if key != "$ref"}}
    if "anyOf" in schema:
        first, *rest = schema["anyOf"]
        own = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**resolved(first, root), **own, **({"nullable": True} if rest else {})}
    return dict(schema)


def _at(root: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The part of a JSON schema for what stands there."""
    schema = resolved(root, root)
    for key in path:
        inner = schema["items"] if isinstance(key, int) and "items" in schema else schema.get("properties", {}).get(key)
        named: Any = next(iter(schema.get("patternProperties", {}).values()), {})  # a mapping from names
        schema = resolved(inner or named, root)
    return schema


def allowed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """What a schema allows, in words: ``a number > 0 or null (iterations)``."""
    schema = resolved(schema, root)
    unit = f" ({schema['unit']})" if schema.get("unit", "-") not in ("-", "1") else ""
    return _without_unit(schema, root) + (" or null" if schema.get("nullable") else "") + unit


def _without_unit(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(show, schema["enum"]))
    match schema.get("type"):
        case "number" | "integer" as kind:
            signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
            bounds = " and ".join(f"{sign} {show(schema[key])}" for key, sign in signs.items() if key in schema)
            return f"{'a number' if kind == 'number' else 'a whole number'} {bounds}".rstrip()
        case "boolean":
            return "true or false"
        case "string":
            return str(schema["form"])
        case "array":
            least = schema.get("minItems", 0)
            size = f" of {least}" if least == schema.get("maxItems") else f" of at least {least}" if least else ""
            distinct = " and no two equal" if schema.get("uniqueItems") else ""
            return f"a list{size}, each {_without_unit(resolved(schema['items'], root), root)}{distinct}"
        case _:
            keys = schema.get("properties")
            least = " with at least one name in it" if schema.get("minProperties") else " from names"
            return f"a mapping with the keys {', '.join(keys)}" if keys else f"a mapping{least}"


def _hint(value: object, schema: Mapping[str, Any]) -> str:
    if isinstance(value, bool) and ("enum" in schema or schema.get("type") == "string"):
        return _SWITCHES
    if "enum" in schema:
        return suggestion(value, schema["enum"])
    kind = schema.get("type")
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}, without a decimal point"
    if kind in ("integer", "number") and isinstance(value, float) and not math.isfinite(value):
        return "; it must be finite"
    if kind in ("integer", "number") and isinstance(value, str):
        return _text_number_hint(value, kind == "integer")
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


def suggestion(word: object, known: Iterable[str]) -> str:
    """The known name that is nearest to the word, as the end of a sentence; or nothing."""
    close = difflib.get_close_matches(str(word).lower(), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def dotted(path: Path) -> str:
    """``beta_sweep.betas[1]``; the root is called ``config``."""
    text = ""
    for part in path:
        if isinstance(part, int) and not isinstance(part, bool) and text:
            text += f"[{part}]"
        else:
            plain = isinstance(part, str) and re.fullmatch(r"[\w-]{1,60}", part, re.ASCII)
            word = str(part) if plain else show(part)
            text += f".{word}" if text else word
    return text or "config"


def show(value: object, limit: int = 60) -> str:
    """A value as one short line; text in quotes."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):  # keys that are no text, or an alias that contains itself
        text = repr(value)
    text = one_line(text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def one_line(text: str) -> str:
    """The text without line breaks and control characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
