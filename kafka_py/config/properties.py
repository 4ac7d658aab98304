"""The .properties syntax of Java, as server.properties uses it.

Lines end with LF, CR or CRLF; ``#`` and ``!`` begin comments; a backslash at the end continues the
line; key and value are parted by ``=``, ``:`` or white space; ``\\t \\n \\r \\f \\uXXXX`` are
escapes and any other escaped character stands for itself.
"""

from __future__ import annotations

import re

from kafka_py.config.definition import ConfigError

ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
BLANK = " \t\f"


def parse_properties(text: str) -> dict[str, str]:
    """Keys and values of a properties file; of a key given twice the last value counts.

    Raises ``ConfigError`` with the line's number for a malformed ``\\uXXXX``.
    """
    found: dict[str, str] = {}
    for number, line in logical_lines(text):
        key, value = split_line(line)
        try:
            found[unescape(key)] = unescape(value)
        except ValueError:
            raise ConfigError(f"line {number}: malformed \\uXXXX escape") from None
    return found


def logical_lines(text: str) -> list[tuple[int, str]]:
    """(number of the first natural line, joined line), without comments and blank lines."""
    lines: list[tuple[int, str]] = []
    pending: str | None = None
    start = 0
    for number, natural in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = natural.lstrip(BLANK)
        if pending is None:
            if not line or line[0] in "#!":
                continue
            start = number
        else:
            line = pending + line
        slashes = len(line) - len(line.rstrip("\\"))
        if slashes % 2:
            pending = line[:-1]
            continue
        pending = None
        lines.append((start, line))
    if pending is not None:
        lines.append((start, pending))
    return lines


def split_line(line: str) -> tuple[str, str]:
    """Key and value of a logical line, still escaped."""
    position = 0
    while position < len(line) and line[position] not in "=:" + BLANK:
        position += 2 if line[position] == "\\" else 1
    key = line[:position]
    rest = line[position:].lstrip(BLANK)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(BLANK)
    return key, rest


def unescape(text: str) -> str:
    """Replace the escapes. Raises ``ValueError`` for a malformed ``\\uXXXX``."""
    if "\\" not in text:
        return text
    out: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character != "\\" or position == len(text):
            out.append("" if character == "\\" else character)
            continue
        character = text[position]
        position += 1
        if character == "u":
            digits = text[position : position + 4]
            if not re.fullmatch(r"[0-9a-fA-F]{4}", digits):
                raise ValueError(text)
            out.append(chr(int(digits, 16)))
            position += 4
        else:
            out.append(ESCAPES.get(character, character))
    # Java's \\u escapes are UTF-16 units: pairs of surrogates become one character.
    return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
