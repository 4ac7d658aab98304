"""The language of the configuration tables: what a key is, how its text is read, what is refused.

A ``ConfigKey`` is one entry of a table (``kafka_py.config.keys.*``): name, type, default,
validator, importance, how it may be changed while the broker runs, and a sentence of documentation.
A ``ConfigDef`` is a set of keys and turns texts into values. Values are ``bool``, ``int``,
``float``, ``str``, ``Password``, ``tuple[str, ...]`` (lists) or ``None``.

The texts of errors are those of Apache Kafka 4.3.1, since admin clients show them to their users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, IntEnum
from typing import Any, Final, Protocol

from kcore.values import frozen


class ConfigError(ValueError):
    """A configuration value (or several together) that cannot be used; ``str()`` is the reason.

    ``ConfigError(reason)``, or ``ConfigError(name, value, why)`` for one value of one key.
    """

    def __init__(self, reason: str, *value_and_why: object) -> None:
        if value_and_why:
            value, *why = value_and_why
            reason = f"Invalid value {display(value)} for configuration {reason}" + "".join(
                f": {part}" for part in why if part
            )
        super().__init__(reason)


def invalid(name: str, value: object, why: str = "") -> ConfigError:
    """The error for one value: ``Invalid value V for configuration K: why``."""
    return ConfigError(name, value, why)


class ConfigType(IntEnum):
    """The type of a key; the numbers are those of DescribeConfigs (KIP-569)."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


class Importance(IntEnum):
    """How much Kafka's documentation makes of a key."""

    HIGH = 0
    MEDIUM = 1
    LOW = 2


class UpdateMode(Enum):
    """Where a broker key may be changed while the broker runs (KIP-226)."""

    READ_ONLY = "read-only"
    PER_BROKER = "per-broker"
    CLUSTER_WIDE = "cluster-wide"


class Password(str):
    """A secret: prints as ``[hidden]``; ``reveal()`` gives the text."""

    __slots__ = ()

    def reveal(self) -> str:
        """The secret itself."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return "[hidden]"

    def __str__(self) -> str:
        return "[hidden]"


class Required:
    """The type of ``REQUIRED``: a key without a default."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = Required()

INT_MAX: Final = (1 << 31) - 1
LONG_MAX: Final = (1 << 63) - 1
DOUBLE_MAX: Final = 1.7976931348623157e308

BOOLEAN, STRING, INT, SHORT, LONG, DOUBLE, LIST, CLASS, PASSWORD = ConfigType
HIGH, MEDIUM, LOW = Importance
READ_ONLY, PER_BROKER, CLUSTER_WIDE = UpdateMode


class Validator(Protocol):
    """Refuses a parsed value by raising ``ConfigError``; ``str()`` describes what is accepted."""

    def check(self, name: str, value: Any) -> None:
        """Raise ``ConfigError`` unless ``value`` is acceptable for the key ``name``."""


# ------------------------------------------------------------------------------------- validators


@frozen
class Between:
    """A number from ``low`` to ``high``, both included; ``None`` leaves a side open."""

    low: float | None = None
    high: float | None = None

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value is None:
            raise invalid(name, None, "Value must be non-null")
        if self.low is not None and value < self.low:
            raise invalid(name, value, f"Value must be at least {self.low}")
        if self.high is not None and value > self.high:
            raise invalid(name, value, f"Value must be no more than {self.high}")

    def __str__(self) -> str:
        if self.high is None:
            return f"[{self.low},...]"
        return f"[{self.low},...,{self.high}]"


def at_least(low: float) -> Between:
    """A number that is not below ``low``."""
    return Between(low)


@frozen
class OneOf:
    """One of some words."""

    words: tuple[str, ...]
    ignore_case: bool = False

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if self.ignore_case:
            if value is None or value.upper() not in self.words:
                choice = ", ".join(self.words)
                raise invalid(name, value, f"String must be one of (case insensitive): {choice}")
        elif value not in self.words:
            raise invalid(name, value, f"String must be one of: {', '.join(self.words)}")

    def __str__(self) -> str:
        prefix = "(case insensitive) " if self.ignore_case else ""
        return f"{prefix}[{', '.join(self.words)}]"


@frozen
class ListOf:
    """A list without repeated or empty entries, all from ``words`` where that is given."""

    words: tuple[str, ...] = ()
    may_be_empty: bool = True
    may_be_null: bool = False

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value is None:
            if self.may_be_null:
                return
            raise ConfigError(f"Configuration '{name}' values must not be null.")
        if not value and not self.may_be_empty:
            choice = f"[{', '.join(self.words)}]" if self.words else "any non-empty value"
            raise ConfigError(
                f"Configuration '{name}' must not be empty. Valid values include: {choice}"
            )
        if len(set(value)) != len(value):
            raise ConfigError(f"Configuration '{name}' values must not be duplicated.")
        for entry in value:
            if not entry:
                raise ConfigError(f"Configuration '{name}' values must not be empty.")
            if self.words and entry not in self.words:
                raise invalid(name, entry, f"String must be one of: {', '.join(self.words)}")

    def __str__(self) -> str:
        return f"[{', '.join(self.words)}]" if self.words else ""


@frozen
class NonEmpty:
    """A text with at least one character, or null."""

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value == "":
            raise invalid(name, value, "String must be non-empty")

    def __str__(self) -> str:
        return "non-empty string"


@frozen
class NonNull:
    """Anything but null."""

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value is None:
            raise invalid(name, None, "entry must be non null")

    def __str__(self) -> str:
        return "non-null string"


@frozen
class GzipLevel:
    """A level of gzip: 1 to 9, or -1 for the library's default."""

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value is None or not (1 <= value <= 9 or value == -1):
            raise invalid(name, value, "Value must be between 1 and 9 or equal to -1")

    def __str__(self) -> str:
        return "[1,...,9] or -1"


REPLICAS_FORMAT = "[partitionId]:[brokerId],[partitionId]:[brokerId],..."


@frozen
class ThrottledReplicas:
    """``*``, or partition:broker pairs (KIP-73)."""

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value is None:
            raise invalid(name, None)
        if list(value) == ["*"] or all(re.fullmatch(r"\d+:\d+", entry) for entry in value):
            return
        raise invalid(
            name,
            value,
            f"{name} must be the literal '*' or a list of replicas in the following format: "
            + REPLICAS_FORMAT,
        )

    def __str__(self) -> str:
        return REPLICAS_FORMAT


@frozen
class QuorumVoters:
    """``id@host:port`` entries; an empty list is accepted."""

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value is None:
            raise invalid(name, None)
        for entry in value:
            parse_voter(name, entry)

    def __str__(self) -> str:
        return "non-empty list"


@frozen
class BootstrapServers:
    """``host:port`` entries; an empty list is accepted."""

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value is None:
            raise invalid(name, None)
        for entry in value:
            parse_host_port(name, entry)

    def __str__(self) -> str:
        return "non-empty list"


# Compiled by who needs it, which no start does.
ISO_DURATION = (
    r"([-+]?)P(?:([-+]?\d+)D)?"
    r"(T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+)(?:[.,](\d{0,9}))?S)?)?"
)


def parse_duration_ms(text: str) -> int | None:
    """Milliseconds of an ISO-8601 duration (``PnDTnHnMn.nS``); None where it is not one."""
    found = re.fullmatch(ISO_DURATION, text, re.IGNORECASE)
    if found is None or found[3] in ("T", "t") or not any(found.group(2, 4, 5, 6)):
        return None
    days, hours, minutes, seconds = (int(found[i] or 0) for i in (2, 4, 5, 6))
    fraction_ms = int((found[7] or "").ljust(9, "0")[:9]) // 1_000_000
    if (found[6] or "").startswith("-"):
        fraction_ms = -fraction_ms
    total = ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000 + fraction_ms
    return -total if found[1] == "-" else total


@frozen
class OffsetReset:
    """``latest``, ``earliest`` or ``by_duration:`` with an ISO-8601 duration, not negative."""

    def check(self, name: str, value: Any) -> None:
        """See ``Validator``."""
        if value in ("latest", "earliest"):
            return
        prefix = "by_duration:"
        if isinstance(value, str) and value.startswith(prefix):
            duration_ms = parse_duration_ms(value.removeprefix(prefix))
            if duration_ms is not None and duration_ms >= 0:
                return
        raise invalid(
            name,
            value,
            f"Invalid value `{value}` for configuration {name}. The value must be either "
            "'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
        )

    def __str__(self) -> str:
        return "[latest, earliest, by_duration:PnDTnHnMn.nS]"


HOST_PORT = re.compile(r"(?:.*?://)?(?:\[([0-9a-zA-Z\-%._:]*)\]|([0-9a-zA-Z\-%._]*)):([0-9]+)")


def split_host_port(text: str) -> tuple[str, int] | None:
    """``host:port`` with ``[v6]`` or ``scheme://`` forms taken apart; None where it is not one."""
    found = HOST_PORT.fullmatch(text)
    if found is None:
        return None
    return found[1] if found[1] is not None else found[2], int(found[3])


def parse_host_port(name: str, entry: str) -> tuple[str, int]:
    """One entry of a bootstrap list. Raises ``ConfigError`` that names the key."""
    parts = split_host_port(entry)
    if parts is None or not parts[0]:
        raise ConfigError(
            f"Failed to parse host name from {entry} for the configuration {name}. "
            'Each entry should be in the form "{host}:{port}"'
        )
    return parts


def parse_voter(name: str, entry: str) -> tuple[int, str, int]:
    """One ``id@host:port`` entry -> (id, host, port). Raises ``ConfigError`` that names the key."""
    form = "Each entry should be in the form `{id}@{host}:{port}`."
    identifier, at, address = entry.partition("@")
    if not at or "@" in address:
        raise ConfigError(f"Invalid configuration value for {name}. {form}")
    try:
        voter = parse_int(identifier, 32)
    except ValueError:
        raise ConfigError(f"Failed to parse voter ID as an integer from {identifier}") from None
    parts = split_host_port(address)
    if parts is None or not parts[0]:
        raise ConfigError(
            f"Failed to parse host name from entry {entry} for the configuration {name}. {form}"
        )
    return voter, *parts


# --------------------------------------------------------------------------------- text and value

INTEGER = re.compile(r"[-+]?[0-9]+")
LIST_SEPARATOR = re.compile(r"\s*,\s*")
INTEGER_BITS = {ConfigType.SHORT: 16, ConfigType.INT: 32, ConfigType.LONG: 64}
JAVA_DOUBLE = r"[-+]?(?:NaN|Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[dDfF]?)"


def parse_int(text: str, bits: int) -> int:
    """A decimal integer as Java reads it. Raises ``ValueError``, out of range included."""
    if not INTEGER.fullmatch(text):
        raise ValueError(text)
    value = int(text)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueError(text)
    return value


def parse_value(name: str, type_: ConfigType, value: object) -> Any:
    """Read a text (or pass a value of the right type through). Raises ``ConfigError``."""
    if not isinstance(value, str):
        return parse_typed(name, type_, value)
    text = value.strip()
    if type_ is ConfigType.BOOLEAN:
        lowered = text.lower()
        if lowered not in ("true", "false"):
            raise invalid(name, value, "Expected value to be either true or false")
        return lowered == "true"
    if type_ in INTEGER_BITS:
        try:
            return parse_int(text, INTEGER_BITS[type_])
        except ValueError:
            raise invalid(name, value, f"Not a number of type {type_.name}") from None
    if type_ is ConfigType.DOUBLE:
        if not re.fullmatch(JAVA_DOUBLE, text):
            raise invalid(name, value, "Not a number of type DOUBLE")
        return float(text.rstrip("dDfF") if text[-1:] in "dDfF" else text)
    if type_ is ConfigType.LIST:
        return tuple(LIST_SEPARATOR.split(text)) if text else ()
    if type_ is ConfigType.PASSWORD:
        return Password(value)
    return text


def parse_typed(name: str, type_: ConfigType, value: object) -> Any:
    """A value that is no text: accepted as it is where its type fits. Raises ``ConfigError``."""
    if value is None:
        return None
    if type_ is ConfigType.BOOLEAN and isinstance(value, bool):
        return value
    if type_ in INTEGER_BITS and isinstance(value, int) and not isinstance(value, bool):
        return parse_value(name, type_, str(value))
    if type_ is ConfigType.DOUBLE and isinstance(value, int | float):
        return float(value)
    if type_ is ConfigType.LIST and isinstance(value, tuple | list):
        return tuple(str(entry) for entry in value)
    raise invalid(name, value, f"Expected value to be of type {type_.name}")


def java_double(value: float) -> str:
    """A float in the notation of Java's Double.toString: ``0.5``, ``1.0E10``, ``1.0E-4``."""
    if value != value:
        return "NaN"
    sign = "-" if value < 0 else ""
    magnitude = abs(value)
    if magnitude == float("inf"):
        return sign + "Infinity"
    if magnitude == 0 or 1e-3 <= magnitude < 1e7:
        return repr(float(value))
    # repr gives the shortest digits that read back, which is what Java prints as well.
    mantissa, _, exponent = repr(magnitude).partition("e")
    whole, _, fraction = mantissa.partition(".")
    power = int(exponent or 0) + len(whole) - 1
    digits = (whole + fraction).strip("0") or "0"
    if not exponent and magnitude < 1:
        power = -1 - (len(fraction) - len(fraction.lstrip("0")))
    elif not exponent:
        digits = (whole + fraction).rstrip("0")
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{power}"


def to_text(value: Any) -> str | None:
    """The text of a value as DescribeConfigs gives it; a password is ``[hidden]``."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Password):
        return "[hidden]"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return java_double(value)
    if isinstance(value, tuple | list):
        return ",".join(value)
    return str(value)


def display(value: object) -> str:
    """A value as Java's exceptions print it: lists in brackets, ``null`` for None."""
    if value is None:
        return "null"
    if isinstance(value, tuple | list):
        return f"[{', '.join(value)}]"
    return to_text(value) or ""


# --------------------------------------------------------------------------------------- the keys


@frozen
class ConfigKey:
    """One key of a table. ``default`` is a value (not a text) or ``REQUIRED``."""

    name: str
    type: ConfigType
    default: Any
    importance: Importance
    validator: Validator | None = None
    mode: UpdateMode = UpdateMode.READ_ONLY
    internal: bool = False
    documentation: str = ""

    @property
    def sensitive(self) -> bool:
        """Whether its value is a secret that no answer may contain."""
        return self.type is ConfigType.PASSWORD

    def parse(self, value: object) -> Any:
        """The checked value of a text; repeated entries of a list count once (KIP-1161).

        Raises ``ConfigError``.
        """
        parsed = parse_value(self.name, self.type, value)
        if parsed is not None and isinstance(self.validator, ListOf):
            parsed = tuple(dict.fromkeys(parsed))
        if self.validator is not None:
            self.validator.check(self.name, parsed)
        return parsed


class ConfigDef:
    """A named set of keys, in the order of the tables."""

    def __init__(self, keys: Iterable[ConfigKey]) -> None:
        self.keys: dict[str, ConfigKey] = {}
        for key in keys:
            assert key.name not in self.keys, f"{key.name} is defined twice"
            self.keys[key.name] = key
        # Few of some hundred keys are given: what the others are is kept ready.
        self._defaults = {name: key.default for name, key in self.keys.items()}
        self._optional = {
            name: default for name, default in self._defaults.items() if default is not REQUIRED
        }
        self._required = [name for name, key in self.keys.items() if key.default is REQUIRED]
        self._places = {name: place for place, name in enumerate(self.keys)}

    def __contains__(self, name: object) -> bool:
        return name in self.keys

    def __getitem__(self, name: str) -> ConfigKey:
        return self.keys[name]

    def __iter__(self) -> Iterator[ConfigKey]:
        return iter(self.keys.values())

    def __len__(self) -> int:
        return len(self.keys)

    def get(self, name: str) -> ConfigKey | None:
        """The key of that name, or None."""
        return self.keys.get(name)

    def defaults(self) -> dict[str, Any]:
        """The value of every key that has a default."""
        return dict(self._optional)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """The names that are no key, sorted."""
        return sorted(name for name in names if name not in self.keys)

    def parse(self, texts: Mapping[str, object]) -> dict[str, Any]:
        """Every key's value: given or default. Unknown names are left out.

        Raises ``ConfigError`` for the first bad value, or for a required key that is missing.
        """
        values = dict(self._defaults)
        concerned = [name for name in texts if name in values]
        concerned += [name for name in self._required if name not in texts]
        for name in sorted(concerned, key=self._places.__getitem__):
            if name not in texts:
                raise ConfigError(
                    f'Missing required configuration "{name}" which has no default value.'
                )
            values[name] = self.keys[name].parse(texts[name])
        return values
