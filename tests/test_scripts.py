"""Values in a script's head: whatever the text, every shell that may be a device's sh gets it back whole."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet_tasks import scripts
from tests.bench import CLEAN_PATH
from tests.supervised import SHELLS

#: What the edge of the system can hand us: any text without a NUL, undecodable bytes as surrogates included.
ANY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text("'\"\\$`!#~*?[]{}()<>|&;= \t\r\n-%\x1b\x7f"),
    st.binary().map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")),
)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(ANY, min_size=20, max_size=20))
def test_any_text_is_what_it_was(shell: str, texts: list[str]) -> None:
    names = [f"value_{number}" for number in range(len(texts))]
    tell = "".join(f'printf "%s\\0" "$ft_{name}"\n' for name in names)
    env = "".join(f'printf "%s\\0" "$EXPORTED_{name}"\n' for name in names)
    head = scripts.assignments(dict(zip(names, texts, strict=True)))
    exported = scripts.exports({f"EXPORTED_{name}": text for name, text in zip(names, texts, strict=True)})
    said = subprocess.run(
        [*SHELLS[shell], "-s"],
        input=f"{head}{exported}ft_exports\n{tell}{env}".encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=True,
        env={"PATH": CLEAN_PATH},
    )
    wanted = [text.encode("utf-8", "surrogateescape") for text in texts]
    assert said.stdout.split(b"\0")[:-1] == wanted * 2
    assert said.stderr == b""
