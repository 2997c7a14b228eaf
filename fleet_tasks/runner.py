"""Fabric's own ``run`` made fit for large output: the way of ``group.run("uptime")`` in a fabfile.

Our own work does not go this way (see conversation); this mends what Invoke's Runner does to those who use it:
it joins the whole output again for every thousand bytes, cuts characters in two, and reads the keyboard.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from fabric import Config
from fabric.runners import Remote


class FleetRunner(Remote):  # type: ignore[misc]
    """A Remote that reads in large pieces, decodes across them, and leaves standard input alone."""

    read_chunk_size = 65536
    input_sleep = 0

    def respond(self, buffer_: list[str]) -> None:
        """Answers prompts only where there is a watcher to answer them."""
        if self.watchers:
            super().respond(buffer_)

    def decode(self, data: bytes) -> str:
        """Invoke's hook, for pieces that stand alone."""
        return data.decode(self.encoding, "replace")

    def read_proc_output(self, reader: Any) -> Iterator[str]:
        """Decodes incrementally, so that no character is lost at a piece's edge."""
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        while data := reader(self.read_chunk_size):
            text = decoder.decode(data)
            if text:
                yield text
        if rest := decoder.decode(b"", final=True):
            yield rest


CONFIG = Config(
    lazy=True,
    overrides={"load_ssh_configs": False, "runners": {"remote": FleetRunner}, "run": {"in_stream": False}},
)
"""Fabric's settings for our connections; ssh_config is read by ``sshconfig``, which knows Include and Match."""
CONFIG.load_ssh_config()
