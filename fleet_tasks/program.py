"""``fleet``, a program of its own: the same tasks as under ``fab``, from any folder; what is wrong is one sentence."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import invoke
from invoke import Argument, Exit
from invoke.config import AmbiguousMergeError
from invoke.exceptions import ParseError, UnknownFileType
from invoke.parser import Parser, ParserContext

from fleet_tasks import __version__, settings
from fleet_tasks.cli import exits
from fleet_tasks.errors import RequestError
from fleet_tasks.ranges import nearest


class FleetConfig(invoke.Config):
    """Settings as under ``fab``: fabric.yaml and FABRIC_FLEET_*; a file that makes no sense is named."""

    prefix = "fabric"

    def _load_yaml(self, path: Any) -> Any:
        return _shaped(path, super()._load_yaml)

    _load_yml = _load_yaml

    def _load_json(self, path: Any) -> Any:
        return _shaped(path, super()._load_json)

    def _load_py(self, path: str) -> Any:
        return _shaped(path, super()._load_py)


def _shaped(path: Any, load: Callable[[Any], Any]) -> Any:
    """What a file of settings says; RequestError unless it is names with values, all the way down."""
    try:
        found = load(path)
    except OSError:
        raise  # Invoke takes one that is not there for an empty one; others have a sentence already
    except Exception as error:  # whatever a reader says to broken text, or somebody's fabric.py when it is run
        sentence = " ".join(str(error).split()) or type(error).__name__
        raise RequestError(f"{path} cannot be read: {sentence}") from error
    if found is not None and not (isinstance(found, dict) and _all_text(found)):
        raise RequestError(f"{path} wants names with values, as every file of settings.")
    return found


def _all_text(names: dict[Any, Any]) -> bool:
    inner = (value for value in names.values() if isinstance(value, dict))
    return all(isinstance(name, str) for name in names) and all(map(_all_text, inner))


class FleetProgram(invoke.Program):
    """``fleet``: the same tasks as under ``fab``, from any folder; whatever cannot be parsed is exit 2.

    It does not load Fabric, which takes longer than listing devices does.
    """

    def core_args(self) -> list[Argument]:
        """Invoke's own, and those of Fabric that make sense here."""
        return [
            *super().core_args(),
            Argument(names=("hosts", "H"), help="One unnamed device to visit: [user@]host[:port]."),
            Argument(names=("identity", "i"), kind=list, help="Key file to log in with; repeatable."),
            Argument(names=("connect-timeout", "t"), help="Seconds a connection may take [10]."),
        ]

    def create_config(self) -> None:
        """Invoke's, and the fabric.yaml of the project we stand in; whatever cannot be read is exit 2."""
        with self._refusing():
            super().create_config()
            self.config.set_project_location(settings.project(settings.here()))
            self.config.load_project(merge=False)
            self.config.merge()

    def parse_core(self, argv: list[str] | None) -> None:
        """Invoke's, with exit 2; what stands after ``--`` is refused, for nothing would come of it."""
        with self._refusing():
            super().parse_core(argv)
            if self.core.remainder and not self.args.complete.value:
                raise Exit("Nothing is done with what stands after --; a task goes in by --task.", code=2)
            if self.args["list-format"].value not in ("flat", "nested", "json"):
                raise Exit("--list-format is one of flat, nested and json.", code=2)

    def _make_parser(self) -> Parser:
        """Invoke's, of the commands that are named: to make the flags of all, and copy them, takes a while."""
        if self.args.complete.value:
            return super()._make_parser()
        words = set(self.argv)
        named = [
            ParserContext(name=name, aliases=aliases, args=self.collection[name].get_arguments())
            for name, aliases in self.collection.task_names.items()
            if not words.isdisjoint((name, *aliases))
        ]
        return Parser(initial=self.initial_context, contexts=named)

    def parse_tasks(self) -> None:
        """Invoke's, with exit 2."""
        with self._refusing():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Invoke's, with exit 2, also for a list of what is not there."""
        with self._refusing():
            try:
                super().parse_cleanup()
            except Exit as error:
                raise Exit(error.message, code=2 if error.message else 0) from error

    def update_config(self, merge: bool = True) -> None:
        """Keeps the keys, the patience and the host that were given for our tasks to find."""
        with self._refusing():
            super().update_config(merge=False)
            if self.config._runtime_path and not self.config._runtime_found:
                raise Exit(f"There is no settings file {self.config._runtime_path}.", code=2)
            given = {"key_filename": list(self.args.identity.value), "timeout": self.args["connect-timeout"].value}
            self.config._overrides["connect_kwargs"] = {name: value for name, value in given.items() if value}
            self.config._overrides["fleet"] = {settings.HOST: self.args.hosts.value}
            self.config.merge()

    def execute(self) -> None:
        """Invoke's, with exit 2 and 130."""
        with self._refusing():
            super().execute()

    def print_task_help(self, name: str) -> None:
        """Invoke's, its example as one types it here; ``fab`` is only there beside a fabfile."""
        task = self.collection[name]
        told = task.__doc__ or ""
        task.__doc__ = re.sub(r"^( +)fab ", r"\1fleet ", told, flags=re.MULTILINE)
        try:
            super().print_task_help(name)
        finally:
            task.__doc__ = told  # the task is the same under fab

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turns what Invoke cannot parse, or read, into exit 2 with one sentence, and Ctrl-C into exit 130."""
        try:
            with exits():
                yield
        except ParseError as error:
            raise Exit(self._sentence(error), code=2) from error
        except BrokenPipeError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's exit trips again
            raise Exit from error
        except UnknownFileType as error:
            sentence = "-f before the command names a settings file, .yaml or .json; a format stands behind it."
            raise Exit(sentence, code=2) from error
        except AmbiguousMergeError as error:
            raise Exit(_misfit(str(error)), code=2) from error
        except ValueError as error:  # Invoke's own flags that want a number
            found = re.fullmatch(r"invalid literal for int.*: (.*)", str(error))
            if found is None:
                raise
            raise Exit(f"A flag before the command wants a whole number, not {found[1]}.", code=2) from error

    def _twice(self, word: str) -> str | None:
        """The flag before a word, where it stands there for the second time: Invoke takes its value for a command."""
        begun = 0
        for at, found in enumerate(self.argv):
            before = self.argv[at - 1]
            if found == word and before.startswith("-") and before in self.argv[begun : at - 1]:
                return before
            if found in self.parser.contexts:
                begun = at
        return None

    def _sentence(self, error: ParseError) -> str:
        """What the parser stumbled over, and the nearest right thing."""
        flag = re.search(r"<Argument: ([^ >]+).*needed value", str(error))
        if flag:
            instead = " A task that is itself a flag goes in by --task-file -." if flag[1] == "task" else ""
            return f"--{flag[1]} wants a value.{instead}"
        word = str(error).removeprefix("No idea what ").removesuffix(" is!").strip("'\"")
        if word == str(error):
            return word
        name = error.context.name if error.context else None
        if word.startswith("-"):
            near = nearest(word, error.context.flags if error.context else (), closeness=0.7)
            return f"{name or 'fleet'} has no flag {word}" + (f"; did you mean {near}?" if near else ".")
        if flag_twice := self._twice(word):
            return f"{flag_twice} is there twice; say it once."
        near = nearest(word, self.collection.task_names)
        hint = f"; did you mean {near}?" if near else "; fleet --list names them. A value with blanks wants quotes."
        return f"There is no command {word!r}{hint}"


def _misfit(words: str) -> str:
    """Invoke shows both sides whole, of which one is names with values, and one is not."""
    sides = re.findall(r"<class '\w+'> \((.*?)\)(?= with <class|$)", words, re.DOTALL)
    wrong = next((side for side in sides if not side.startswith("{")), "None")
    if wrong == "None":
        return "The settings cannot be read: names with values stand where one value belongs."
    return f"The settings cannot be read: {wrong} stands where names with values belong."


def main() -> None:
    """What the console script ``fleet`` starts."""
    from fleet_tasks.tasks import namespace

    program = FleetProgram(
        name="fleet", version=__version__, namespace=namespace, config_class=FleetConfig, binary="fleet"
    )
    program.run(_helpful(sys.argv))


def _helpful(argv: list[str]) -> list[str]:
    """``fleet help`` is what people type first."""
    return [argv[0], "--help", *argv[2:]] if argv[1:2] == ["help"] else argv


