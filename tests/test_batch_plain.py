"""What is read line by line means what the parser would make of it, and what programs write is read so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks.batch import plain, reading
from fleet_tasks.batch.reading import Source, read
from tests.test_batch_tasks import assert_same_at_a_closer_look

PLAIN = {
    "in lines": "tasks:\n  - id: a\n    task: Summarise {input}\n  - task: echo \"b\"; sleep 1\n    agent: shell\n",
    "as programs write it": "tasks:\n- id: '7'\n  task: it's\n- id: 8\n  model: gpt-5\n  task: 'it''s'\n",
    "in braces": 'tasks:\n  - {id: a, task: "count {input}"}\n  - {id: b, task: ls -l}\n',
    "with comments": "# one\n\ntasks:\n  # two\n  - task: x\n\n    # three\n    id: a\n\n# four\n",
    "with defaults": "defaults: {agent: shell, timeout: 5, fetch: [a]}\ntasks:\n- task: x\n- {task: y, agent: demo}\n",
}
VALUES = r"""
x y'z {n} 7 007 1:30 1e3 0x1F 2026-01-01 yes Null ~ ~/x -x - .5 .a @x %x `x` | > [x] {x} !x &x *x 'it''s' 'it's' 'x 'x'
"x" "x "\n" "a"b" #x x# x: x:y a, =x <x >x ?x ,x $x (x) _x /x \x Ab \u00e9
""".split()
LINES = st.builds(
    "{}{}{}: {}{}".format,
    st.sampled_from(["", "  ", "   "]),
    st.sampled_from(["- ", "  ", "-  ", ""]),
    st.sampled_from(["id", "task", "agent", "model", "timeout", '"id"']),
    st.sampled_from([*VALUES, "\u00e9", "\x7f", ""]),
    st.sampled_from(["", "", "", " ", " y", " #c", "\n", "\n      more", "\r", "\t", "\n# c", "\n ", "\n---", "\n..."]),
)
PAIRS = st.sampled_from(["id: a", "task: x y", "task: 'x, y'", 'task: "x"', "task: x]", "id: 7", "id:", "x"])
BRACES = st.builds("- {{{}}}".format, st.lists(PAIRS).map(", ".join))
HEADS = ["# c\n", "---\n", "defaults: {agent: shell}\n", "defaults: {retries: 2}\n", "other: 1\n", "tasks: []\n"]


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN)
def test_a_file_of_plain_texts_is_read_without_its_tree(text: str) -> None:
    assert_same_at_a_closer_look(Source("t.yaml", text, lines=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_rows", lambda _: pytest.fail("it was read with its tree"))
        assert read(Source("t.yaml", text, lines=False), Path())


@given(st.sampled_from(["", "", "", *HEADS]), st.lists(LINES | BRACES, min_size=1, max_size=5))
def test_lines_of_a_file_mean_what_they_would_at_a_closer_look(head: str, lines: list[str]) -> None:
    assert_same_at_a_closer_look(Source("t.yaml", f"{head}tasks:\n" + "\n".join(lines) + "\n", lines=False))


@pytest.mark.parametrize("text", ["- task: x\n" * 100_000, "- task: x" + "y" * 5_000_000])
def test_what_is_too_much_for_the_parser_is_too_much_here(text: str) -> None:
    assert plain.entries(text) is None
