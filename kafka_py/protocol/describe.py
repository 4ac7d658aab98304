"""Prints schemas of messages and the list of APIs, from the tables themselves."""

from __future__ import annotations

from collections.abc import Iterator

from kafka_py.protocol.registry import API, all_messages
from kafka_py.protocol.schema import VERSION_MAX, Field, Message, Range, Struct
from kafka_py.protocol.types import uuid_to_text


def describe(cls: type[Message], version: int | None = None) -> str:
    """A message's fields, nested ones indented: of one version as on the wire, or of all versions.

    Raises ValueError for a version that the table lacks.
    """
    first, last = cls.VERSIONS
    if version is not None and not first <= version <= last:
        raise ValueError(f"{cls.__name__} has versions {first}-{last}, not {version}")
    lines = [_heading(cls, version), *_fields(cls, cls, version, "  ")]
    return "\n".join(lines)


def describe_named(name: str, version: int | None = None) -> str:
    """`describe` of a message or API by name, in any case; an API is its request and response.

    Raises KeyError, with the nearest names, when there is none.
    """
    wanted = name.lower().replace("-", "").replace("_", "")
    by_name = {cls.__name__.lower(): cls for cls in all_messages()}
    keys = (wanted, f"{wanted}request", f"{wanted}response")
    found = [by_name[key] for key in keys if key in by_name]
    if not found:
        near = sorted(cls.__name__ for key, cls in by_name.items() if wanted in key)
        raise KeyError(f"no message is called {name}; near it: {', '.join(near) or 'nothing'}")
    return "\n\n".join(describe(cls, version) for cls in found)


def api_rows() -> list[tuple[int, str, str, str, str]]:
    """Key, name, versions, first version with tagged fields, and listeners of every API."""
    return [
        (
            int(api.key),
            api.name,
            _range(api.versions),
            "-" if api.flexible is None else f"{api.flexible}+",
            " ".join(sorted(api.listeners)),
        )
        for api in API.values()
    ]


def _heading(cls: type[Message], version: int | None) -> str:
    facts = [] if cls.KEY is None else [f"key {cls.KEY}"]
    if version is None:
        facts.append(f"versions {_range(cls.VERSIONS)}")
        if cls.FLEXIBLE is not None:
            facts.append(f"tagged fields from {cls.FLEXIBLE}")
        if cls.VERSIONS[1] > cls.STABLE:
            facts.append(f"stable up to {cls.STABLE}")
    elif cls.is_flexible(version):
        facts.append("tagged fields")
    shown = cls.__name__ if version is None else f"{cls.__name__} v{version}"
    return f"{shown} ({', '.join(facts)})" if facts else shown


def _fields(
    cls: type[Message], struct: type[Struct], version: int | None, indent: str
) -> Iterator[str]:
    present = [f for f in struct.__fields__ if version is None or f.present(version)]
    if version is not None:
        present.sort(key=lambda f: -1 if f.tag is None else f.tag)
    for f in present:
        yield indent + _field(cls, f, version)
        kind = f.type.element or f.type
        if kind.struct is not None:
            yield from _fields(cls, kind.struct, version, indent + "  ")


def _field(cls: type[Message], f: Field, version: int | None) -> str:
    tag = "" if f.tag is None else f"tag {f.tag} "
    text = f"{tag}{f.name}: {f.type.name}"
    if f.nullable is not None and (version is None or f.is_nullable(version)):
        partly = version is None and not _covers(f.nullable, cls.VERSIONS)
        text += f", nullable in {_range(f.nullable)}" if partly else ", nullable"
    default = _default(f)
    if default:
        text += f", default {default}"
    if version is None and not _covers(f.versions, cls.VERSIONS):
        text += f", versions {_range(f.versions)}"
        text += ", ignorable" if f.ignorable else ""
    return text


def _default(f: Field) -> str:
    """The default, when it is not what its type implies."""
    value = f.new_default()
    if value is None:
        return "" if f.type.name == "records" else "null"
    if isinstance(value, bytes) and f.type.name == "uuid":
        return uuid_to_text(value) if any(value) else ""
    return "" if isinstance(value, Struct) or not value else str(value)


def _covers(outer: Range, inner: Range) -> bool:
    return outer[0] <= inner[0] and outer[1] >= inner[1]


def _range(bounds: Range) -> str:
    first, last = bounds
    if last >= VERSION_MAX:
        return f"{first}+"
    return str(first) if first == last else f"{first}-{last}"
