"""The test bench: real SSH servers on loopback, hostile ones, and a home nobody lives in.

Fixtures (``tests/conftest.py``); the first two hold for every test without being asked for:

``own_home``     HOME, XDG_*, FLEET_STATE lie in the test's tmp_path; SSH_AUTH_SOCK is gone.
``loopback``     connecting anywhere but to loopback raises, and fails the test at its end.
``bench``        a ``Bench`` on the worker's OpenSSH server: up to 20 devices as 127.0.0.x.
``make_sshd``    ``make_sshd(options=["MaxStartups 2:100:2"], addresses=1)``: a ``Bench`` on a server of its own.

Devices come into being by name, each with an empty home and a login shell of its own::

    def test_something(bench: Bench, tmp_path: Path) -> None:
        old = bench.device("old", shell="busybox", path=bench.bin(without=("awk", "setsid")))
        deck = bench.device("steam-deck")                   # bash, the usual PATH
        (deck.home / "notes.txt").write_text("hello")
        registry = bench.registry(tmp_path / "fleet.yaml", ["old", "steam-deck"], groups={"all-of-it": ["old"]})
        subprocess.run([sys.executable, "-m", "fleet_tasks", "status"], env=bench.environment(), cwd=tmp_path)
        assert deck.quiet()                                 # nothing of the device's runs any more

``device.host .port .user .key .home .entry``, ``device.processes()``, ``device.quiet(seconds)``; shells are those
in ``SHELLS``. ``bench.key`` is the client's key; ``HOME/.ssh/known_hosts`` knows all addresses;
``bench.processes(marker)`` finds processes by any text in command line, environment or current folder;
``bench.logins()`` counts logins; ``bench.log()`` is what sshd said; ``bench.ssh(name)`` starts an OpenSSH client's
command line; ``bench.trust(host, port, public_key, hashed=True, marker="@revoked")`` adds to known_hosts.
When a test ends, whatever still runs in its devices' homes is ended.

Servers that misbehave are in ``hostile``, and ``relay`` is a link to refuse, freeze or cut; each is a context manager
that gives a place, and ``bench.entry(place)`` trusts its host key and is its entry for a registry::

    with hostile.channel_never_opens() as place:
        bench.registry(tmp_path / "fleet.yaml", ["good"], devices={"stuck": bench.entry(place)})

    good = bench.device("good")
    with relay(good.host, good.port, bench.sshd.public_key) as link:
        link.refuse(2)                                      # the first two connections are reset
        link.cut_after(100_000)                             # then the link breaks in the middle of the output
        bench.registry(tmp_path / "fleet.yaml", [], devices={"good": bench.entry(link.place)})
"""

from tests.bench import hostile
from tests.bench.fleet import POSIX, Bench, BenchDevice
from tests.bench.listening import Hostile
from tests.bench.processes import PATIENCE, TIDY, Process, end, gone, lives, processes
from tests.bench.relay import Relay, relay
from tests.bench.seats import CLEAN_PATH
from tests.bench.server import SHELLS, Sshd, running_sshd

__all__ = [
    "CLEAN_PATH",
    "PATIENCE",
    "POSIX",
    "SHELLS",
    "TIDY",
    "Bench",
    "BenchDevice",
    "Hostile",
    "Process",
    "Relay",
    "Sshd",
    "end",
    "gone",
    "hostile",
    "lives",
    "processes",
    "relay",
    "running_sshd",
]
