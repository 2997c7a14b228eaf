"""The command line as people meet it: under ``fab``, ``inv`` and ``fleet``, alone and in chains."""

from __future__ import annotations

import dataclasses
import getpass
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke import Collection, Config, Context, Exit

import fleet_tasks
from fleet_tasks import Connecting, Output, Targets, cli, commands, settings
from fleet_tasks import program as start
from fleet_tasks.options import NewDevice
from tests import warm
from tests.bench import PATIENCE, Bench
from tests.bench.fleet import ROOT
from tests.program import Said, fleet

PROGRAMS = ("fab", "inv", "fleet")
REGISTRY = """\
devices:
  deck: deck@127.0.0.1
  lab[01-03]: 127.0.0.1
groups: {handhelds: [deck]}
"""


def program(name: str, *words: str, cwd: Path, **variables: str) -> Said:
    """One of the three programs in a folder; ``fab`` and ``inv`` find the tasks that are put there."""
    (cwd / "fabfile.py").write_text("from fleet_tasks.tasks import namespace\n")
    (cwd / "tasks.py").write_text("from fleet_tasks.tasks import namespace\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    if name == "fleet":
        done = warm.run(words, env, cwd, 60)
    else:
        done = subprocess.run(
            [Path(sys.executable).with_name(name), *words],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a registry of devices that nobody reaches."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "fleet.yaml").write_text(REGISTRY)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def typed(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """``fleet WORDS`` in this process, which is quicker; it may not run anything remote."""

    def type_(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["fleet", *words])
        with pytest.raises(SystemExit) as caught:
            start.main()
            raise SystemExit(0)
        said = capfd.readouterr()
        code = caught.value.code
        return Said(code if isinstance(code, int) else 0, said.out, said.err)

    monkeypatch.setattr(commands, "_fleets", {})
    return type_


# -- what cannot be meant -------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "-d", "dekc", "--task", "x"), "There is no device 'dekc'; did you mean deck?\n"),
        (("dispatch", "--all", "--task", "x", "-a", "shel"), "There is no agent 'shel'; did you mean shell?\n"),
        (("run", "--all", "--task", "x", "-j", "abc"), "--parallel wants a whole number from 1, not 'abc'.\n"),
        (("teardown",), "No device is chosen: name some with -d or -g, or say --all.\n"),
    ],
)
def test_a_wrong_word_is_one_sentence_and_exit_2(
    name: str, words: tuple[str, ...], sentence: str, place: Path
) -> None:
    assert program(name, *words, cwd=place) == Said(2, "", sentence)


@pytest.mark.parametrize(
    "words",
    [
        "device.list -f yaml", "device.list --output /nonexistent/x", "device.list --registry /nonexistent.yaml",
        "status --registry .", "dispatch --all", "dispatch --all --task=", "run -d= --task x", "run --all -x= --task x",
        "run -d lab01 --task x --any 0", "run -d lab01 --task x -j 0", "run -d lab01 --task x --retries -1",
        "run -d lab01 --task x --max-failures 101%", "run -d lab01 --task x --deadline 0",
        "run -d lab01 --task x --cleanup --no-cleanup", "run -d lab01 --task x --task-file fleet.yaml",
        "run -d lab01 --task-file nowhere", "run -d lab01 --task-file .", "run -d lab01 --task-file -",
        "run -d lab[1- --task x", "run -d lab[2-1] --task x", "run -d lab[1-99999999] --task x", "run -d z* --task x",
        "run -d user@host:0 --task x", "run -d ../.. --task x", "run -d a\x1b[31mb --task x", "run -d \udcff --task x",
        "run -d 日本 --task x", "run -d all --task x", "run -g all --task x", "run --all -x nope --task x",
        "run --tag nope --task x", "run --all -x lab[01-03],deck --task x", "run --all --task x --send /nonexistent",
        "dispatch --all --task x -a shell --provider nope", "put --all", "get --all", "history.show",
        "history.show --run nope", "history.prune", "history.prune --older-than 5parsecs", "history --limit 0",
        "agent.show", "agent.show -n nope", "-H a,b run --task x", "-H= run --task x", "-H a:b run --task x",
        "-H a run -d deck --task x", "-t abc -H a run --task x", "-i= run -d deck --task x",
    ],
)  # fmt: skip
def test_nonsense_is_refused_before_anything_is_begun(words: str, typed: Callable[..., Said]) -> None:
    said = typed(*words.split(" "))
    assert (said.code, said.stdout) == (2, "")
    assert len(said.stderr.splitlines()) == 1
    assert said.stderr.rstrip("\n").isprintable()
    assert "fleet.yaml:" not in said.stderr


def test_a_registry_drives_no_terminal(typed: Callable[..., Said], place: Path) -> None:
    (place / "evil.yaml").write_text('version: 1\ndevices: {"a\\e]0;owned\\a\\r\\u202e": deck}\n')
    said = typed("device.list", "--registry", "evil.yaml")
    assert (said.code, said.stdout) == (2, "")
    assert said.stderr.rstrip("\n").isprintable() and "is no name" in said.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("dispatch --task -x", "--task wants a value. A task that is itself a flag goes in by --task-file -."),
        ("dispatch --task=--all", "--task wants a value. A task that is itself a flag goes in by --task-file -."),
        ("teardown -x --all", "--exclude wants a value."),
        ("dispatch --grop", "dispatch has no flag --grop; did you mean --group?"),
        ("dispatch -q", "dispatch has no flag -q."),
        ("--nonsense", "fleet has no flag --nonsense."),
        ("statsu", "There is no command 'statsu'; did you mean status?"),
        ("help statsu", "There is no command 'statsu'; did you mean status?"),
        ("dispatch words", "There is no command 'words'; fleet --list names them. A value with blanks wants quotes."),
        ("--list nonsense", "Sub-collection 'nonsense' not found!"),
        ("--list --list-format yaml", "--list-format is one of flat, nested and json."),
        ("-T soon status", "A flag before the command wants a whole number, not 'soon'."),
        ("status -- uname", "Nothing is done with what stands after --; a task goes in by --task."),
        ("-f /nonexistent.yaml status", "There is no settings file /nonexistent.yaml."),
        ("run --all --task x --task y", "--task is there twice; say it once."),
        ("run --all -j 1 -j 2 --task x", "-j is there twice; say it once."),
        ("status --all check --all chek", "There is no command 'chek'; did you mean check?"),
        ("run --all --task x y", "There is no command 'y'; fleet --list names them. A value with blanks wants quotes."),
        ("-f json status", "-f before the command names a settings file, .yaml or .json; a format stands behind it."),
    ],
)
def test_what_cannot_be_parsed_is_exit_2_under_fleet(words: str, sentence: str, typed: Callable[..., Said]) -> None:
    assert typed(*words.split()) == Said(2, "", sentence + "\n")


@pytest.mark.parametrize("name", ["fab", "inv"])
def test_a_list_flag_without_its_value_is_not_passed_over(name: str, place: Path) -> None:
    """Of ``-x $KEEP --all``, with KEEP unset, --all must not be left."""
    said = program(name, "--dry", "teardown", "-x", "--all", cwd=place)
    assert (said.code, said.stdout) == (1, "")


def test_fleet_alone_and_fleet_help_show_how_it_is_used(typed: Callable[..., Said]) -> None:
    alone = typed()
    assert alone.code == 0
    assert "Usage: fleet" in alone.stdout
    assert typed("help") == alone
    helped = typed("help", "dispatch")
    assert helped.code == 0
    assert "--task" in helped.stdout
    assert typed("dispatch", "--help") == helped
    assert typed("--version").stdout == f"fleet {fleet_tasks.__version__}\n"


def test_ctrl_c_when_all_is_done_is_no_traceback(place: Path) -> None:
    late = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    start = late + "import sys; sys.argv[1:] = ['--version']; from fleet_tasks.__main__ import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", start], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, ""), done.stderr
    assert done.stdout == f"fleet {fleet_tasks.__version__}\n"


def test_a_reader_who_leaves_is_no_error(place: Path) -> None:
    both = f"{sys.executable} -m fleet_tasks --list | head -1"
    done = subprocess.run(
        both, shell=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("Subcommands:\n", "")


@pytest.mark.parametrize(
    ("words", "closed", "sentence"),
    [
        ("run -d deck --task-file -", "<&-", "--task-file - reads standard input, and that is closed."),
        ("device.list", ">/dev/full", "The results cannot be written: No space left on device."),
        ("--list", ">/dev/full", "No space left on device."),
    ],
)
def test_streams_that_are_no_use_are_one_sentence(words: str, closed: str, sentence: str, place: Path) -> None:
    typed = f'"$1" -m fleet_tasks {words} {closed}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", typed, "sh", sys.executable], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode in (1, 2), done.stdout, done.stderr) == (True, "", sentence + "\n")


def test_a_closed_output_is_no_hindrance(bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    bench.registry(tmp_path / "fleet.yaml", ["deck"])
    typed = '"$1" -m fleet_tasks run -d deck --task "touch here; pwd > \\$HOME/there" >&-'
    done = subprocess.run(
        ["sh", "-c", typed, "sh", sys.executable], cwd=tmp_path, env=bench.environment(), timeout=60, check=False
    )
    assert done.returncode == 0
    assert (deck.home / "there").exists()


def test_work_whose_results_cannot_be_written_is_ended(bench: Bench, tmp_path: Path) -> None:
    quick, slow = bench.devices("quick", "slow")
    bench.registry(tmp_path / "fleet.yaml", ["quick", "slow"])
    task = 'test "$FLEET_DEVICE" = quick || sleep 600'
    command = ["sh", "-c", '"$@" >/dev/full', "sh", sys.executable, "-m", "fleet_tasks", "run", "--all", "-f", "jsonl"]
    environment = bench.environment()
    done = subprocess.run(
        [*command, "--task", task], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "The results cannot be written: No space left on device.\n")
    assert quick.quiet()
    assert slow.quiet()


def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    words = ["sh", "-c", 'cd gone && rmdir ../gone && exec "$1" -m fleet_tasks status', "sh", sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    sentence = "The folder that this was started in is gone; go to another one.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


# -- one device by -H, and a look ahead -----------------------------------------------------


@pytest.mark.parametrize("name", ["fab", "fleet"])
def test_several_hosts_are_refused_and_told_the_other_way(name: str, place: Path) -> None:
    sentence = "-H takes one device here; for several at once use -d a,b.\n"
    assert program(name, "-H", "a,b", "dispatch", "--task", "x", cwd=place) == Said(2, "", sentence)


@pytest.mark.parametrize("name", ["fab", "fleet"])
def test_one_host_is_visited_without_a_registry(name: str, bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    host = f"{deck.user}@{deck.host}:{deck.port}"
    words = ("-H", host, "-i", str(bench.key), "-t", "20", "run", "--task", "echo $HOME", "-f", "json")
    said = program(name, *words, cwd=tmp_path)
    assert said.code == 0, said.stderr
    assert [(entry["device"], entry["stdout"]) for entry in said.results] == [(host, f"{deck.home}\n")]
    assert bench.logins() == 1


def test_a_host_that_has_a_name_is_that_device(typed: Callable[..., Said]) -> None:
    assert "deck@127.0.0.1" in typed("--dry", "-H", "deck", "run", "--task", "x").stdout


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("words", [("--dry", "run", "--all"), ("run", "--all", "--dry"), ("run", "--dry", "--all")])
def test_a_dry_run_shows_the_plan_and_opens_no_connection(
    name: str, words: tuple[str, ...], bench: Bench, tmp_path: Path
) -> None:
    bench.registry(tmp_path / "fleet.yaml", ["one", "two"])
    said = program(name, *words, "--task", "touch here", "-f", "json", cwd=tmp_path)
    assert said.code == 0, said.stderr
    assert [row["device"] for row in said.document["plan"]] == ["one", "two"]
    assert bench.log().count("Connection from") + bench.logins() == 0


def test_a_dry_run_does_not_ask_who_is_best(bench: Bench, tmp_path: Path) -> None:
    bench.registry(tmp_path / "fleet.yaml", ["one", "two"])
    said = fleet(bench, "--dry", "run", "--all", "--any", "1", "--task", "true", "-f", "json", cwd=tmp_path)
    assert said.code == 0, said.stderr
    assert len(said.document["plan"]) == 2
    assert "--any 1: a fresh status would choose among these." in said.stderr
    assert fleet(bench, "--dry", "ps", cwd=tmp_path).code == 0
    assert bench.log().count("Connection from") + bench.logins() == 0


@pytest.mark.parametrize(
    "words", ["init --registry new.yaml", "device.add -n x --host x", "device.remove -n deck",
              "group.delete -n handhelds", "history.prune --keep 1", "demo"],
)  # fmt: skip
def test_what_has_no_dry_run_says_so_and_does_nothing(words: str, typed: Callable[..., Said], place: Path) -> None:
    assert typed("--dry", *words.split()) == Said(2, "", "This command has no dry run; nothing was changed.\n")
    assert (place / "fleet.yaml").read_text() == REGISTRY
    assert not (place / "new.yaml").exists()


# -- chains ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["inv", "fab"])
def test_a_chain_opens_each_connection_once(name: str, bench: Bench, tmp_path: Path) -> None:
    devices = bench.devices("one", "two", "three")
    bench.registry(tmp_path / "fleet.yaml", ["one", "two", "three"], groups={"lab": ["one", "two", "three"]})
    words = "deploy -g lab -a demo dispatch -g lab -a demo --task hello teardown -g lab -a demo --verify"
    said = program(name, *words.split(), cwd=tmp_path)
    assert said.code == 0, said.stderr
    assert [said.stderr.count(f"{word}: 3 done") for word in ("deploy", "dispatch", "teardown")] == [1, 1, 1]
    assert bench.logins() == 3
    assert all(device.quiet() for device in devices)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_command_that_is_given_twice_is_done_twice(name: str, bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    bench.registry(tmp_path / "fleet.yaml", ["deck"])
    twice = ("run", "-d", "deck", "--task", 'echo again >> "$HOME/times"') * 2
    said = program(name, *twice, cwd=tmp_path)
    assert said.code == 0, said.stderr
    assert (deck.home / "times").read_text() == "again\nagain\n"
    assert bench.logins() == 1


@pytest.mark.parametrize("name", ["inv", "fleet"])
def test_a_command_that_fails_ends_the_chain(name: str, bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    bench.registry(tmp_path / "fleet.yaml", ["deck"])
    failing = ("run", "-d", "deck", "--task", "exit 3")
    said = program(name, *failing, "run", "-d", "deck", "--task", 'touch "$HOME/second"', cwd=tmp_path)
    assert said.code == 1
    assert not (deck.home / "second").exists()


def test_a_chain_reads_a_registry_that_it_changed(typed: Callable[..., Said]) -> None:
    adding = ("device.add", "-n", "new", "--host", "127.0.0.1")
    said = typed("device.list", *adding, "device.list", "-d", "new", "-f", "json")
    assert said.code == 0, said.stderr
    assert '"name": "new"' in said.stdout


# -- refusals and ends ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "said_there"),
    [("FLEET_ENABLED", "0"), ("FLEET_TASK_ID", "t1"), (None, "enabled: false\n")],
    ids=["switched off", "nested", "off in the registry"],
)
def test_what_is_switched_off_connects_nowhere(
    variable: str | None, said_there: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = bench.registry(tmp_path / "fleet.yaml", ["deck"])
    if variable:
        monkeypatch.setenv(variable, said_there)
    else:
        registry.write_text(registry.read_text() + said_there)
    said = fleet(bench, "run", "-d", "deck", "--task", "true", "-f", "json", cwd=tmp_path)
    assert (said.code, said.stdout, len(said.stderr.splitlines())) == (2, "", 1)
    assert bench.logins() == 0
    assert fleet(bench, "device.list", cwd=tmp_path).code == 0


def test_nobody_reached_is_exit_3(place: Path) -> None:
    words = ("run", "-d", f"{getpass.getuser()}@127.0.0.1:1", "--task", "true", "--retries", "0", "-f", "json")
    said = program("fleet", *words, cwd=place)
    assert said.code == 3
    assert [(entry["state"], entry["attempts"]) for entry in said.results] == [("unreachable", 1)]


def test_when_nobody_can_be_chosen_it_is_said_why(place: Path) -> None:
    nobody = f"{getpass.getuser()}@127.0.0.1:1,{getpass.getuser()}@127.0.0.1:2"
    said = program("fleet", "run", "-d", nobody, "--any", "1", "--task", "true", "--retries", "0", cwd=place)
    assert (said.code, said.stdout) == (3, "")
    assert said.stderr.count("Connection refused") == 2
    assert said.stderr.endswith("No device could be reached, so none can be chosen.\n")


@pytest.mark.parametrize("name", PROGRAMS)
def test_ctrl_c_is_exit_130(name: str, bench: Bench, tmp_path: Path) -> None:
    deck = bench.device("deck")
    bench.registry(tmp_path / "fleet.yaml", ["deck"])
    (tmp_path / "fabfile.py").write_text("from fleet_tasks.tasks import namespace\n")
    (tmp_path / "tasks.py").write_text("from fleet_tasks.tasks import namespace\n")
    command = [sys.executable, "-m", "fleet_tasks"] if name == "fleet" else [str(Path(sys.executable).with_name(name))]
    words = ("run", "-d", "deck", "--task", 'echo begun > "$HOME/begun"; sleep 600')
    with subprocess.Popen(
        [*command, *words], cwd=tmp_path, env=bench.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert wait_for(deck.home / "begun")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert b"Traceback" not in err
    assert deck.quiet()


def wait_for(path: Path, seconds: float = 30) -> bool:
    """Whether a file appears, and holds something, within so many seconds."""
    until = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_ctrl_c_within_any_command_is_exit_130() -> None:
    @cli.task
    def interrupted(c: Context) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Exit) as caught:
        interrupted(Context())
    assert caught.value.code == 130


# -- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "file", "prefix"), [("fab", "fabric", "FABRIC"), ("fleet", "fabric", "FABRIC"),
                                                      ("inv", "invoke", "INVOKE")])  # fmt: skip
def test_settings_stand_behind_flags(name: str, file: str, prefix: str, place: Path) -> None:
    look = ("--dry", "dispatch", "-d", "deck", "--task", "x")
    (place / f"{file}.yaml").write_text("fleet: {agent: shell, format: json, timeout: 7}\n")
    said = program(name, *look, cwd=place).document["plan"][0]
    assert (said["agent"], said["timeout"]) == ("shell", 7)

    nearer = {f"{prefix}_FLEET_AGENT": "demo", f"{prefix}_FLEET_TIMEOUT": "8"}
    said = program(name, *look, cwd=place, **nearer).document["plan"][0]
    assert (said["agent"], said["timeout"]) == ("demo", 8)

    said = program(name, *look, "-a", "shell", "--timeout", "9", cwd=place, **nearer).document["plan"][0]
    assert (said["agent"], said["timeout"]) == ("shell", 9)


@pytest.mark.parametrize(
    ("setting", "variables", "sentence"),
    [
        ("parallel: many", {}, "The setting fleet.parallel wants a whole number from 1, not 'many'."),
        ("paralel: 3", {}, "There is no setting fleet.paralel; did you mean parallel?"),
        ("quiet: false", {"FABRIC_FLEET_RETRIES": "-1"}, "FABRIC_FLEET_RETRIES wants a whole number from 0, not '-1'."),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(
    setting: str, variables: dict[str, str], sentence: str, place: Path
) -> None:
    (place / "fabric.yaml").write_text(f"fleet: {{{setting}}}\n")
    said = program("fleet", "--dry", "run", "--all", "--task", "x", cwd=place, **variables)
    assert said == Said(2, "", sentence + "\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fleet: 3", "The settings cannot be read: 3 stands where names with values belong."),
        ("run: [1]", "The settings cannot be read: [1] stands where names with values belong."),
        ("fleet: {agent: {a: 1}}", "The settings cannot be read: names with values stand where one value belongs."),
        ("fleet: {5: 3}", "FILE wants names with values, as every file of settings."),
        ("just words", "FILE wants names with values, as every file of settings."),
        ("[1, 2]", "FILE wants names with values, as every file of settings."),
        ("fleet: [: 3", "FILE cannot be read: while parsing"),
        ("connect_kwargs: {key_filename: 5}", "The setting connect_kwargs.key_filename wants a key file, or a list"),
    ],
)
def test_settings_that_cannot_be_read_are_one_sentence(
    text: str, sentence: str, place: Path, typed: Callable[..., Said]
) -> None:
    (place / "fabric.yaml").write_text(text)
    said = typed("--dry", "run", "--all", "--task", "x")
    assert (said.code, said.stdout, len(said.stderr.splitlines())) == (2, "", 1)
    assert said.stderr.startswith(sentence.replace("FILE", str(place / "fabric.yaml")))


@pytest.mark.parametrize(
    ("file", "text"), [(".fabric.yaml", "[1]"), (".fabric.json", '{"fleet":'), (".fabric.py", "raise KeyError(1)")]
)
def test_a_users_own_settings_that_cannot_be_read_are_one_sentence(file: str, text: str, place: Path) -> None:
    (place / file).write_text(text)
    said = program("fleet", "device.list", cwd=place, HOME=str(place))
    assert (said.code, said.stdout, len(said.stderr.splitlines())) == (2, "", 1)
    assert said.stderr.startswith(str(place / file))


@pytest.mark.parametrize("text", ["connect_kwargs: words", "connect_kwargs: {key_filename: {a: 1}}"])
def test_what_inv_lets_through_is_one_sentence(text: str, place: Path) -> None:
    (place / "invoke.yaml").write_text(text)
    said = program("inv", "--dry", "run", "--all", "--task", "x", cwd=place)
    assert (said.code, said.stdout, len(said.stderr.splitlines())) == (2, "", 1)


@pytest.mark.parametrize(("name", "file"), [("fab", "fabric.yaml"), ("fleet", "fabric.yaml"), ("inv", "invoke.yaml")])
def test_a_registry_in_the_settings_counts_from_their_file(name: str, file: str, place: Path) -> None:
    (place / "lists").mkdir()
    (place / "fleet.yaml").rename(place / "lists" / "mine.yaml")
    inner = place / "inner"
    inner.mkdir()
    (place / file).write_text("fleet: {registry: lists/mine.yaml}\n")
    if name != "fleet":  # its tasks are looked for upwards, and its settings beside them
        program(name, "--list", cwd=place)
        done = subprocess.run(
            [Path(sys.executable).with_name(name), "device.show", "-n", "deck"],
            cwd=inner, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert program(name, "device.show", "-n", "deck", cwd=inner).code == 0
    wrong = program(name, "device.show", "-n", "deck", cwd=inner, FABRIC_FLEET_REGISTRY="lists/mine.yaml")
    assert (wrong.code, f"There is no {inner}/lists/mine.yaml." in wrong.stderr) == (2, True)


def test_a_strangers_settings_are_not_picked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fabric.yaml").write_text("fleet: {registry: /elsewhere.yaml}\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert settings.project(inner) == tmp_path
    tmp_path.chmod(0o1777)
    assert settings.project(inner) == tmp_path
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert settings.project(inner) is None


def told(record: type, name: str, **fleet: Any) -> Any:
    """What settings say about one option."""
    field = next(each for each in dataclasses.fields(record) if each.name == name)
    return settings.default(Context(Config(overrides={"fleet": fleet})), record, field)


def test_the_environments_registry_goes_before_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(fleet_tasks.Where, "registry", registry="there.yaml") == "there.yaml"
    monkeypatch.setenv("FLEET_REGISTRY", "here.yaml")
    assert told(fleet_tasks.Where, "registry", registry="there.yaml") is None


def test_fabs_own_patience_goes_before_a_setting_and_behind_the_flag() -> None:
    seen: list[float | None] = []

    @cli.task
    def look(c: Context, connecting: Connecting) -> None:
        seen.append(connecting.connect_timeout)

    patient = Context(Config(overrides={"fleet": {"connect_timeout": 3}, "connect_kwargs": {"timeout": 7}}))
    look(patient)
    look(patient, connect_timeout="9")
    look(Context(Config(overrides={"fleet": {"connect_timeout": 3}})))
    assert seen == [7, 9, 3]


def test_what_is_written_down_is_never_a_setting() -> None:
    assert told(fleet_tasks.Agency, "agent", agent="shell") == "shell"
    assert told(NewDevice, "agent", agent="shell") is None
    with pytest.raises(fleet_tasks.RequestError, match=r"There is no setting fleet\.device"):
        told(Output, "format", device="deck")


def test_every_setting_is_a_flag() -> None:
    flags = {field.name for record in settings.RECORDS for field in dataclasses.fields(record)}
    assert set(settings.NAMES) <= flags


# -- records and Python callers -------------------------------------------------------------


def test_records_become_flags_and_flags_become_records() -> None:
    seen: list[tuple[Targets, Connecting]] = []

    @cli.task
    def look(c: Context, targets: Targets, connecting: Connecting) -> None:
        seen.append((targets, connecting))

    names = {name for argument in look.get_arguments() for name in argument.names}
    assert {"device", "d", "group", "g", "all", "exclude", "x", "parallel", "j", "connect-timeout"} <= names
    look(Context(), device=["a,b"], all=True, connect_timeout="3")
    look(Context(), targets=Targets(group=("lab",)))
    assert seen == [
        (Targets(device=("a", "b"), all=True), Connecting(connect_timeout=3.0)),
        (Targets(group=("lab",)), Connecting()),
    ]


def test_a_flag_called_like_its_record_is_a_flag() -> None:
    seen: list[Output] = []

    @cli.task
    def look(c: Context, output: Output) -> None:
        seen.append(output)

    look(Context(), output="file.json", format="json")
    look(Context(), output=Output(quiet=True))
    assert seen == [Output(format="json", output="file.json"), Output(quiet=True)]


def test_no_command_takes_positionals_or_guesses_short_flags() -> None:
    def every(collection: Collection) -> list[cli.FleetTask]:
        inner = [task for one in collection.collections.values() for task in every(one)]
        return [*collection.tasks.values(), *inner]

    tasks = every(fleet_tasks.namespace)
    assert len(tasks) > 20
    for each in tasks:
        assert not any(argument.positional for argument in each.get_arguments())
    shorts: dict[str, set[str]] = {}
    for each in tasks:
        for argument in each.get_arguments():
            for short in argument.nicknames:
                shorts.setdefault(short, set()).add(argument.names[0])
    assert {short: names for short, names in shorts.items() if len(names) > 1} == {}


# -- what starting costs --------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--list"], ["device.list"], ["history"], ["--version"]])
def test_a_look_loads_nothing_heavy(words: list[str], place: Path) -> None:
    asked = f"import sys; sys.argv[1:] = {words}; from fleet_tasks.program import main"
    look = f"{asked}\ntry: main()\nfinally: print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", look], cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert not loaded & {"paramiko", "fabric", "rich", "asyncssh", "tenacity", "cryptography"}
