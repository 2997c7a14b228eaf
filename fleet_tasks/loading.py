"""Libraries without those modules that no command needs: to load them takes a tenth of the time until one begins.

Invoke 2.2 imports ``unittest.mock``, and that asyncio, for its MockContext (invoke/context.py); and a YAML of its own
for files of settings, which few have (invoke/util.py). Paramiko 5.1 imports ``importlib.metadata``, and that email, to
learn its own version (paramiko/__init__.py). All of it is there for whoever asks.
"""

from __future__ import annotations

import importlib
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any


class Deferred(ModuleType):
    """Stands for a module, which is loaded when something of it is looked up."""

    _is_package = False

    def __getattr__(self, name: str) -> Any:
        if name == "__path__" and not self._is_package:  # ``from ... import ...`` wants to know whether it is one
            raise AttributeError(name)
        return getattr(self._load(), name)

    def _load(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return import_module(self.__name__)


class Mocks(Deferred):
    """``unittest.mock``, which Invoke takes this one name from, and calls it when somebody makes a MockContext."""

    def Mock(self, *args: Any, **given: Any) -> Any:
        """As the true one."""
        return self._load().Mock(*args, **given)


class Metadata(Deferred):
    """``importlib.metadata``, which knows a version without reading what else a package says of itself."""

    _is_package = True

    def version(self, name: str) -> str:
        """As the true one; read off the folder that says what was installed (``NAME-VERSION.dist-info``: PEP 376)."""
        spec = find_spec(name)
        places = (spec and spec.submodule_search_locations) or ()
        folders = [folder for place in places for folder in Path(place).parent.glob(f"{name}-*.dist-info")]
        return folders[0].stem.partition("-")[2] if len(folders) == 1 else str(self._load().version(name))


def load_invoke() -> None:
    """Loads Invoke; afterwards ``import`` finds the true modules, and only Invoke still has what stands for them."""
    mocks, second_yaml = Mocks("unittest.mock"), Deferred("invoke.vendor.yaml")
    deferred = [each for each in (mocks, second_yaml) if each.__name__ not in sys.modules]
    for each in deferred:
        sys.modules[each.__name__] = each
    try:
        import_module("invoke")
    finally:
        for each in deferred:
            if sys.modules.get(each.__name__) is each:
                del sys.modules[each.__name__]


def defer_metadata() -> None:
    """From now on ``importlib.metadata`` is loaded when somebody wants more of it than a version."""
    metadata = Metadata("importlib.metadata")
    if metadata.__name__ not in sys.modules:
        importlib.metadata = sys.modules[metadata.__name__] = metadata
