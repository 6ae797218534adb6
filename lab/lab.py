"""The lab as tests and the command line see it."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import blockguest, entering, faults, hosts, keys, lifetime, linuxguest
from lab.blockguest import BlockGuest
from lab.entering import Entrance, HostProcess
from lab.layout import HYPERVISORS, STORAGE, HostName, Layout
from lab.lifetime import DEFAULT_STORAGE_BYTES
from lab.linuxguest import LinuxGuest


class Lab:
    """One lab: the hosts `source`, `kvm` and `manager` on a network of their own.

    Creating this object starts nothing: `up` does, and an existing lab of that name can be
    used at once.
    """

    def __init__(self, name: str = "demo") -> None:
        self.layout = Layout(name)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.layout.name

    @property
    def home(self) -> Path:
        """Root's home on the manager; the path is the same on the machine below."""
        return self.layout.home

    def up(
        self, *, storage_bytes: int = DEFAULT_STORAGE_BYTES, with_parent: int | None = None
    ) -> None:
        """Build the lab anew; with `with_parent` its processes end when that pid does."""
        lifetime.bring_up(self.layout, storage_bytes, with_parent)

    def down(self) -> None:
        """Remove the lab and all it holds."""
        lifetime.take_down(self.layout)

    def entrance(
        self, host: str, *, user: str = "root", env: Mapping[str, str] | None = None
    ) -> Entrance:
        """Return the way into a running host; raises NotUp."""
        name = HostName(host)
        home = Path("/root") if user == "root" else Path("/home") / user
        if name not in HYPERVISORS:
            home = self.home
        return Entrance(hosts.init_of(self.layout, name), home, user, dict(env or {}))

    def run(
        self,
        host: str,
        argv: Sequence[str],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        text: str | None = None,
        limit: float = entering.DEFAULT_LIMIT,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host to its end, whatever its status; `text` is its input."""
        entrance = self.entrance(host, user=user, env=env)
        return entering.run(entrance, argv, cwd=cwd, text=text, limit=limit)

    def exec(
        self,
        host: str,
        argv: Sequence[str],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        text: str | None = None,
        limit: float = entering.DEFAULT_LIMIT,
    ) -> str:
        """Run a command on a host and return its output; raises CommandFailed."""
        result = self.run(host, argv, user=user, env=env, cwd=cwd, text=text, limit=limit)
        return entering.checked(result)

    def popen(
        self,
        host: str,
        argv: Sequence[str],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> HostProcess:
        """Start a command on a host; signals sent to it reach the command itself."""
        return HostProcess(self.entrance(host, user=user, env=env), argv, cwd=cwd)

    def path(self, host: str, path: Path) -> Path:
        """Return where a file of a running host can be reached from the machine below."""
        init = hosts.init_of(self.layout, HostName(host))
        return Path(f"/proc/{init.pid}/root") / path.relative_to("/")

    def virsh(self, host: str, *arguments: str, limit: float = 60.0) -> str:
        """Run virsh on a host against its own libvirt; raises CommandFailed."""
        return self.exec(host, ["virsh", "--quiet", *arguments], limit=limit)

    def define(self, host: str, xml: str) -> None:
        """Define a domain on a host."""
        self.exec(host, ["virsh", "define", "/dev/stdin"], text=xml)

    def block_guest(
        self,
        name: str,
        *sizes: int,
        kinds: tuple[str, ...] = ("qcow2",),
        host: str = HostName.SOURCE,
    ) -> BlockGuest:
        """Define a guest without a system, one disk for each size in bytes; not started."""
        return blockguest.define(self, HostName(host), name, sizes, kinds=kinds)

    def define_guest(
        self,
        name: str,
        *,
        host: str = HostName.SOURCE,
        machine: str = "q35",
        memory_mib: int = 256,
        extra_disks: tuple[int, ...] = (),
    ) -> LinuxGuest:
        """Define a real Linux guest, built first if need be; not started."""
        return linuxguest.define(
            self,
            HostName(host),
            name,
            machine=machine,
            memory_mib=memory_mib,
            extra_disks=extra_disks,
        )

    def guest(self, host: str, name: str) -> LinuxGuest:
        """Return any domain of a host whose system has a guest agent, such as a standby."""
        return LinuxGuest(self, HostName(host), name)

    def storage(self, host: str) -> Path:
        """Return the directory of a hypervisor's storage, as that host sees it."""
        return STORAGE[HostName(host)]

    def cut(self, host: str) -> None:
        """Take a host off the network: packets vanish, nobody is told."""
        faults.cut(self.layout, HostName(host))

    def restore(self, host: str) -> None:
        """Undo `cut`."""
        faults.restore(self.layout, HostName(host))

    def throttle(self, host: str, rate: str | None) -> None:
        """Limit a host's link in both directions to a rate such as 20mbit; None lifts it."""
        faults.throttle(self.layout, HostName(host), rate)

    def fill(self, host: str, *, leave: int = 0) -> None:
        """Use up a hypervisor's storage but for `leave` bytes."""
        faults.fill(self.layout, HostName(host), leave)

    def unfill(self, host: str) -> None:
        """Give back what `fill` took."""
        faults.unfill(self.layout, HostName(host))

    def crash(self, host: str) -> None:
        """End all processes of a host at once, like a power cut; what is on its disk stays."""
        faults.crash(self.layout, HostName(host))

    def start(self, host: str) -> None:
        """Start a crashed host; returns when its services answer."""
        faults.start(self.layout, HostName(host))

    def kill_service(self, host: str, service: str) -> None:
        """Kill libvirtd, virtlogd, or sshd with its connections; guests go on."""
        faults.kill_service(self.layout, HostName(host), service)

    def restart_service(self, host: str, service: str) -> None:
        """Start libvirtd, virtlogd or sshd, killed first if it runs."""
        faults.restart_service(self.layout, HostName(host), service)

    def damage(self, host: str, path: Path, *, offset: int = 0, length: int = 1) -> None:
        """Invert bytes of a file on a host; doing it twice repairs it."""
        faults.damage(self.path(host, path), offset, length)

    def allow_sudo(self, host: str, rules: str) -> None:
        """Replace the sudo rules of the user `standby` on a host; empty rules forbid all."""
        path = self.path(host, Path("/etc/sudoers.d/standby"))
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode=0o440)
        path.write_text(rules)

    def trust_host_keys(self) -> None:
        """Let the manager know the true host keys of both hypervisors: the state after `up`."""
        keys.set_known_hosts(self.layout, keys.true_host_keys(self.layout))

    def forget_host_key(self, host: str) -> None:
        """Make a hypervisor's host key unknown to the manager."""
        known = keys.true_host_keys(self.layout)
        del known[HostName(host)]
        keys.set_known_hosts(self.layout, known)

    def falsify_host_key(self, host: str) -> None:
        """Let the manager expect another key than the hypervisor has."""
        known = keys.true_host_keys(self.layout)
        known[HostName(host)] = keys.host_key(self.layout, HostName.MANAGER)
        keys.set_known_hosts(self.layout, known)
