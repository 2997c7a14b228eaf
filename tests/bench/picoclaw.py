"""A stand-in for PicoClaw, which behaves as each of its versions does, noise and oddities included.

``binary("0.2.9")`` is the program, to be published as a release or laid down as a file: a script for this Python. Its
commands are version, status, onboard and agent; it talks to whatever endpoint its config names, calls the tool
``exec`` when the model says so, keeps sessions, and checks its config as strictly as its version does.
"""

from __future__ import annotations

import sys
from pathlib import Path


def binary(version: str) -> bytes:
    """The program, which takes itself for that version (``dev`` and ``v0.2.9-3-gabc`` are versions, too)."""
    program = Path(__file__).with_name("picoclaw_program.py").read_text("utf-8")
    return f"#!{sys.executable} -IS\nVERSION = {version!r}\n{program}".encode()
