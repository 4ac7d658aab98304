"""The .properties syntax of Java."""

import pytest

from kafka_py.config.definition import ConfigError
from kafka_py.config.properties import parse_properties


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1\nb:2\nc 3\n", {"a": "1", "b": "2", "c": "3"}),
        ("a = 1 \n", {"a": "1 "}),
        ("  # no\n! no\n\n\ta=b=c:d", {"a": "b=c:d"}),
        ("a=one,\\\n   two,\\\n\tthree", {"a": "one,two,three"}),
        ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        ("a\\=b=c", {"a=b": "c"}),
        ("a\\ b = c", {"a b": "c"}),
        ("a=\\u0041\\t\\n\\q\\\\", {"a": "A\t\nq\\"}),
        ("a=\\ud83d\\ude00", {"a": "\U0001f600"}),
        ("a", {"a": ""}),
        ("=b", {"": "b"}),
        ("a=1\na=2", {"a": "2"}),
        ("a=end\\", {"a": "end"}),
        ("a=x\\\\\nb=1", {"a": "x\\", "b": "1"}),
        ("a   =   1", {"a": "1"}),
        ("a:=1", {"a": "=1"}),
        ("x=a\\\n#b", {"x": "a#b"}),
        ("", {}),
    ],
)
def test_lines(text, expected):
    assert parse_properties(text) == expected


def test_a_malformed_escape_is_named_by_its_line():
    with pytest.raises(ConfigError, match="line 3: malformed"):
        parse_properties("a=1\n# no\nb=\\u12x4")
