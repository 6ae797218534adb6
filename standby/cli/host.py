"""`standby host`: look at the hosts that profiles name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from standby.cli.options import ConfigOption, JsonOption
from standby.cli.output import print_facts, print_json, print_table
from standby.cli.work import looking
from standby.model.amount import readable
from standby.profile.mistakes import Plain

if TYPE_CHECKING:
    from standby.app.host_view import HostView, Network, Storage

app = typer.Typer(
    name="host",
    help="Hosts: what they have to offer.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_STORAGE_COLUMNS = ("storage", "path", "type", "free", "size", "promise")
_VERSIONED = re.compile(r"-[0-9.]+$")
_NETWORK_COLUMNS = ("network", "mode", "bridge", "state")


@app.callback()
def host() -> None:
    """Hosts: what they have to offer."""


@app.command(epilog="Example: standby host show kvm1", short_help="Show what a host offers.")
def show(
    context: typer.Context,
    host: Annotated[
        str, typer.Argument(metavar="HOST", help="A host's name, from hosts/, or local.")
    ],
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show storages with free space, networks, machine types, firmware, virtualisation.

    Whether hardware virtualisation works is tried, which takes a second or two.
    """
    from standby.app.host_view import view_host  # noqa: PLC0415 - 0.3 s --help does not need

    with looking(context, config) as session:
        view = view_host(session, host)
    if as_json:
        print_json(view_as_json(view))
    else:
        _print(view)


def _print(view: HostView) -> None:
    facts, libvirt = view.facts, view.libvirt
    print_facts(
        (
            ("host", f"{facts.name}: {facts.system}"),
            ("login", f"{facts.login}, commands as {facts.user}"),
            ("processor", f"{facts.cpus} x {libvirt.cpu or 'unknown'} ({facts.arch})"),
            ("memory", readable(facts.memory)),
            ("libvirt", f"{_dotted(libvirt.version)}, QEMU {_dotted(libvirt.qemu)}"),
            ("virtualisation", view.virtualisation.found if view.virtualisation else "no QEMU"),
            ("confinement", ", ".join(libvirt.security)),
            ("firmware", ", ".join(("BIOS", *libvirt.platform.loaders))),
            ("machine types", "; ".join(_machine_types(view))),
            ("bridges", ", ".join(view.bridges)),
        )
    )
    print_table("", _STORAGE_COLUMNS, map(_storage_row, view.storages))
    print_table("", _NETWORK_COLUMNS, map(_network_row, view.networks))


def _machine_types(view: HostView) -> Iterator[str]:
    """Yield each family's types, newest first: the whole list of names would fill a page."""
    for guest in view.capabilities.guests:
        names = sorted({it.canonical for it in guest.machines if _VERSIONED.search(it.canonical)})
        families = groupby(names, key=lambda name: name.rpartition("-")[0])
        told = [f"{family}: {_range(members)}" for family, members in families]
        yield f"{guest.arch} ({', '.join(told)})"


def _range(names: Iterable[str]) -> str:
    versions = sorted((name.rpartition("-")[2] for name in names), key=_numbers)
    return versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _storage_row(storage: Storage) -> tuple[str, ...]:
    return (
        f"pool {storage.pool}" if storage.pool else "mount",
        storage.path,
        storage.kind,
        readable(storage.available),
        readable(storage.total),
        _remark(storage),
    )


def _remark(storage: Storage) -> str:
    if not storage.active:
        return "not active"
    return storage.promise.value if storage.promise else ""


def _network_row(network: Network) -> tuple[str, ...]:
    active = "active" if network.active else "not active"
    state = active if network.autostart else f"{active}, does not start by itself"
    return network.name, network.mode, network.bridge, state


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def view_as_json(view: HostView) -> Plain:
    """Return a host for programs. Sizes in bytes."""
    facts, libvirt, tried = view.facts, view.libvirt, view.virtualisation
    return {
        "host": facts.name,
        "system": facts.system,
        "login": facts.login,
        "commands_as": facts.user,
        "arch": facts.arch,
        "cpus": facts.cpus,
        "cpu_model": libvirt.cpu,
        "memory_bytes": facts.memory,
        "libvirt": _dotted(libvirt.version),
        "qemu": _dotted(libvirt.qemu),
        "virtualisation": {"severity": tried.severity.value, "found": tried.found}
        if tried
        else None,
        "security": list(libvirt.security),
        "loaders": list(libvirt.platform.loaders),
        "machine_types": {
            guest.arch: [machine.name for machine in guest.machines]
            for guest in view.capabilities.guests
        },
        "bridges": list(view.bridges),
        "storages": [_storage_as_json(storage) for storage in view.storages],
        "networks": [_network_as_json(network) for network in view.networks],
    }


def _storage_as_json(storage: Storage) -> Plain:
    return {
        "path": storage.path,
        "pool": storage.pool or None,
        "type": storage.kind,
        "available_bytes": storage.available,
        "total_bytes": storage.total,
        "active": storage.active,
        "promise": storage.promise.name.lower() if storage.promise else None,
    }


def _network_as_json(network: Network) -> Plain:
    return {
        "name": network.name,
        "mode": network.mode,
        "bridge": network.bridge or None,
        "active": network.active,
        "autostart": network.autostart,
    }
