"""Classes of plain data that cost little to define: `frozen` ones and `mutable` ones, as in attrs.

They read and behave like ``@dataclass(slots=True)`` ones, and type checkers take them for those. A
dataclass compiles up to six functions when it is defined, a millisecond of import for each class; a
node has half a hundred of them. Here one is compiled, ``__init__``, and the rest is shared.

    @frozen
    class Place:
        topic: str
        partition: int = 0
        notes: tuple[str, ...] = ()

A method that the class itself defines stays. Two are equal when they are of one class and their
fields are; a frozen one is hashable if its fields are, a mutable one is not. Fields are not
inherited. `__post_init__` is called at the end of ``__init__``, if there is one.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

__all__ = ["field", "fields", "frozen", "mutable", "replace"]

T = TypeVar("T")


class _Factory:
    """A field's default that is made for each instance."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], T]) -> T:
    """A field whose default is made anew for each instance."""
    made: Any = _Factory(default_factory)
    return made  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Any] | None = None, *, kw_only: bool = False) -> Any:
    """A class of immutable data: assigning to a field raises AttributeError."""
    if cls is None:
        return lambda decorated: _define(decorated, _FROZEN, kw_only)
    return _define(cls, _FROZEN, kw_only)


@dataclass_transform(field_specifiers=(field,))
def mutable(cls: type[T]) -> type[T]:
    """A class of mutable data, not hashable."""
    return _define(cls, _MUTABLE, False)


def fields(cls: Any) -> tuple[str, ...]:
    """The names of the fields of such a class or of an instance, in order; TypeError for others."""
    names: tuple[str, ...] | None = getattr(cls, "__value_fields__", None)
    if names is None:
        raise TypeError(f"{cls!r} is neither frozen nor mutable data")
    return names


def replace(old: T, /, **changes: Any) -> T:
    """A copy with some fields changed; TypeError for a field that there is not."""
    return type(old)(**{**{name: getattr(old, name) for name in fields(old)}, **changes})


def _getter(names: tuple[str, ...]) -> Any:
    """What reads all fields of an instance at once; no descriptor, so it can lie in the class."""
    if len(names) > 1:
        return attrgetter(*names)
    return staticmethod(lambda self: tuple(getattr(self, name) for name in names))


def _equal(self: Any, other: object) -> Any:
    values = self.__value_getter__
    if type(other) is not type(self):
        return NotImplemented
    return bool(values(self) == values(other))


def _hash(self: Any) -> int:
    return hash(self.__value_getter__(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__value_fields__)
    return f"{type(self).__qualname__}({shown})"


def _refuse_assignment(self: Any, name: str, new: object) -> None:
    raise AttributeError(f"cannot assign to field {name!r} of a {type(self).__name__}")


def _refuse_deletion(self: Any, name: str) -> None:
    raise AttributeError(f"cannot delete field {name!r} of a {type(self).__name__}")


_MUTABLE: dict[str, Any] = {
    "__eq__": _equal,
    "__hash__": None,
    "__repr__": _repr,
    "__replace__": replace,
}
_FROZEN: dict[str, Any] = {
    **_MUTABLE,
    "__hash__": _hash,
    "__setattr__": _refuse_assignment,
    "__delattr__": _refuse_deletion,
}


def _define(cls: type[Any], methods: dict[str, Any], kw_only: bool) -> type[Any]:
    """The class again, with slots and the methods that it does not define itself."""
    body = dict(vars(cls))
    annotations = body.get("__annotations__", {})
    names = tuple(name for name, kind in annotations.items() if "ClassVar" not in str(kind))
    defaults = {name: body.pop(name) for name in names if name in body}
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    if "__eq__" in body:
        # As Python does for any class: who defines equality defines the hash, or has none.
        methods = {**methods, "__hash__": body.get("__hash__")}
    body = {**methods, **body, "__slots__": names, "__value_fields__": names}
    body["__match_args__"] = () if kw_only else names
    body["__value_getter__"] = _getter(names)
    metaclass: Any = type(cls)
    made: Any = metaclass(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    made.__init__ = _constructor(made, defaults, kw_only)
    defined: type[Any] = made
    return defined


def _constructor(cls: type[Any], defaults: dict[str, Any], kw_only: bool) -> Callable[..., None]:
    """A straight-line ``__init__``."""
    refuses = vars(cls).get("__setattr__") is _refuse_assignment
    known: dict[str, Any] = {"_absent": _Factory}
    parameters, lines = (["self", "*"] if kw_only else ["self"]), []
    for name in fields(cls):
        given = name
        if name not in defaults:
            parameters.append(name)
        elif isinstance(defaults[name], _Factory):
            known[f"_make_{name}"] = defaults[name].make
            parameters.append(f"{name}=_absent")
            given = f"_make_{name}() if {name} is _absent else {name}"
        else:
            known[f"_default_{name}"] = defaults[name]
            parameters.append(f"{name}=_default_{name}")
        if refuses:
            # The slot's own descriptor stores all the same.
            known[f"_set_{name}"] = vars(cls)[name].__set__
            lines.append(f"    _set_{name}(self, {given})")
        else:
            lines.append(f"    self.{name} = {given}")
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()")
    exec("\n".join([f"def __init__({', '.join(parameters)}):", *(lines or ["    pass"])]), known)
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    return init
