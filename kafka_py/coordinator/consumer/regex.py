"""Patterns of topic names in RE2's syntax, as SubscribedTopicRegex has them (KIP-848).

Kafka uses RE2/J, we RE2 itself. Both take time linear in the text, whatever the pattern; they
take the same patterns but for a few, which are refused here as RE2/J refuses them, and the
messages are RE2/J's. A name matches when all of it does; internal topics are not left out.

Known difference: repetitions of repetitions that come to more than 1,000 (``(a{100}){100}``) are
refused here with "invalid repeat count", as RE2 does, and taken by RE2/J.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

__all__ = ["InvalidPattern", "Pattern", "compile_pattern", "resolve"]


class InvalidPattern(ValueError):
    """The text is no pattern; says why in RE2/J's words, without a full stop."""


class Pattern:
    """A compiled pattern; two are equal when they are the same object."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str, compiled: Any) -> None:
        self.text = text
        self._compiled = compiled

    def matches(self, name: str) -> bool:
        """Whether the pattern matches all of ``name``."""
        return self._compiled.fullmatch(name) is not None

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


#: RE2's message -> RE2/J's.
_MESSAGES: Final = {
    "missing )": "missing closing )",
    "unexpected )": "regexp/syntax: internal error",
    "missing ]": "missing closing ]",
    "bad repetition operator": "invalid nested repetition operator",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "trailing \\": "trailing backslash at end of expression",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}

#: What has to be told apart to see what RE2 takes and RE2/J refuses.
_TOKENS: Final = re.compile(
    r"""
      \\Q .*? (?: \\E | \Z )                       # quoted
    | (?P<any_byte> \\C )
    | \\ .
    | \[ \^? \]? (?: \[: .*? :\] | \\ . | [^\]\\] )* \]   # a class of characters
    | \( \?P?< (?P<name> \w+ ) >
    | \{ (?P<least> \d+ ) (?: , (?P<most> \d* ) )? \}
    """,
    re.VERBOSE | re.DOTALL,
)
_MOST_REPEATS: Final = 1_000


def _refused_by_java(text: str) -> str | None:
    """Why RE2/J refuses a pattern that RE2 takes; None: it does not."""
    names = set()
    for token in _TOKENS.finditer(text):
        name = token["name"]
        if token["any_byte"]:
            return "invalid escape sequence"
        if any(int(token[count] or 0) > _MOST_REPEATS for count in ("least", "most")):
            return "invalid repeat count"
        if name is not None:
            if name in names:
                return "duplicate capture group name"
            names.add(name)
    return None


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Pattern:
    """The pattern. Raises InvalidPattern."""
    import re2  # Here, since few groups subscribe by pattern.

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        raise InvalidPattern(_java_message(error.args[0])) from error
    why = _refused_by_java(text)
    if why is not None:
        raise InvalidPattern(why)
    return Pattern(text, compiled)


def _java_message(message: bytes | str) -> str:
    """RE2/J's words for an error of RE2's: ``what: where``."""
    text = message.decode(errors="replace") if isinstance(message, bytes) else message
    what, _, where = text.partition(": ")
    if what == "invalid perl operator" and where.startswith("(?<"):
        return "invalid named capture"
    return _MESSAGES.get(what, what)


def resolve(patterns: Iterable[Pattern], topics: Iterable[str]) -> dict[Pattern, set[str]]:
    """Pattern -> the names among ``topics`` that it matches."""
    names = list(topics)
    return {pattern: {name for name in names if pattern.matches(name)} for pattern in set(patterns)}
