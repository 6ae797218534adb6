"""Where AppArmor and SELinux would keep VMs from their images. Pure.

Only what libvirt itself says it uses matters: a kernel with AppArmor whose libvirt does not use
it stands in nobody's way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Topic

APPARMOR: Final = "apparmor"
SELINUX: Final = "selinux"

# What virt-aa-helper refuses to put into a VM's profile, whatever the rules say (libvirt,
# src/security/virt-aa-helper.c, restricted paths).
_REFUSED: Final = (
    *("/bin", "/sbin", "/lib", "/lib64", "/etc", "/boot", "/proc", "/sys", "/selinux"),
    *("/lost+found", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share"),
    *("/usr/local/bin", "/usr/local/sbin", "/usr/local/lib", "/usr/local/etc"),
)
# What its own profile denies it to read: a backing chain there is not followed.
_HIDDEN: Final = re.compile(r"(/root|/home/[^/]+)/(\.[^/]*|bin)(/|$)")
_IMAGE_TYPES: Final = frozenset({"virt_image_t", "svirt_image_t", "svirt_t", "nfs_t"})
_HELPER: Final = "/etc/apparmor.d/local/usr.lib.libvirt.virt-aa-helper"


def judge_confinement(
    host: str, security: Sequence[str], directories: Sequence[str], context: str, what: str
) -> Iterator[Finding]:
    """Say whether VMs may reach these directories; `context` is SELinux's of the first."""
    about = About(host, Topic.CONFINEMENT)
    if APPARMOR in security:
        found = [it for directory in directories for it in _apparmor(about, directory, what)]
        yield from found
        if not found:
            yield about.ok(f"AppArmor is on; {what} may be reached by VMs")
    elif SELINUX in security:
        yield from _selinux(about, directories, context, what)
    else:
        yield about.ok("libvirt confines VMs by neither AppArmor nor SELinux")


def _apparmor(about: About, directory: str, what: str) -> Iterator[Finding]:
    if any(directory == it or directory.startswith(f"{it}/") for it in _REFUSED):
        yield about.problem(
            f"{what} in {directory}: libvirt's virt-aa-helper never lets a VM in there",
            Fix("name a directory elsewhere, such as below /srv or /var/lib/libvirt/images"),
        )
    elif _HIDDEN.match(directory):
        yield about.problem(
            f"{what} in {directory}: hidden directories and bin of a home are denied to"
            " libvirt's virt-aa-helper",
            Fix(f"name a directory elsewhere; rules in {_HELPER} cannot undo a denial"),
        )


def _selinux(
    about: About, directories: Sequence[str], context: str, what: str
) -> Iterator[Finding]:
    parts = context.split(":")
    kind = parts[2] if len(parts) > 2 else "an unknown type"  # noqa: PLR2004 - user:role:type
    if kind in _IMAGE_TYPES:
        yield about.ok(f"SELinux is on; {what} is labelled {kind}")
        return
    for directory in directories:
        command = (
            f"semanage fcontext -a -t virt_image_t '{directory}(/.*)?' && restorecon -R {directory}"
        )
        yield about.warning(
            f"SELinux is on, and {what} in {directory} is labelled {kind}", about.run_here(command)
        )
