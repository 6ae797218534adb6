"""The private /etc of a host: names, users, SSH daemon, libvirt."""

import shutil
import subprocess
from pathlib import Path

from lab.inside.spec import HostSpec

USER = "standby"
"""The ordinary user of every hypervisor: in the groups that may use libvirt and KVM."""
_ETC = Path("/etc")
_PROVISION = Path(__file__).resolve().parent.parent / "provision"
_PREPARED = _ETC / "lab-prepared"

_SSHD = """\
# Written for one host of the lab.
HostKey /etc/ssh/lab_host_key
PidFile /run/sshd.pid
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
Subsystem sftp internal-sftp
# The default one takes ten times the time of a processor (0.15 s), and tests connect often.
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org
"""

_LIBVIRTD = """\
# Who may connect is decided by the group alone: there is no polkit in the lab.
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
"""

_QEMU = """\
# User, group and dynamic ownership stay the distribution's own.
security_driver = "none"
cgroup_controllers = []
"""

_LAN = """\
<network>
  <name>lan</name>
  <forward mode="bridge"/>
  <bridge name="br0"/>
</network>
"""


def write_common(spec: HostSpec) -> None:
    """Give the host its name and let it know the others'."""
    (_ETC / "hostname").write_text(f"{spec.name}\n")
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in spec.names.items())]
    _rewrite(_ETC / "hosts", "\n".join(lines) + "\n")
    _rewrite(_ETC / "resolv.conf", "")


def write_manager(spec: HostSpec) -> None:
    """Move root's home: OpenSSH takes it from the user database, not from $HOME."""
    passwd = _ETC / "passwd"
    lines = [
        ":".join([*line.split(":")[:5], spec.home, *line.split(":")[6:]])
        if line.startswith("root:")
        else line
        for line in passwd.read_text().splitlines()
    ]
    _rewrite(passwd, "\n".join(lines) + "\n")


def write_hypervisor(spec: HostSpec) -> None:
    """Write what a hypervisor needs, once: a restart after a crash finds it as it was left."""
    if _PREPARED.exists():
        return
    _write_libvirt(spec)
    _write_sshd(spec)
    _add_users(spec.authorised_key)
    _PREPARED.touch()


def _write_libvirt(spec: HostSpec) -> None:
    libvirt = _ETC / "libvirt"
    # The machine's own domains, networks, pools and secrets must not exist here.
    for name in ("qemu", "storage", "secrets"):
        shutil.rmtree(libvirt / name, ignore_errors=True)
    (libvirt / "libvirtd.conf").write_text(_LIBVIRTD.format(uuid=spec.host_uuid))
    (libvirt / "qemu.conf").write_text(_QEMU)
    networks = libvirt / "qemu" / "networks"
    (networks / "autostart").mkdir(parents=True)
    (networks / "lan.xml").write_text(_LAN)
    (networks / "autostart" / "lan.xml").symlink_to(networks / "lan.xml")


def _write_sshd(spec: HostSpec) -> None:
    (_ETC / "ssh" / "sshd_config").write_text(_SSHD)
    key = _ETC / "ssh" / "lab_host_key"
    key.touch(mode=0o600)
    key.write_text(spec.host_key)
    key.with_suffix(".pub").write_text(spec.host_key_public)


def _add_users(public_key: str) -> None:
    """Do as the provisioning of a real host does, by the same scripts."""
    key = Path("/run/manager.pub")
    key.write_text(public_key)
    _provision("user.sh", USER)
    for name in (USER, "root"):
        _provision("authorise.sh", name, str(key))
    # Without PAM the SSH daemon refuses users whose password field begins with "!".
    subprocess.run(["usermod", "--password", "*", "root"], check=True)


def _provision(script: str, *arguments: str) -> None:
    subprocess.run([_PROVISION / script, *arguments], check=True, stdout=subprocess.DEVNULL)


def _rewrite(path: Path, text: str) -> None:
    """Replace a file that may be a symbolic link into the covered /run."""
    temporary = path.with_name(path.name + ".lab")
    temporary.write_text(text)
    if path.exists():
        temporary.chmod(path.stat().st_mode & 0o7777)
    temporary.replace(path)
