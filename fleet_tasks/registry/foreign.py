"""Lists of devices that other programs keep: ssh_config, picoclaw-fleet.json and CLIO's devices.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet_tasks.errors import Place, RegistryError
from fleet_tasks.registry.harvest import Harvest
from fleet_tasks.registry.providers import WELL_KNOWN
from fleet_tasks.sshfiles import SshConfig, inlined, keyword_of

_KEYS = ("api_key", "api_keys", "key", "password", "token")


def read_ssh_config(path: Path, home: Path) -> Harvest:
    """Every host that is named without wildcards, with what its file and the included ones say about it."""
    harvest = Harvest()
    config = SshConfig("\n".join(inlined(path, home)))
    if any(keyword_of(line)[0] == "match" for line in config.text.splitlines()):
        harvest.note("Match blocks of ssh_config are left out.")
    for host in config.hosts:
        said = {key: values[0] for key, values in config.lookup(host).items() if values[0].lower() != "none"}
        hostname = said.get("hostname", host).replace("%h", host).replace("%n", host)
        settings = {"user": said.get("user"), "port": said.get("port"), "jump": said.get("proxyjump")}
        if "identityfile" in said:
            key = said["identityfile"].replace("%d", "~")
            settings["key"] = key.replace(f"{home}/", "~/", 1) if key.startswith(f"{home}/") else key
        if "proxycommand" in said:
            harvest.note(f"{host}: its ProxyCommand stays in ssh_config; write {host} as the host to have it used.")
        harvest.device(host, hostname, settings)
    return harvest


def read_picoclaw_fleet(data: Any, file: str) -> Harvest:
    """``{"hosts": [{name, host, user, arch, ssh_key}], "defaults": {provider, api_key_env}}``."""
    harvest = Harvest()
    defaults = data.get("defaults") or {}
    provider = str(defaults.get("provider") or "")
    for number, entry in enumerate(_listed(data, "hosts", file)):
        if not isinstance(entry, Mapping) or not (entry.get("host") or entry.get("name")):
            raise RegistryError("has neither a name nor a host.", Place(file, path=f"hosts[{number}]"))
        settings = {key: entry.get(key) for key in ("user", "port", "arch", "description", "model")}
        settings |= {"key": entry.get("ssh_key"), "provider": entry.get("provider") or provider}
        host = str(entry.get("host") or entry["name"])
        harvest.device(str(entry.get("name") or host), host, settings)
        _without_keys(harvest, str(entry.get("name")), entry)
    variable = str(defaults.get("api_key_env") or "")
    known = WELL_KNOWN.get(provider)
    if variable and (known is None or known.key != variable):
        harvest.note(f"The key of {provider or 'the provider'} was in the variable {variable}: name it in providers:.")
    _without_keys(harvest, "defaults", defaults)
    return harvest


def read_clio(data: Any, file: str) -> Harvest:
    """``{"devices": {name: {host, ssh_port, ssh_key, default_model, description}}, "groups": {...}}``.

    A group is a list, or a mapping with ``members`` and ``description``: CLIO has written both.
    """
    harvest = Harvest()
    for name, entry in _mapped(data, "devices", file).items():
        entry = {"host": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, Mapping) or not entry.get("host"):
            raise RegistryError("has no host.", Place(file, path=f"devices.{name}"))
        harvest.device(
            name,
            str(entry["host"]),
            {
                "port": _unusual(entry.get("ssh_port")),
                "key": entry.get("ssh_key"),
                "model": entry.get("default_model"),
                "description": entry.get("description"),
            },
        )
        _without_keys(harvest, name, entry)
    for name, entry in _mapped(data, "groups", file).items():
        entry = entry if isinstance(entry, Mapping) else {"members": entry}
        members = _listed(entry, "members", file)
        harvest.group(name, [str(member) for member in members], str(entry.get("description") or ""))
    return harvest


def _unusual(port: object) -> object:
    """A port worth writing down: CLIO writes 22 where nobody said anything."""
    return None if str(port) == "22" else port


def _without_keys(harvest: Harvest, name: str, entry: Mapping[str, object]) -> None:
    for key in _KEYS:
        if entry.get(key):
            harvest.note(f"{name}: {key} is left out; secrets are named in fleet.yaml, never kept there.")


def _listed(data: Mapping[str, Any], key: str, file: str) -> list[Any]:
    found = data.get(key, [])
    if not isinstance(found, list):
        raise RegistryError("must be a list.", Place(file, path=key))
    return found


def _mapped(data: Mapping[str, Any], key: str, file: str) -> dict[str, Any]:
    found = data.get(key, {})
    if not isinstance(found, dict):
        raise RegistryError("must be a mapping.", Place(file, path=key))
    return found
