from __future__ import annotations

import os
import pickle
import time
from importlib import resources
from pathlib import Path

import pytest

from fleet_tasks.devices import Endpoint
from fleet_tasks.errors import Refused, RegistryError, RequestError
from fleet_tasks.registry import WELL_KNOWN, Registry, find, load, write_template
from fleet_tasks.registry.reading import read

CANARY = "sk-Canary0123456789abcdefABCDEF"


def reg(text: str, agents: tuple[str, ...] | None = None) -> Registry:
    return read(text, "fleet.yaml", agents=agents)


def refusal(text: str, agents: tuple[str, ...] | None = None) -> str:
    with pytest.raises(RegistryError) as caught:
        reg(text, agents)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


LIMITS = {"picoclaw": ("max_tokens", "temperature"), "clio": (), "stranger": None}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("agents: {picoclaw: {limits: {max_token: 1}}}", "picoclaw has no limit 'max_token'; did you mean max_tokens?"),
        ("agents: {picoclaw: {limits: {x: 1}}}", "picoclaw has no limit 'x'; known are max_tokens, temperature."),
        ("agents: {clio: {limits: {max_tokens: 1}}}", "clio has no limit 'max_tokens'; it has none at all."),
        ("agents: {mine: {dispatch: x, limits: {speed: 1}}}", "mine has no limit 'speed'; it has none at all."),
        ("defaults: {limits: {temprature: 1}}", "There is no limit 'temprature'; did you mean temperature?"),
        ("devices: {a: {host: h, limits: {x: 1}}}", "There is no limit 'x'; known are max_tokens, temperature."),
    ],
)
def test_limits_that_no_agent_has(text: str, says: str) -> None:
    with pytest.raises(RegistryError) as caught:
        read(f"version: 1\n{text}", "fleet.yaml", agents=("picoclaw", "clio"), limits=LIMITS.__getitem__)
    place, _, sentence = str(caught.value).partition(": ")
    path, _, sentence = sentence.partition(": ")
    assert (place, ".limits." in path, sentence) == ("fleet.yaml:2", True, says)


def test_limits_that_somebody_may_have() -> None:
    text = "defaults: {limits: {max_tokens: 1}}\nagents: {picoclaw: {limits: {temperature: 0}}}"
    assert read(text, "f", agents=("picoclaw", "clio"), limits=LIMITS.__getitem__).agents["picoclaw"].limits
    assert read("defaults: {limits: {any: 1}}", "f", agents=LIMITS, limits=LIMITS.__getitem__).defaults.device.limits
    assert reg("agents: {clio: {limits: {any: 1}}}").agents["clio"].limits


@pytest.mark.parametrize(
    ("written", "read_as"),
    [("git >= 1.10", "git>=1.10"), ("git>=1.10", "git>=1.10"), ("git", "git"), ("perl:JSON::PP", "perl:JSON::PP")],
)
def test_what_an_agent_needs(written: str, read_as: str) -> None:
    assert reg(f"agents: {{mine: {{dispatch: x, needs: ['{written}']}}}}").agents["mine"].needs == (read_as,)


@pytest.mark.parametrize("written", ["two words", "git > 1", "git >= new", "-x", "perl: JSON", "$(x)"])
def test_what_no_agent_can_need(written: str) -> None:
    said = refusal(f"agents: {{mine: {{dispatch: x, needs: ['{written}']}}}}")
    assert "agents.mine.needs[0]: must be a program" in said


# -- what it understands --------------------------------------------------------------------


def test_the_example_of_the_repository_and_the_template_are_valid() -> None:
    root = Path(__file__).parent.parent
    example = load(root / "fleet.yaml", agents=("picoclaw", "clio", "shell"))
    assert example.groups["everyone"].devices[:3] == ("steam-deck", "legion-go", "build")
    assert len(example.groups["workers"].devices) == 21
    template = resources.files("fleet_tasks.registry").joinpath("template.yaml").read_text()
    assert reg(template).devices == {}


def test_every_suggestion_of_the_template_is_valid() -> None:
    text = resources.files("fleet_tasks.registry").joinpath("template.yaml").read_text()
    head, _, rest = text.partition("version: 1\n")
    lines = [line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in rest.splitlines()]
    full = "\n".join(lines).replace("[steam-deck, legion-go]", "[steam-deck]")
    registry = reg(head + "version: 1\n" + full)
    assert registry.groups["everyone"].devices[-1] == "root@10.0.0.7"
    assert registry.devices["build"].jump == (Endpoint("bastion", "admin"),)


def test_short_form_long_form_and_defaults() -> None:
    registry = reg(
        """
        defaults: {user: deck, port: 2022, agent: clio, timeout: 60, tags: [all-of-them], env: {A: "1"}}
        devices:
          a: deck2@a.local:2200
          b: b.local
          c: {host: "root@c.local", tags: [x], slots: 2, timeout: 5, cleanup: yes, env: {B: "2"},
              limits: {max_tokens: 9}}
          d: "[::1]:22"
          e: 2001:db8::1
        """
    )
    a, b, c, d, e = registry.devices.values()
    assert (a.host, a.user, a.port) == ("a.local", "deck2", 2200)
    assert (b.host, b.user, b.port, b.agent, b.tags) == ("b.local", "deck", 2022, "clio", ("all-of-them",))
    assert (c.user, c.port, c.tags, c.slots) == ("root", 2022, ("x",), 2)
    assert (c.timeout, c.cleanup, c.env, c.limits) == (5.0, True, {"B": "2"}, {"max_tokens": 9})
    assert (d.host, d.port, e.host) == ("::1", 22, "2001:db8::1")
    assert b.timeout is None and b.env == {}


def test_settings_go_from_defaults_over_the_agent_to_the_device() -> None:
    registry = reg(
        """
        defaults: {timeout: 1, model: m1, provider: openai, cleanup: true, env: {A: d, B: d, C: d},
                   limits: {x: 1, y: 1}}
        agents: {clio: {timeout: 2, model: m2, cleanup: false, env: {B: a, C: a}, limits: {y: 2}}}
        devices:
          own: {host: h, model: m3, env: {C: v}}
          bare: h
        """
    )
    own = registry.settings(registry.devices["own"], "clio")
    assert (own.provider, own.model, own.timeout, own.cleanup) == ("openai", "m3", 2.0, False)
    assert own.env == {"A": "d", "B": "a", "C": "v"} and own.limits == {"x": 1, "y": 2}
    other = registry.settings(registry.devices["bare"], "picoclaw")
    assert (other.model, other.timeout, other.cleanup) == ("m1", 1.0, True)


def test_a_range_makes_a_device_of_each_name() -> None:
    registry = reg('devices: {"lab[01-03]": {host: "deck@{name}.lab:22", key: "~/.ssh/{name}", tags: [lab]}}')
    assert list(registry.devices) == ["lab01", "lab02", "lab03"]
    assert (registry.devices["lab02"].host, registry.devices["lab02"].key) == ("lab02.lab", "~/.ssh/lab02")


def test_a_default_host_saves_writing_it() -> None:
    registry = reg('{defaults: {host: "me@{name}.example.com"}, devices: {a: , b: {port: 7}}}')
    assert [str(device.endpoint) for device in registry.devices.values()] == ["me@a.example.com", "me@b.example.com:7"]


def test_groups_nest_and_are_flat_in_order_each_device_once() -> None:
    registry = reg(
        """
        devices: {a: h, b: h, "lab[1-3]": "{name}"}
        groups:
          inner: [b, "lab[2-3]", root@10.0.0.7]
          outer: {members: [a, inner, b, "lab[1-3]"], description: the lot}
          empty:
        """
    )
    assert registry.groups["outer"].devices == ("a", "b", "lab2", "lab3", "root@10.0.0.7", "lab1")
    assert registry.groups["outer"].members == ("a", "inner", "b", "lab[1-3]")
    assert registry.groups["outer"].description == "the lot"
    assert registry.groups["empty"].devices == ()


def test_numbers_may_be_names() -> None:
    registry = reg("devices: {10: h, 007: h}\ngroups: {g: [10, 007]}")
    assert registry.groups["g"].devices == ("10", "007")


@pytest.mark.parametrize(
    ("written", "arch"),
    [("X86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "armv7"), ("mipsel", "mipsle"), ("386", "386")],
)
def test_architectures_have_one_name_each(written: str, arch: str) -> None:
    assert reg(f"devices: {{a: {{host: h, arch: {written}}}}}").devices["a"].arch == arch


@pytest.mark.parametrize("word", ["strict", "accept-new", "off", '"off"'])
def test_host_keys_off_needs_no_quotes(word: str) -> None:
    assert reg(f"defaults: {{host_keys: {word}}}").defaults.host_keys == word.strip('"')


def test_providers_are_built_in_and_can_be_changed() -> None:
    registry = reg(
        "providers: {local: {api_base: http://127.0.0.1:8080/v1}, openai: {key: OTHER_KEY}}\n"
        "devices: {a: {host: h, provider: local}}"
    )
    assert (registry.providers["local"].kind, registry.providers["local"].key) == ("openai", None)
    assert registry.providers["openai"].api_base == WELL_KNOWN["openai"].api_base
    assert registry.providers["openai"].key == "OTHER_KEY"


def test_secrets_have_a_place() -> None:
    secrets = reg("secrets: {A: {env: B_c}, C: {file: ~/x}, D: {command: [pass, show, x]}}").secrets
    assert (secrets["A"].env, secrets["C"].file, secrets["D"].command) == ("B_c", "~/x", ("pass", "show", "x"))


def test_root_is_a_user_like_any_other() -> None:
    assert reg("devices: {a: root@h}").devices["a"].user == "root"


def test_an_alias_is_what_it_names() -> None:
    registry = reg("devices: {a: &x {host: h, tags: [t]}, b: *x}")
    assert registry.devices["b"].tags == ("t",)


def test_an_empty_file_is_an_empty_registry() -> None:
    assert reg("") == reg("# nothing\n") == Registry.empty()


def test_a_registry_can_be_switched_off() -> None:
    assert not reg("enabled: false").enabled and reg("version: 1").enabled


def test_unnamed_devices_get_the_defaults() -> None:
    registry = reg("defaults: {user: deck, port: 2022, key: ~/k, model: m}")
    device = registry.unnamed("10.0.0.7")
    assert (device.name, device.user, device.port, device.key, device.model) == ("10.0.0.7", "deck", 2022, "~/k", None)
    assert registry.unnamed("me@[::1]:22").endpoint == Endpoint("::1", "me", 22)
    assert Registry.empty().unnamed("me@h").name == "me@h"
    with pytest.raises(RequestError, match="no host name"):
        registry.unnamed("me@-oProxyCommand=x")


def test_records_cross_process_borders() -> None:
    registry = reg("devices: {a: {host: h, env: {A: b}, jump: u@b}}")
    assert pickle.loads(pickle.dumps(registry)) == registry


# -- what it refuses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version: 2", "fleet.yaml:1: version: must be 1"),
        ("\ndevises: {}", "fleet.yaml:2: devises: The key 'devises' is not known here; did you mean devices?"),
        (
            "devices:\n  a:\n    hots: x",
            "fleet.yaml:3: devices.a.hots: The key 'hots' is not known here; did you mean host?",
        ),
        ("devices:\n  a: {host: h}\n  a: {host: i}", "fleet.yaml:3: 'a' is given twice, first on line 2"),
        ("devices: {a: {host: h, host: i}}", "fleet.yaml:1: 'host' is given twice"),
        ("devices: [a]", "devices: must be a mapping"),
        ("devices: {a: [h]}", "devices.a: must be a mapping"),
        ("devices: {a: }", "devices.a: has no host"),
        ("devices: {a: {user: x}}", "devices.a: has no host"),
        ("devices: {no: h}", "quote it"),
        ("devices: {a: {host: on}}", 'where a text is wanted; quote it: "on"'),
        ("devices: {a: {host: h, model: 5}}", 'for a number where a text is wanted; quote it: "5"'),
        ("devices: {a: {host: h, port: x}}", "devices.a.port: must be a whole number from 1 to 65535, not 'x'"),
        ("devices: {a: {host: h, port: 70000}}", "from 1 to 65535"),
        ("devices: {a: {host: h, port: 022}}", "must be a whole number"),
        ("devices: {a: {host: h, slots: 0}}", "must be a whole number"),
        ("devices: {a: {host: h, timeout: -1}}", "seconds above 0"),
        ("devices: {a: {host: h, timeout: .inf}}", "seconds above 0"),
        ("devices: {a: {host: h, timeout: 1:30}}", "seconds above 0"),
        ("devices: {a: {host: h, tags: gpu}}", "must be a list: write it in brackets"),
        ("devices: {a: {host: h, cleanup: maybe}}", "must be true or false"),
        ("devices: {a: {host: h, host_keys: stict}}", "did you mean strict?"),
        ("devices: {a: {host: h, host_keys: no}}", "must be one of strict, accept-new, off"),
        ("devices: {a: {host: h, arch: amd46}}", "did you mean amd64?"),
        ("devices: {a: {host: h, key_delivery: gateway}}", "not available yet"),
        ("devices: {a: {host: h, home: /}}", "a folder of its own"),
        ("devices: {a: {host: h, home: ~/../x}}", "a folder of its own"),
        ("devices: {a: {host: h, provider: opnai}}", "did you mean openai?"),
        ("devices: {a: {host: h, env: {1A: x}}}", "no name of a variable"),
        ("devices: {a: {host: u@h, user: v}}", "gives the user twice"),
        ("devices: {a: {host: 'h:1', port: 2}}", "gives the port twice"),
        ("devices: {a: {host: h, jump: 'b;c'}}", "devices.a.jump: 'b;c' is no host name"),
        ("devices: {a: -oProxyCommand=x}", "is no host name"),
        ("devices: {a: 'h%h'}", "is no host name"),
        ("devices: {a: 'h i'}", "is no host name"),
        ("devices: {a: 'h;rm'}", "is no host name"),
        ('devices: {a: "h\\ni"}', "line break or a control character"),
        ("devices: {a: '-u@h'}", "is no login name"),
        ("devices: {a: 'h:0'}", "is no port"),
        ("devices: {a: '[::1'}", "IPv6 with a port is written"),
        ("devices: {../x: h}", "is no name"),
        ("devices: {all: h}", "'all' is no name; it is kept: every device is --all."),
        ("devices: {l\u0430b: h}", "is no name"),
        ('devices: {"web[1-999999999]": "{name}"}', "999,999,999 names"),
        ('devices:\n  "lab[1-2]": "{name}"\n  lab1: h', "lab1 is already there as devices.lab[1-2], on line 2"),
        ("devices: {a: h}\ngroups: {a: []}", "a is a device already, on line 1"),
        (
            "devices: {build: h}\ngroups: {g: [biuld]}",
            "groups.g[0]: There is no device or group 'biuld'; did you mean build?",
        ),
        ("groups: {g: [u@-x]}", "groups.g[0]: '-x' is no host name"),
        ("groups: {g: a}", "must be a list"),
        ("groups: {g: {member: [a]}}", "did you mean members?"),
        ("groups: {all: []}", "'all' is no name for a group; it is kept: every device is --all."),
        ("groups: {All: {members: []}}", "'All' is no name for a group; it is kept: every device is --all."),
        ("groups: {-x: []}", "'-x' is no name for a group; letters, digits, dots, dashes and underscores make one, a"),
        ("groups: {'': []}", "'' is no name for a group; it is empty."),
        ("devices: {a: {host: h, tags: [all]}}", "'all' is no name; it is kept: every device is --all."),
        ("groups:\n  a: [b]\n  b: [c]\n  c: [a]", "The groups go round in a circle: a -> b -> c -> a"),
        ("groups: {a: [a]}", "a -> a"),
        ("defaults: {paralel: 2}", "did you mean parallel?"),
        ("enabled: maybe", "must be true or false"),
        ("providers: {x: {kind: opnai, api_base: http://h}}", "did you mean openai?"),
        ("providers: {x: {}}", "needs api_base"),
        ("providers: {x: {api_base: ftp://h}}", "must be a URL"),
        ("agents: {x: {source: github:nope}}", "github:owner/repo"),
        ("agents: {x: {source: 'ftp://mirror/picoclaw'}}", "a URL (http or https)"),
        ("agents: {x: {checksum: 12ab}}", "SHA-256"),
        ("agents: {x: {dispatsh: y}}", "did you mean dispatch?"),
        ("secrets: {X: {}}", "exactly one"),
        ("secrets: {X: {env: A, file: b}}", "exactly one"),
        ("a: !!python/object/apply:os.system [x]", "YAML tags"),
        ("devices: {a: !x h}", "YAML tags"),
        ("devices: {a: *x}", "stands for nothing"),
        ("devices: &x {a: *x}", "stands for nothing"),
        ("devices: {<<: {a: h}}", "'<<' is no name"),
        ("--- {}\n--- {}", "fleet.yaml:2: A second YAML document"),
        ("devices: {a: h\n", "fleet.yaml:2: This is not YAML"),
        ("devices:\n\ta: h", "fleet.yaml:2: This is not YAML"),
        ("? [a]\n: b", "A key must be a word"),
        ("a: \x01", "is not YAML"),
        ("[" * 100_000, "levels deep"),
        ("- " * 100_000, "levels deep"),
    ],
)
def test_a_slip_is_named_with_its_place(text: str, says: str) -> None:
    assert says in refusal(text)


def test_an_alias_bomb_is_defused() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"{new}: &{new} [{','.join(['*' + old] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    begun = time.perf_counter()
    assert "stands for more than" in refusal("\n".join(lines))
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    "text",
    [
        f"secrets: {{OPENAI_API_KEY: {CANARY}}}",
        f"secrets: {{OPENAI_API_KEY: {{env: {CANARY}}}}}",
        f"secrets: {{{CANARY}: {{env: A}}}}",
        f"providers: {{openai: {{key: {CANARY}}}}}",
        f"providers: {{openai: {{api_base: 'https://u:{CANARY}@h/v1'}}}}",
        f"agents: {{x: {{dispatch: y, secrets: [{CANARY}]}}}}",
        f"devices: {{a: {{host: h, env: {{FOO: {CANARY}}}}}}}",
        f"devices: {{a: {{host: h, env: {{OPENAI_API_KEY: {CANARY.lower()}}}}}}}",
        f"agents: {{x: {{dispatch: y, env: {{GH_TOKEN: {CANARY}}}}}}}",
    ],
)
def test_values_of_secrets_are_refused_and_never_repeated(text: str) -> None:
    assert CANARY.lower() not in refusal(text).lower()


def test_agents_are_checked_where_they_are_known() -> None:
    assert reg("devices: {a: {host: h, agent: whatever}}")
    known = ("picoclaw", "clio")
    assert reg("agents: {own: {dispatch: x}}\ndevices: {a: {host: h, agent: own}}", known)
    assert "devices.a.agent: There is no agent 'picoclwa'; did you mean picoclaw?" in refusal(
        "devices: {a: {host: h, agent: picoclwa}}", known
    )
    assert "needs dispatch:" in refusal("agents: {gemini: {model: x}}", known)


def test_deep_nests_of_groups_are_refused() -> None:
    text = "groups:\n" + "".join(f"  g{number}: [g{number + 1}]\n" for number in range(2000)) + "  g2000: []\n"
    assert "more than 50 others" in refusal(text)


# -- files ----------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="There is no such file; fleet init writes one"):
        load(tmp_path / "none.yaml")
    with pytest.raises(RegistryError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"version: 1\n# caf\xe9\n")
    with pytest.raises(RegistryError, match=r"latin.yaml:2: This is not UTF-8"):
        load(tmp_path / "latin.yaml")


def test_five_hundred_devices_load_at_once(tmp_path: Path) -> None:
    device = "  d{}:\n    host: h{}.internal\n    user: u\n    port: 22\n    tags: [a, b]\n    env: {{LANG: C}}\n"
    path = tmp_path / "fleet.yaml"
    path.write_text("devices:\n" + "".join(device.format(n, n) for n in range(500)) + 'groups: {g: ["d[0-499]"]}\n')
    load(path)
    begun = time.process_time()
    assert len(load(path).groups["g"].devices) == 500
    assert time.process_time() - begun < 0.5


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "project" / "inner").mkdir(parents=True)
    return tmp_path / "project"


def test_the_registry_is_found_in_order(project: Path, tmp_path: Path) -> None:
    home, inner = tmp_path / "home", project / "inner"
    assert find(None, {}, inner, home) is None
    write_template(home / ".config" / "fleet-tasks" / "fleet.yaml")
    assert find(None, {}, inner, home) == home / ".config" / "fleet-tasks" / "fleet.yaml"
    write_template(project / "fleet.yaml")
    assert find(None, {}, inner, home) == project / "fleet.yaml"
    assert find(None, {"FLEET_REGISTRY": "~/x.yaml"}, inner, home) == home / "x.yaml"
    assert find("y.yaml", {"FLEET_REGISTRY": "~/x.yaml"}, inner, home) == inner / "y.yaml"
    assert find(None, {"FLEET_REGISTRY": ""}, inner, home) == project / "fleet.yaml"


def test_a_template_never_overwrites(project: Path) -> None:
    path = project / "fleet.yaml"
    path.write_text("mine")
    with pytest.raises(RequestError, match="exists already; nothing was changed"):
        write_template(path)
    assert path.read_text() == "mine"


def test_a_strangers_registry_in_a_folder_open_to_all_is_not_picked_up(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_template(project / "fleet.yaml")
    project.chmod(0o1777)
    assert find(None, {}, project, tmp_path) == project / "fleet.yaml"
    monkeypatch.setattr(os, "getuid", lambda: project.stat().st_uid + 1)
    with pytest.raises(Refused, match="another user's"):
        find(None, {}, project / "inner", tmp_path)
    assert find("fleet.yaml", {}, project, tmp_path) == project / "fleet.yaml"
