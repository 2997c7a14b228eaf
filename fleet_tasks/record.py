"""Frozen records at a tenth of what they cost at start.

``dataclass(frozen=True)`` has six methods compiled for every class, in a millisecond on CPython 3.11, and a command
begins with a hundred classes. How records are made, compared, hashed and shown is the same for all: no compiler is
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, is_dataclass
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(kind: type[T]) -> type[T]:
    """``dataclass(frozen=True)``: to the dataclasses module it is one; methods that ``kind`` has are kept."""
    # To be frozen is what costs most; the dataclasses module insists on it only where a base already is.
    made = dataclass(init=False, eq=False, repr=False, frozen=any(map(is_dataclass, kind.__mro__[1:])))(kind)
    made.__dataclass_params__.frozen = True  # type: ignore[attr-defined]
    known = fields(made)  # type: ignore[arg-type]
    compared = _getter([each.name for each in known if each.compare])
    counted = _getter([each.name for each in known if (each.compare if each.hash is None else each.hash)])
    shown = [each.name for each in known if each.repr]

    def equal(self: object, other: object) -> bool:
        return compared(self) == compared(other) if type(other) is type(self) else NotImplemented

    def hashed(self: object) -> int:
        return hash(counted(self))

    def showing(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    methods = {
        "__init__": _maker(kind.__qualname__, known),
        "__eq__": equal,
        "__hash__": hashed,
        "__repr__": showing,
        "__setattr__": _frozen,
        "__delattr__": _frozen,
    }
    for name, method in methods.items():
        if name not in vars(kind):
            setattr(made, name, method)
    return made


def _maker(kind: str, known: tuple[Field[Any], ...]) -> Callable[..., None]:
    """An ``__init__`` that takes the fields in their order, or by name."""
    names = tuple(each.name for each in known)
    all_names = frozenset(names)
    count = len(names)
    defaults = {each.name: each.default for each in known if each.default is not MISSING}
    factories = [(each.name, each.default_factory) for each in known if each.default_factory is not MISSING]
    put = object.__setattr__

    def make(self: object, /, *args: object, **given: object) -> None:
        if len(args) == count and not given:
            for name, value in zip(names, args, strict=True):
                put(self, name, value)
            return
        values = {**defaults, **dict(zip(names, args, strict=False)), **given}
        for name, factory in factories:
            if name not in values:
                values[name] = factory()
        if values.keys() != all_names or len(args) > count or not given.keys().isdisjoint(names[: len(args)]):
            raise TypeError(_misfit(kind, names, len(args), given, values))
        for name in names:
            put(self, name, values[name])

    return make


def _misfit(kind: str, names: tuple[str, ...], count: int, given: Mapping[str, object], values: Container[str]) -> str:
    """What is wrong with the values that a record was to be made of."""
    if count > len(names):
        return f"{kind} has {len(names)} fields, and {count} values were given."
    if unknown := [name for name in given if name not in names]:
        return f"{kind} has no field {unknown[0]!r}; it has {', '.join(names) or 'none'}."
    if twice := [name for name in names[:count] if name in given]:
        return f"{kind} was given {twice[0]!r} twice."
    return f"{kind} wants {', '.join(name for name in names if name not in values)}."


def _frozen(self: object, name: str, *_: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot change field {name!r}")


def _getter(names: list[str]) -> Callable[[object], Any]:
    return attrgetter(*names) if names else lambda _: ()
