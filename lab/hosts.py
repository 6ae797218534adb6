"""Starting and ending the machines of a lab: each is one init process and what it runs."""

import json
import os
import select
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from lab import acceleration, switch
from lab.entering import PATH
from lab.errors import LabError, NotUp, TimedOut
from lab.inside.spec import HostSpec
from lab.layout import (
    ADDRESSES,
    CHECKOUT,
    HOSTS,
    HYPERVISORS,
    PREFIX_LENGTH,
    STORAGE,
    HostName,
    Layout,
)
from lab.processes import ProcessRecord

_START_LIMIT = 60.0
_NAMESPACE = uuid.UUID("5f0c8f0e-6f39-4d5a-9a50-3f5a31f4f0a7")
"""Base for the hosts' UUIDs: two libvirt hosts on one machine would report the same one."""


@dataclass(slots=True)
class Starting:
    """A host whose init exists and waits to be told what to become."""

    host: HostName
    process: subprocess.Popen[str]
    init: ProcessRecord

    def tell(self, spec: HostSpec) -> None:
        """Let it begin."""
        if self.process.stdin is not None:
            self.process.stdin.write(spec.dump())
            self.process.stdin.close()

    def wait_ready(self, log: Path) -> None:
        """Wait until all its services answer; raises LabError with its log if they do not."""
        if self.process.stdout is None:
            return
        if not select.select([self.process.stdout], [], [], _START_LIMIT)[0]:
            raise TimedOut(f"start of {self.host.value}", _START_LIMIT)
        if not self.process.stdout.readline():
            raise LabError(f"{self.host.value} did not start:\n{log.read_text()}")
        self.process.stdout.close()


def record_file(layout: Layout, host: HostName) -> Path:
    """Return where the record of a host's init is."""
    return layout.records / f"{host.value}.json"


def init_of(layout: Layout, host: HostName) -> ProcessRecord:
    """Return the running init of a host; raises NotUp."""
    record = ProcessRecord.load(record_file(layout, host))
    if record is None or not record.alive:
        raise NotUp(f"{host.value} of lab {layout.name} does not run")
    return record


def launch(layout: Layout, host: HostName, parent: int | None) -> Starting:
    """Create a host's namespaces and record its init, which still does nothing.

    The init ends by itself should this process die before `tell`: so no unrecorded host
    can stay behind. `parent` is the pid whose end ends the host too.
    """
    layout.host(host).mkdir(parents=True, exist_ok=True)
    layout.records.mkdir(parents=True, exist_ok=True)
    handles = [] if parent is None else [os.pidfd_open(parent)]
    with log_file(layout, host).open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.inside", *map(str, handles)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            pass_fds=handles,
            # Of the caller's environment nothing may reach the daemons and guests.
            env={"PATH": PATH, "LANG": "C.UTF-8"},
        )
    for handle in handles:
        os.close(handle)
    return Starting(host, process, _record_init(layout, host, process))


def stop(layout: Layout, host: HostName) -> None:
    """End a host at once, with everything that runs on it."""
    record = ProcessRecord.load(record_file(layout, host))
    if record is not None:
        record.kill()
    record_file(layout, host).unlink(missing_ok=True)


def plug_and_tell(
    layout: Layout, starting: Starting, hub: ProcessRecord, storage_bytes: int
) -> None:
    """Plug a launched host in and let it build itself; returns before it is ready."""
    switch.plug(hub, starting.host, starting.init)
    starting.tell(make_spec(layout, starting.host, storage_bytes))


def make_spec(layout: Layout, host: HostName, storage_bytes: int) -> HostSpec:
    """Return what a host is told about itself."""
    return HostSpec(
        name=host.value,
        directory=str(layout.host(host)),
        home=str(layout.home),
        address=ADDRESSES.get(host, ""),
        prefix_length=PREFIX_LENGTH,
        names={name.value: address for name, address in ADDRESSES.items()},
        authorised_key=_key(layout, "manager.pub"),
        host_key=_key(layout, host.value),
        host_key_public=_key(layout, f"{host.value}.pub"),
        storage=str(STORAGE[host]) if host in HYPERVISORS else "",
        storage_bytes=storage_bytes,
        host_uuid=str(uuid.uuid5(_NAMESPACE, f"{layout.name}/{host.value}")),
        accelerator=acceleration.known(),
        visible=(str(CHECKOUT),),
    )


def _key(layout: Layout, name: str) -> str:
    path = layout.keys / name
    return path.read_text() if path.exists() else ""


def log_file(layout: Layout, host: HostName) -> Path:
    """Return where a host's init writes what went wrong."""
    return layout.host(host) / "init.log"


def running(layout: Layout) -> dict[HostName, bool]:
    """Tell for each machine of a lab whether it runs."""
    state = {}
    for host in (HostName.SWITCH, *HOSTS):
        record = ProcessRecord.load(record_file(layout, host))
        state[host] = record is not None and record.alive
    return state


def _record_init(layout: Layout, host: HostName, process: subprocess.Popen[str]) -> ProcessRecord:
    line = process.stdout.readline() if process.stdout is not None else ""
    record = ProcessRecord.of(int(line)) if line.strip().isdigit() else None
    if record is None:
        raise LabError(f"{host.value} did not start:\n{log_file(layout, host).read_text()}")
    record.save(record_file(layout, host))
    process.wait()
    return record


@dataclass(frozen=True, slots=True)
class Settings:
    """How a lab was brought up: needed again when a crashed host is started."""

    storage_bytes: int
    parent: ProcessRecord | None

    def save(self, layout: Layout) -> None:
        """Keep them with the lab."""
        parent = None if self.parent is None else [self.parent.pid, self.parent.started]
        data = {"storage_bytes": self.storage_bytes, "parent": parent}
        layout.directory.joinpath("settings.json").write_text(json.dumps(data))

    @classmethod
    def load(cls, layout: Layout) -> "Settings":
        """Read them; raises NotUp when there is no such lab."""
        try:
            data = json.loads(layout.directory.joinpath("settings.json").read_text())
        except FileNotFoundError as error:
            raise NotUp(f"there is no lab {layout.name}") from error
        parent = data["parent"]
        return cls(data["storage_bytes"], None if parent is None else ProcessRecord(*parent))
