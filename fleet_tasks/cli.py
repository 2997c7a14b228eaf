"""The command line: option records become flags, settings stand behind them, errors become exits.

A task's body asks for records by annotation (``def status(c, targets: Targets, ...)``). ``FleetTask`` expands each
record into flags and folds the flags back into it, so an option is declared once, in ``options``.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, overload

import invoke
from invoke import Argument, Context, Exit

from fleet_tasks import plugins, settings, values
from fleet_tasks.errors import FleetError


class FleetTask(invoke.Task[Any]):
    """An Invoke task whose annotated records are its flags.

    It takes no positionals: with one, ``fab dispatch --help`` would dispatch the word ``--help``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.update(positional=[], auto_shortflags=False)
        super().__init__(*args, **kwargs)

    @property
    def hosts(self) -> None:
        """No hosts of its own. Fabric's executor asks before it begins: the moment to refuse what ``-H`` says."""
        with exits():
            settings.host()

    @property
    def records(self) -> dict[str, type]:
        """The body's parameters that are option records, by name."""
        hints = typing.get_type_hints(self.body)
        return {name: kind for name, kind in hints.items() if isinstance(kind, type) and dataclasses.is_dataclass(kind)}

    def argspec(self, body: Callable[..., Any]) -> inspect.Signature:
        """One optional parameter for each flag, as Invoke expects of a task."""
        names = [str(argument.name).replace("-", "_") for argument in self._arguments()]
        return inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names]
        )

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The flags, for Invoke's parser and for ``--help``."""
        return list(self._arguments())

    def _arguments(self) -> Iterator[Argument]:
        for record in self.records.values():
            for field in dataclasses.fields(record):
                yield from arguments(field)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Folds flags into records and calls the body; errors become exits.

        Python callers may pass the records themselves: ``dispatch(c, targets=Targets(group=("lab",)), ...)``.
        """
        context, *_ = args
        if not isinstance(context, Context):
            raise TypeError(f"A task wants an Invoke context first, not {type(context).__name__}.")
        with exits():
            records = {  # --output and --model are called like the records they are part of
                name: kwargs.pop(name) if isinstance(kwargs.get(name), kind) else self._fold(context, kind, kwargs)
                for name, kind in self.records.items()
            }
            self.times_called += 1
            return self.body(context, **records)

    def _fold(self, c: Context, kind: type, flags: dict[str, Any]) -> Any:
        """An option record from what the parser found, or the settings; RequestError for what makes no sense."""
        given = {}
        for field in dataclasses.fields(kind):
            text = flags.pop(field.name, None)
            refused = flags.pop(f"no_{field.name}", None)
            value = values.read(field, text, refused=bool(refused), formats=plugins.formats)
            if value == field.default:
                value = settings.default(c, kind, field)
            given[field.name] = field.default if value is None else value
        return kind(**given)

    # Invoke drops a call that equals an earlier one, and calls are equal whose tasks and flags are. Asked for twice,
    # a command is done twice, so that no task equals another, nor itself.
    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = invoke.Task.__hash__


@contextmanager
def exits() -> Iterator[None]:
    """Errors become exits: a sentence and a code, which every program of Invoke's family understands."""
    try:
        yield
    except FleetError as error:
        from fleet_tasks.formats import sanitize

        # A fleet.yaml may have come with somebody else's files.
        raise Exit(sanitize.text(str(error)), code=error.exit_code) from error
    except KeyboardInterrupt as error:
        raise Exit("Interrupted.", code=130) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Exit(f"{where}{error.strerror or error}.", code=2) from error


@overload
def task(body: Callable[..., Any], /) -> FleetTask: ...
@overload
def task(**kwargs: Any) -> Callable[[Callable[..., Any]], FleetTask]: ...
def task(*args: Any, **kwargs: Any) -> Any:
    """Invoke's ``@task``, with option records for flags."""
    kwargs.setdefault("klass", FleetTask)
    return invoke.task(*args, **kwargs)


def arguments(field: dataclasses.Field[Any]) -> Iterator[Argument]:
    """The flags of one option: one, or two for an option that may be denied."""
    kind, short = field.metadata["kind"], field.metadata["short"]
    dashed = field.name.replace("_", "-")
    kinds = {"yes": bool, "maybe": bool, "names": list, "many": list}
    argument = Argument(
        names=(dashed, short) if short else (dashed,),
        kind=kinds.get(kind, str),
        default=False if kind in ("yes", "maybe") else None,
        help=field.metadata["help"],
        attr_name=field.name if dashed != field.name else None,
    )
    # Invoke would let a list flag without a value pass: of ``-x $KEEP --all`` nothing but --all might be left.
    argument.raw_value = None
    yield argument
    if kind == "maybe":
        denied = f"no-{dashed}"
        yield Argument(
            names=(denied,), kind=bool, default=False, help=f"The opposite of --{dashed}.",
            attr_name=denied.replace("-", "_"),
        )
