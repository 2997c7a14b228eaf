"""What every command does around its own line: opens the fleet, shows the work, leaves with the right code."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from invoke import Context

from fleet_tasks import formats, settings
from fleet_tasks import registry as registries
from fleet_tasks.errors import RequestError
from fleet_tasks.fleet import Fleet, NobodyReached
from fleet_tasks.options import AnyOf, Connecting, Limits, Output, Targets, Where
from fleet_tasks.planning import agent_names, limit_names
from fleet_tasks.plans import GRACE, PARALLEL, RETRIES, Bounds, Wish
from fleet_tasks.registry import Registry
from fleet_tasks.watching import watch

if TYPE_CHECKING:
    from fleet_tasks.devices import Device
    from fleet_tasks.jobs import Plan

T = TypeVar("T")

_OFFER = "There is no registry yet. Write a commented template with: fleet init"

_fleets: dict[tuple[Path | None, tuple[str, ...]], Fleet] = {}
"""The fleets of this program: the commands of a chain share connections. Closed when it ends, however it does."""


def open_fleet(c: Context, where: Where) -> Fleet:
    """The fleet of the registry that is meant; an empty one when there is no registry."""
    path = find_registry(where)
    keys = identities(c)
    if (path, keys) not in _fleets:
        registry = load(path) if path else Registry.empty()
        fleet = Fleet(registry, _habits(c, keys, registry))
        atexit.register(fleet.close)
        _fleets[path, keys] = fleet
    return _fleets[path, keys]


def find_registry(where: Where) -> Path | None:
    """The registry that is meant; None when nothing names one and none is found."""
    home = Path(os.environ.get("HOME") or Path.home())
    return registries.find(where.registry, os.environ, settings.here(), home)


def load(path: Path) -> Registry:
    """The registry in a file, the names of its agents checked; a file that is not there is offered."""
    if not path.exists():
        raise RequestError(f"There is no {path}. Write a commented template with: fleet init --registry {path}")
    return registries.load(path, agents=agent_names(), limits=limit_names)


def want_registry(where: Where) -> Path:
    """The registry that is meant; raises RequestError, with the way to one, where there is none."""
    path = find_registry(where)
    if path is None:
        raise RequestError(_OFFER)
    return path


@contextmanager
def change_registry(c: Context, where: Where) -> Iterator[tuple[Path, Fleet]]:
    """The registry that is meant, in order so far, to be changed; the next command of a chain reads it anew."""
    refuse_dry(c)
    path = want_registry(where)
    fleet = open_fleet(c, where)
    yield path, fleet
    for key in [key for key in _fleets if key[0] == path]:
        _fleets.pop(key).close()


def identities(c: Context) -> tuple[str, ...]:
    """The key files given with ``-i``; raises RequestError for one without a name."""
    given = settings.login(c).get("key_filename") or ()
    keys = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not all(isinstance(key, str) for key in keys):
        raise RequestError("The setting connect_kwargs.key_filename wants a key file, or a list of them.")
    if not all(keys):
        raise RequestError("-i/--identity is empty; leave it out, or name a key file.")
    return keys


def run_id(text: str | None) -> str:
    """The one run whose id begins with ``text``; raises RequestError when there is none, or more than one."""
    from fleet_tasks.history import History, folder

    if not text:
        raise RequestError("Say which run: --run ID (fleet history lists them).")
    return History.open(folder()).find(text)


def choose(c: Context, fleet: Fleet, targets: Targets, *, everyone: bool = False) -> tuple[Device, ...]:
    """The devices that a command means. Without any, ``everyone`` means all; otherwise it is refused."""
    one = settings.host(c)
    if one is not None:
        if targets.named or targets.exclude:
            raise RequestError("-H names the one device to visit; -d, -g, --all, --tag and -x have no place beside it.")
        return (fleet.registry.devices.get(one) or fleet.registry.unnamed(one),)
    if not targets.named and everyone:
        _want_registry(fleet)
        targets = Targets(all=True, exclude=targets.exclude)
    if not targets.named:
        raise RequestError("No device is chosen: name some with -d or -g, or say --all.")
    if targets.group or targets.all or targets.tag:
        _want_registry(fleet)
    return fleet.choose(targets)


def pick(
    c: Context, fleet: Fleet, devices: Sequence[Device], any_of: AnyOf, wish: Wish, bounds: Bounds
) -> tuple[Device, ...]:
    """All of the devices, or with ``--any N`` the best N of them; a dry run does not ask which those are."""
    if any_of.any is None or any_of.any >= len(devices):
        return tuple(devices)
    say = formats.Streams().say
    if c.config.run.dry:
        say(f"--any {any_of.any}: a fresh status would choose among these.")
        return tuple(devices)
    try:
        return fleet.pick(devices, any_of.any, wish, bounds)
    except NobodyReached as error:
        for result in error.report.results:
            if result.error is not None:
                say(f"{result.device}: {result.error.message} {result.error.guidance}")
        raise


def refuse_dry(c: Context) -> None:
    """Raises RequestError when only a look ahead was asked for, at a command that has none."""
    if c.config.run.dry:
        raise RequestError("This command has no dry run; nothing was changed.")


def bounds(fleet: Fleet, connecting: Connecting, limits: Limits | None = None) -> Bounds:
    """A run's limits: the flag's word, else the registry's, else the product's."""
    own = fleet.registry.defaults
    limits = limits or Limits()
    return Bounds(
        parallel=connecting.parallel or own.parallel or PARALLEL,
        retries=max(1, _first(connecting.retries, own.retries, RETRIES)),
        connect_timeout=connecting.connect_timeout,
        deadline=connecting.deadline or own.deadline,
        max_failures=limits.max_failures,
        grace=_first(limits.grace, own.grace, GRACE),
    )


def show(kind: str, rows: Sequence[Any], output: Output, *, sheet: bool = False) -> None:
    """Records of one kind, in the format and at the place that were asked for."""
    streams = formats.Streams()
    try:
        if output.output:
            streams.redirect(output.output)
        formats.listing(kind, rows, output.format or "text", streams, sheet=sheet)
    finally:
        streams.drop()


def carry_out(c: Context, fleet: Fleet, plan: Plan, output: Output) -> None:
    """Does the plan and shows it; with ``--dry`` only shows it. Raises Exit unless all is done."""
    if c.config.run.dry:
        from fleet_tasks.formats import plan as planned

        planned.show(plan, formats.Streams(), output)
        return
    watch(fleet, plan, output, lambda: fleet.carry_out(plan))


def _habits(c: Context, keys: tuple[str, ...], registry: Registry) -> Any:
    from fleet_tasks.logins import Habits

    password = settings.login(c).get("password")
    return Habits(
        identities=keys,
        agent_socket=os.environ.get("SSH_AUTH_SOCK"),
        host_keys=registry.defaults.host_keys or "accept-new",
        connect_timeout=None,
        password=str(password) if password else None,
    )


def _first(*values: T | None) -> T:
    """The first that is given; the last one always is."""
    return next(value for value in values if value is not None)


def _want_registry(fleet: Fleet) -> None:
    if fleet.registry.path is None:
        raise RequestError(_OFFER)
