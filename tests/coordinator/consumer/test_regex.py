"""Patterns of topic names: what they match, and what they say of a bad one."""

from __future__ import annotations

import pytest

from kafka_py.coordinator.consumer.regex import InvalidPattern, compile_pattern, resolve

TOPICS = ["foo", "foobar", "bar-1", "bar-12", "Bar-1", "__consumer_offsets", "a.b", "a-b"]


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("foo", {"foo"}),
        ("foo.*", {"foo", "foobar"}),
        ("^foo$", {"foo"}),
        ("fo", set()),
        ("bar-\\d", {"bar-1"}),
        ("bar-[[:digit:]]{1,2}", {"bar-1", "bar-12"}),
        ("(?i)bar-1", {"bar-1", "Bar-1"}),
        ("foo|a\\.b", {"foo", "a.b"}),
        ("a.b", {"a.b", "a-b"}),
        ("\\Qa.b\\E", {"a.b"}),
        (".*", set(TOPICS)),
        ("(?P<x>foo)(?P<y>bar)?", {"foo", "foobar"}),
        ("[\\C\\Q]+", None),
        ("", set()),
    ],
)
def test_a_pattern_matches_whole_names(text: str, matched: set[str] | None) -> None:
    if matched is None:
        with pytest.raises(InvalidPattern):
            compile_pattern(text)
        return
    pattern = compile_pattern(text)
    assert resolve([pattern], TOPICS) == {pattern: matched}


def test_patterns_are_resolved_together() -> None:
    one, two = compile_pattern("foo.*"), compile_pattern("bar.*")
    assert resolve([one, two, one], TOPICS) == {one: {"foo", "foobar"}, two: {"bar-1", "bar-12"}}
    assert resolve([], TOPICS) == {}
    assert repr(one) == "Pattern('foo.*')"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(abc", "missing closing )"),
        ("abc)", "regexp/syntax: internal error"),
        ("[abc", "missing closing ]"),
        ("a**", "invalid nested repetition operator"),
        ("*abc", "missing argument to repetition operator"),
        ("a{2,1}", "invalid repeat count"),
        ("a{1001}", "invalid repeat count"),
        ("a{99999999999}", "invalid repeat count"),
        ("[b-a]", "invalid character class range"),
        ("\\", "trailing backslash at end of expression"),
        ("\\8", "invalid escape sequence"),
        ("a\\C", "invalid escape sequence"),
        ("(?=a)", "invalid or unsupported Perl syntax"),
        ("(?<=a)", "invalid named capture"),
        ("(?P<n", "invalid named capture"),
        ("(?P<n>a)(?P<n>b)", "duplicate capture group name"),
    ],
)
def test_a_bad_pattern_is_refused_in_kafkas_words(text: str, message: str) -> None:
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text", ["[(?P<n>a)(?P<n>b)]", "\\Q(?P<n>)(?P<n>)\\E", "\\\\C", "[[:alpha:]{1001}]", "a{5"]
)
def test_what_only_looks_bad_is_taken(text: str) -> None:
    assert compile_pattern(text).text == text


def test_a_pattern_takes_time_linear_in_the_name() -> None:
    assert not compile_pattern("(a*)*b").matches("a" * 249)
