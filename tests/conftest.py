"""Fixtures for every test: a home of its own, loopback only, and the bench of SSH servers."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest

from fleet_tasks.fleet import Fleet
from tests.bench import Bench, Sshd, running_sshd
from tests.bench.loopback import stay_on_loopback
from tests.client import entry

# The machine may be busy: that an example took long says nothing of the code.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

# Where nohup or a shell's & had them ignored, every program that a test starts would ignore them too.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put every folder that a user's files could lie in below the test's own."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    for kind, folder in _XDG.items():
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / folder))
    monkeypatch.setenv("FLEET_STATE", str(home / "state"))
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return home


_XDG = {"CONFIG": ".config", "DATA": ".local/share", "STATE": ".local/state", "CACHE": ".cache"}


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Fail a test that tried to reach another machine; clear the list to forgive it."""
    tried = stay_on_loopback(monkeypatch)
    yield tried
    if tried:
        pytest.fail(f"This test tried to leave loopback: {', '.join(tried)}")


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each worker a folder for what is temporary, its devices' runs too: workers must not end each other's."""
    tmp_path_factory.getbasetemp()  # pytest's own folders stay where they always are
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(scope="session")
def sshd(own_temporary_folder: None) -> Iterator[Sshd]:
    """The worker's OpenSSH server, with 20 addresses."""
    with running_sshd() as running:
        yield running


@pytest.fixture
def bench(sshd: Sshd, own_home: Path) -> Iterator[Bench]:
    """The worker's server with no device on it yet."""
    yield Bench(sshd, own_home)
    sshd.sweep()


@pytest.fixture
def make_sshd(own_home: Path) -> Iterator[Callable[..., Bench]]:
    """Start further servers, with options of their own, that end with the test."""
    with contextlib.ExitStack() as stack:

        def make(options: Sequence[str] = (), addresses: int = 1) -> Bench:
            return Bench(stack.enter_context(running_sshd(options, addresses)), own_home)

        yield make


@pytest.fixture
def registry(bench: Bench) -> Callable[..., Path]:
    """Writes the registry that the program finds: ``registry("a", "b", devices={...}, agents={...})``.

    Devices that are named keep our folders below their home, where ``runs_left`` looks for them.
    """

    def write(*names: str, **more: object) -> Path:
        devices = {name: entry(bench.device(name)) for name in names}
        more["devices"] = {**devices, **more.get("devices", {})}  # type: ignore[dict-item]
        return bench.registry(bench.home / "fleet.yaml", [], **more)  # type: ignore[arg-type]

    return write


@pytest.fixture
def opened(registry: Callable[..., Path]) -> Iterator[Callable[..., Fleet]]:
    """Opens the fleet of such a registry, and closes it with the test."""
    fleets: list[Fleet] = []

    def open_fleet(*names: str, **more: object) -> Fleet:
        fleets.append(Fleet.load(registry(*names, **more)))
        return fleets[-1]

    yield open_fleet
    for each in fleets:
        each.close()
