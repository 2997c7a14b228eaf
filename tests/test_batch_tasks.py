"""Tasks as they are written down: placeholders, files with lines of what is wrong, orders, devices."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_tasks import batching
from fleet_tasks.batch import reading
from fleet_tasks.batch.reading import Source, each, read
from fleet_tasks.batch.tasks import NAMES, Task, TaskError, Where, fill, in_order, spread
from fleet_tasks.batch.written import task_rows, tasks_of
from fleet_tasks.batching import Batch
from fleet_tasks.devices import Device
from fleet_tasks.errors import RegistryError, RequestError
from fleet_tasks.fleet import Fleet
from fleet_tasks.jobs import Send
from fleet_tasks.options import Targets
from fleet_tasks.plans import Bounds, Part, Wish
from fleet_tasks.tasks.batches import _rows

# -- placeholders ---------------------------------------------------------------------------


@given(st.text())
def test_doubled_braces_are_braces(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert fill(doubled, {}) == text == fill(doubled, {}, shell=True)


@given(st.lists(st.tuples(st.text(), st.sampled_from(NAMES))), st.fixed_dictionaries({n: st.text() for n in NAMES}))
def test_values_stand_as_they_are(parts: list[tuple[str, str]], places: dict[str, str]) -> None:
    text = "".join(before.replace("{", "{{").replace("}", "}}") + "{" + name + "}" for before, name in parts)
    assert fill(text, places) == "".join(before + places[name] for before, name in parts)


@pytest.mark.parametrize("text", ["{", "}", "{other}", "{}", "{{input}", "{ input }", "a } b", "{input}}"])
def test_a_brace_alone_and_an_unknown_name_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="no placeholder"):
        fill(text, {"input": "x"})


@given(st.sampled_from(list(";&|<>$`\\\"'(){}[]*?!#~^\n\r\t\0\x1b")), st.text("ab .-_/", max_size=5))
def test_a_shell_is_spared_what_it_would_act_upon(sign: str, rest: str) -> None:
    for value in (sign + rest, rest + sign):
        with pytest.raises(RequestError, match="FLEET_INPUT"):
            fill("cat {input}", {"input": value}, shell=True)
        assert fill("cat {{input}}", {"input": value}, shell=True) == "cat {input}"
        assert fill("cat {input}", {"input": value}) == "cat " + value


def test_harmless_values_reach_a_shell() -> None:
    assert fill("cat '{input}'", {"input": "a b/c-d_1.2,é=:@%+"}, shell=True) == "cat 'a b/c-d_1.2,é=:@%+'"


def test_what_the_placeholders_stand_for() -> None:
    task = Task("t7", "x", 7, send=(Send("/home/me/logs/a.b.log", "a.b.log"),))
    assert task.places() == {"input": "a.b.log", "name": "a.b.log", "stem": "a.b", "index": "7"}
    assert Task("t1", "x", send=(Send("/x/.rc", ".rc"),)).places()["stem"] == ".rc"


# -- files ----------------------------------------------------------------------------------

WRONG = [
    ("tasks:\n  - id: a\n    task: x\n  - id: a\n    task: y\n", 4, "Two tasks are called 'a'"),
    ("tasks:\n  - {id: first, task: x}\n  - id: b\n    task: x\n    after: [frist]\n", 3, "did you mean first?"),
    ("tasks:\n  - {id: a, task: x}\n\n  - {id: b, task: x, after: c}\n  - {id: c, task: x, after: b}\n", 4, "b after"),
    ("tasks:\n  - {id: a, task: x, after: [a]}\n", 2, "a after a"),
    ("tasks:\n  - {id: a, task: x}\n  - {id: b, task: x, send: [{from: a}]}\n", 3, "must come after it"),
    ("tasks:\n  - {id: reduce, task: x}\n", 2, "is kept"),
    ("tasks:\n  - {id: a/b, task: x}\n", 2, "is no id"),
    ("tasks:\n  - {id: a}\n", 2, "no task"),
    ("tasks:\n  - {task: x, aftr: b}\n", 2, "did you mean after?"),
    ("tasks:\n  - {task: x, retries: 2}\n", 2, "idempotent"),
    ("tasks:\n  - task: x\n    send: [none.txt]\n", 3, "none.txt"),
    ("tasks:\n  - task: x\n    send: [here=a, here=b,\n      there=b]\n", 3, "there=NAME"),
    ("tasks:\n  - {id: b, task: x}\n  - task: x\n    after: b\n    send: [{from: b}, here=b]\n", 5, "the files of b"),
    ("tasks:\n  - task: x\n    where: {each: true}\n", 3, "names no device"),
    ("tasks:\n  - task: x\n    need: some\n", 3, "all, any"),
    ("defaults: {id: x}\ntasks: [{task: x}]\n", 1, "not known"),
]


@pytest.mark.parametrize(("text", "line", "sentence"), WRONG)
def test_a_wrong_file_is_refused_with_its_line(text: str, line: int, sentence: str, tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).touch()
    with pytest.raises(RegistryError) as caught:
        read(Source("tasks.yaml", text, lines=False), tmp_path)
    assert str(caught.value).startswith(f"tasks.yaml:{line}:") and sentence in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ('{"task": ', "This line is no JSON object: Expecting value at column 10."),
        (' {"task": "a\tb"}', "This line is no JSON object: Invalid control character at column 13."),
        ('{"task": "x"} y', "This line is no JSON object: Extra data at column 15."),
        (f'{{"task": "x", "timeout": {"9" * 5000}}}', "no JSON object: a number of 5,000 digits is too long."),
        (f'{{"task": "x", "retries": -{"9" * 5000}}}', "no JSON object: a number of 5,000 digits is too long."),
        ('{"id": "a", "task": "x"}', "Two tasks"),
        ('{"task": "x", "task": "y"}', "twice"),
        ("[1]", "mapping"),
        ('{"task": "x", "after": ["z"]}', "no task here"),
        ('{"task": 3}', "number"),
        ('{"task":' * 90_000, "too deep"),
    ],
)
def test_a_wrong_line_is_named(bad: str, sentence: str, tmp_path: Path) -> None:
    text = f'{{"id": "a", "task": "x"}}\n\n{bad}\n'
    with pytest.raises(RegistryError) as caught:
        read(Source("standard input", text, lines=True), tmp_path)
    assert str(caught.value).startswith("standard input:3") and sentence in str(caught.value)
    assert "line 1" not in str(caught.value)


def test_a_file_of_nothing_is_refused(tmp_path: Path) -> None:
    for text, lines in (("tasks: []\n", False), ("", False), ("\n", True)):
        with pytest.raises(RegistryError, match=r"no task|no list"):
            read(Source("f", text, lines), tmp_path)


def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path: Path) -> None:
    (task,) = read(Source("f", '{"task": "a\u2028b\x85c"}\r\n', lines=True), tmp_path)
    assert task.task == "a\u2028b\x85c"


def test_yaml_and_json_lines_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "in.txt").touch()
    rows = [
        {"id": "a", "task": "x {input}", "send": ["in.txt"], "fetch": ["out"], "where": {"group": ["g"], "each": True}},
        {"task": "y", "after": ["a"], "send": [{"from": "a"}], "need": "any", "expect": ["f"], "timeout": 3},
        {"id": "c", "task": "z", "idempotent": True, "retries": 2, "agent": "shell", "model": "m"},
    ]
    yaml = read(Source("f", json.dumps({"tasks": rows}), lines=False), tmp_path)
    lines = read(Source("f", "\n".join(map(json.dumps, rows)), lines=True), tmp_path)
    assert yaml == lines and [task.id for task in yaml] == ["a", "t2", "c"]
    assert yaml[1].takes == ("a",) and yaml[0].send == (Send(str(tmp_path / "in.txt"), "in.txt"),)


def test_one_thing_needs_no_brackets(tmp_path: Path) -> None:
    (tmp_path / "in.txt").touch()
    text = "tasks:\n  - {id: a, task: x, send: in.txt, fetch: out}\n  - {task: y, after: a, send: {from: a}}\n"
    first, second = read(Source("f", text, lines=False), tmp_path)
    assert (first.send, first.fetch) == ((Send(str(tmp_path / "in.txt"), "in.txt"),), ("out",))
    assert (second.takes, second.after) == (("a",), ("a",))


VALUES = st.one_of(
    st.sampled_from(["t1", "reduce", "..", "a@b", "-x", "shell", "", "  ", "yes", "7", "~", "{x}"]),
    st.just("sk-aB3456789012345678901"),
    st.text(max_size=6),
    st.sampled_from([None, True, 7, 1.5, [], ["a"], {}, {"a": "b"}]),
)


@pytest.mark.parametrize("lines", [True, False], ids=["JSON lines", "YAML"])
@given(row=st.dictionaries(st.sampled_from(["id", "task", "agent", "model", "fetch", "other"]), VALUES, max_size=4))
def test_an_entry_that_says_little_means_what_it_would_at_a_closer_look(lines: bool, row: dict[str, object]) -> None:
    text = json.dumps({"task": "fine", **row})
    source = Source("t.jsonl", text, lines=True) if lines else Source("t.yaml", f"tasks:\n- {text}\n", lines=False)

    assert_same_at_a_closer_look(source)


def assert_same_at_a_closer_look(source: Source) -> None:
    def said() -> object:
        try:
            return read(source, Path())
        except RequestError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_is_plain", lambda _: False)
        slowly = said()
    assert said() == slowly


@pytest.mark.parametrize(
    "text",
    [
        "task: x\n",
        "tasks: {task: x}\n",
        "tasks: [{task: x, task: y}]\n",
        "tasks: [[{task: x}]]\n",
        "tasks: [{task: {task: x}}]\n",
        "tasks: [{task: x, send: {task: x}}]\n",
        "tasks: [{task: x, where: {task: x}}]\n",
        "defaults: {task: x}\ntasks: [{task: x}]\n",
        "defaults: {model: m}\ntasks: [{task: x}]\n",
        "tasks: [&one {task: x}, *one, {id: b, task: y}]\n",
        "tasks: [&one {id: a, task: x}, *one]\n",
        "tasks: [{task: &word x}, {task: *word}]\n",
        "tasks: [{task: x}, {task: !!str y}]\n",
        "tasks: [{task: x}, {id: a, task: |\n  one\n  two\n}]\n",
        'tasks:\n- {id: a, task: "one, two"}\n- {id: b, task: "one", model: m, x}\n',
        "tasks:\n- task: >\n    one\n    two\n- {task: y, after: t1}\n- {task: z, after: t9}\n",
    ],
)
def test_a_file_means_what_it_would_at_a_closer_look(text: str) -> None:
    assert_same_at_a_closer_look(Source("t.yaml", text, lines=False))


WORDS = ("true", "yes", "7", "1e3", "~", "null", "0x1", "hello", "a b", "'7'", '"yes"', "", "&a x", "!b x")


@pytest.mark.parametrize("word", WORDS)
def test_a_plain_word_of_yaml_means_what_it_would_at_a_closer_look(word: str) -> None:
    assert_same_at_a_closer_look(Source("t.yaml", f"tasks:\n- task: {word}\n", lines=False))


def test_defaults_stand_behind_what_a_task_says(tmp_path: Path) -> None:
    text = "defaults: {agent: shell, timeout: 9}\ntasks:\n  - {task: x}\n  - {task: y, timeout: 1}\n"
    first, second = read(Source("f", text, lines=False), tmp_path)
    assert (first.agent, first.timeout, second.agent, second.timeout) == ("shell", 9, "shell", 1)


def test_a_task_for_each_file(tmp_path: Path) -> None:
    for name in ("b", "a", "c/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = each(f"{tmp_path}/**", "x", ["out"])
    names = [(task.id, task.index, task.send[0].name) for task in found]
    assert names == [("t1", 1, "a"), ("t2", 2, "b"), ("t3", 3, "d")]
    with pytest.raises(RequestError, match="names no file"):
        each(f"{tmp_path}/*.none", "x", [])


@pytest.mark.parametrize(
    "pattern",
    "*.log|*|.*|[ab].*|c/*|*/*.log|**|**/*.log|c/**|a.log|none/*|a.log/*|*/|c/|".split("|"),
)
@pytest.mark.parametrize("rooted", [True, False])
def test_the_files_of_a_pattern_are_those_of_a_glob(
    pattern: str, rooted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.log", "b.txt", ".hidden.log", "c/a.log", "c/.b.log", "d.log/e.log", "\udcff.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.log").symlink_to("a.log")
    (tmp_path / "folder.log").symlink_to("c")
    (tmp_path / "broken.log").symlink_to("nowhere")
    (tmp_path / "loop.log").symlink_to("loop.log")
    os.mkfifo(tmp_path / "pipe.log")
    monkeypatch.chdir(tmp_path)
    pattern = f"{tmp_path}/{pattern}" if rooted else pattern
    expected = sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))  # noqa: PTH207
    if expected:
        assert [task.send[0].local for task in each(pattern, "x", [])] == expected
    else:
        with pytest.raises(RequestError, match="names no file"):
            each(pattern, "x", [])


# -- orders and devices ---------------------------------------------------------------------


@given(st.data())
def test_forerunners_come_first(data: st.DataObject) -> None:
    tasks: list[Task] = []
    for number in range(data.draw(st.integers(0, 15))):
        after = data.draw(st.lists(st.sampled_from([t.id for t in tasks]), max_size=4)) if tasks else []
        tasks.append(Task(f"t{number}", "x", after=tuple(after)))
    found = in_order(data.draw(st.permutations(tasks)))
    place = {task.id: number for number, task in enumerate(found)}
    assert set(place) == {task.id for task in tasks}
    assert all(place[name] < place[task.id] for task in tasks for name in task.after)


def test_once_on_every_device() -> None:
    tasks = [
        Task("a", "x", where=Where(group=("g",), each=True)),
        Task("b", "x", after=("a",), takes=("a",)),
    ]
    found = spread(tasks, {"a": ("d1", "d2"), "b": ("d1",)})
    assert [(task.id, task.devices) for task in found] == [("a@d1", ("d1",)), ("a@d2", ("d2",)), ("b", ("d1",))]
    assert found[2].after == found[2].takes == ("a@d1", "a@d2")


def test_a_copy_for_a_device_and_a_task_called_so_are_refused() -> None:
    tasks = [Task("a", "x", 1, where=Where(group=("g",), each=True)), Task("a@d2", "x", 2)]
    with pytest.raises(TaskError, match="'a@d2'") as caught:
        spread(tasks, {"a": ("d1", "d2"), "a@d2": ("d1",)})
    assert caught.value.number == 1


def test_tasks_are_the_same_after_they_were_written_down(tmp_path: Path) -> None:
    task = Task("a@d", "x", 3, "shell", "m", 2.5, (Send(str(tmp_path / "f"), "f"),), ("b",), ("o",), ("e",),
                Where(("d",), ("g",), ("t",), True), True, 2, ("b",), "any", ("d", "e"))  # fmt: skip
    tasks = (Task("b", "y", devices=("d", "e")), task, Task("c", "", need="ended", after=("b",), devices=("f",)))
    assert tasks_of(json.loads(json.dumps(task_rows(tasks)))) == tasks


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., tuple[Fleet, Batch]]:
    """Prepares tasks for a fleet of eight devices that nobody reaches."""
    path = tmp_path / "fleet.yaml"
    path.write_text("devices: {'d[1-8]': me@127.0.0.1}\n")
    fleet = Fleet.load(path)

    def prepare(tasks: list[Task], agent: str = "shell", parallel: int = 8) -> tuple[Fleet, Batch]:
        devices, bounds = fleet.choose(Targets(all=True)), Bounds(parallel=parallel)
        return fleet, batching.prepare(fleet, tasks, devices, Wish(agent=agent), bounds, None)

    return prepare


def test_waves_of_a_dry_run(prepared: Callable[..., tuple[Fleet, Batch]]) -> None:
    tasks = [Task("z", "x", after=("a0",)), *(Task(f"a{n}", "x") for n in range(5)), Task("y", "x", after=("z",))]
    waves = {row.id: row.wave for row in _rows(*prepared(tasks, parallel=2))}
    assert waves == {"a0": 1, "a1": 1, "a2": 2, "a3": 2, "a4": 3, "z": 3, "y": 4}


def test_a_dry_run_of_many_tasks_does_not_look_at_each_wave(
    prepared: Callable[..., tuple[Fleet, Batch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    able = Fleet.able

    def asking(self: Fleet, device: Device, wish: Wish) -> Part:
        asked.append(device.name)
        return able(self, device, wish)

    monkeypatch.setattr(Fleet, "able", asking)
    rows = list(_rows(*prepared([Task(f"t{n}", "echo {index}") for n in range(10_000)], parallel=1)))
    assert [row.wave for row in rows] == list(range(1, 10_001))
    assert len(asked) <= 2 * 8, "a device's agent is looked up once, not for every task"


def test_what_cannot_begin_is_refused_before_anything_does(prepared: Callable[..., tuple[Fleet, Batch]]) -> None:
    good = Task("good", "x")
    wrong: list[tuple[Task, str]] = [
        (Task("bad", "{inptu}"), "bad: {inptu} is no placeholder"),
        (Task("bad", "x {input}", send=(Send("/x/a;b", "a;b"),)), "FLEET_INPUT"),
        (Task("bad", "x", agent="shel"), "shell"),
        (Task("bad", "x", fetch=("a=../b",)), "would leave"),
    ]
    for task, sentence in wrong:
        with pytest.raises(RequestError) as caught:
            prepared([good, task])
        assert str(caught.value).startswith("The task bad: ") and sentence in str(caught.value)


def test_a_secret_is_asked_for_each_kind_of_task(prepared: Callable[..., tuple[Fleet, Batch]]) -> None:
    fleet, batch = prepared([Task("a", "x"), Task("b", "x"), Task("c", "x", agent="demo"), Task("d", "x", model="m")])
    samples = list(batching.chores(fleet, batch).samples(batch.tasks))
    assert len(samples) == 3 * 8 and {job.agent for _, job in samples} == {"shell", "demo"}
