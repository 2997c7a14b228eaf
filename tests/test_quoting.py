"""A value is known again whatever shell printed it, so that it can be scrubbed."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.quoting import disguises
from fleet_tasks.secrets import MASK, Scrubber

PARTS = ("begin5f2b", "middle9c7d", "end1e8a")
MEETINGS = ["'", "''", "\"'\\", "$`'", " ", "\n", "\t'", "\x1b\x7f\x01'", "!{},^=~#", "\u00e9'", "\\n", "'\"'\"'"]
SHELLS = {
    "dash": "set; export -p; set -x; : \"$K\"",
    "bash": "set; export -p; printf '%q\\n' \"$K\"; echo \"${K@Q}\"; set -x; : \"$K\"",
    "bash --posix": "set; export -p",
    "busybox sh": "set; export -p; set -x; : \"$K\"",
    "zsh": "set; export -p; print -r -- ${(q)K} ${(qq)K} ${(qqq)K}; set -x; : \"$K\"",
}


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("meeting", MEETINGS, ids=ascii)
def test_no_shell_prints_a_value_in_a_way_that_is_not_known(shell: str, meeting: str, locale: str) -> None:
    for key in (meeting.join(PARTS), f"{meeting}{PARTS[0]}{meeting}"):
        there = {"PATH": os.environ["PATH"], "K": key, "LC_ALL": locale}
        words = [*shell.split(), "-c", SHELLS[shell]]
        done = subprocess.run(words, env=there, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        scrubber = Scrubber([key])
        for said in (done.stdout, json.dumps(done.stdout.decode("utf-8", "replace")).encode()):
            clean = scrubber.clean(said)
            assert MASK in clean and not any(part.encode() in clean for part in PARTS), clean
        streamed = Scrubber([key])
        pieces = [streamed.feed(done.stdout[at : at + 1]) for at in range(len(done.stdout))]
        assert not any(part.encode() in b"".join([*pieces, streamed.rest()]) for part in PARTS)


def test_a_plain_value_has_one_look_only() -> None:
    assert disguises(b"sk-ant-api03_A/b+c.d") == {b"sk-ant-api03_A/b+c.d"}


@given(st.text(st.characters(codec="utf-8"), min_size=6, max_size=30))
def test_any_value_is_scrubbed_whole_as_it_stands(key: str) -> None:
    value = key.encode()
    assert value in disguises(value)
    assert Scrubber([key]).clean(b"\0" + value) == b"\0" + MASK or key.startswith("\0")
