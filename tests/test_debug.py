"""--debug: what is done on which connection, for whoever looks for a fault; never what a task may not give away."""

from __future__ import annotations

import re

from tests.bench import Bench
from tests.program import fleet

VALUE, SECRET = "a-value-of-env", "a-very-secret-word"
TASK = """test "$PLACE" = "$(cat ~/place)" && test "$MY_KEY" = "$(cat ~/key)" && echo told"""


def test_debug_shows_the_connection_the_scripts_and_their_times_but_no_value(bench: Bench) -> None:
    device = bench.device("deck")
    (device.home / "place").write_text(VALUE)
    (device.home / "key").write_text(SECRET)
    agents = {"shell": {"secrets": ["MY_KEY"], "env": {"PLACE": VALUE}}}
    bench.registry(bench.home / "fleet.yaml", ["deck"], agents=agents)
    words = ("run", "-d", "deck", "--task", TASK, "--quiet")
    silent = fleet(bench, *words, MY_KEY=SECRET)
    said = fleet(bench, *words, "--debug", MY_KEY=SECRET)
    assert (silent.code, silent.stdout, silent.stderr) == (0, "told\n", "")
    assert (said.code, said.stdout) == (0, "told\n")
    address = re.escape(f"{device.user}@{device.host}:{device.port}")
    assert re.search(rf"^deck: logged in to {address} in \d+\.\d+ s\.$", said.stderr, re.MULTILINE)
    assert re.search(r"^deck: dispatch, \d+ bytes:$", said.stderr, re.MULTILINE)
    assert "\nft_timeout=300\n" in said.stderr and "\n# remote/supervisor.sh\n" in said.stderr
    assert re.search(r"^deck: dispatch, after \d+\.\d+ s: exit 0 ended", said.stderr, re.MULTILINE)
    assert VALUE not in said.stderr and SECRET not in said.stderr
