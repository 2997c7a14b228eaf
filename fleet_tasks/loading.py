"""Invoke without two modules that no command needs: to load them takes a tenth of the time until a command begins.

Invoke 2.2 imports ``unittest.mock`` for its MockContext, and that asyncio (invoke/context.py, unittest/mock.py); and a
YAML of its own for files of settings, which few have (invoke/util.py). Both are there for whoever asks for them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class Deferred(ModuleType):
    """Stands for a module, which is loaded when something of it is looked up."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # ``from asyncio import ...`` wants to know whether it is a package
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:  # somebody wants more of it at once: then the start is slower
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def load_invoke() -> None:
    """Loads Invoke; afterwards ``import`` finds the true modules, and only Invoke still has what stands for them."""
    asyncio = Deferred("asyncio")
    # unittest.mock takes this one by name, and calls it when somebody makes a Mock.
    asyncio.iscoroutinefunction = lambda function: import_module("asyncio").iscoroutinefunction(function)  # type: ignore[attr-defined]
    deferred = [each for each in (asyncio, Deferred("invoke.vendor.yaml")) if each.__name__ not in sys.modules]
    for each in deferred:
        sys.modules[each.__name__] = each
    try:
        import_module("invoke")
    finally:
        for each in deferred:
            if sys.modules.get(each.__name__) is each:
                del sys.modules[each.__name__]
