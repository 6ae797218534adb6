"""Where a standby's directory is or will be: asked by one command, and tried out for real.

What is tried needs a directory. It is made where the standby's would be, and lives as long as
our connection: a shell on the KVM host removes it however we end.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from standby.errors import CommandFailed
from standby.host.interface import Host
from standby.target.programs import MOUNT_OPTIONS

_LOOK_S: Final = 60.0
_TRIAL_S: Final = 120.0

# Arguments: a directory that need not exist, and the standby's below it. Prints one fact a line.
# The directories above are shown as ls does, with a + where an ACL says more than the mode.
_FACTS: Final = (
    MOUNT_OPTIONS
    + """
d=$1
if [ ! -d "$2" ]; then echo "standby absent"
elif [ -r "$2" ] && [ -w "$2" ] && [ -x "$2" ] &&
  [ -z "$(find "$2/deltas" "$2/kept" -type f \\( ! -readable -o ! -writable \\) 2>&1 | head -n 1)" ]
then echo "standby open"
else echo "standby closed"; fi
while [ ! -d "$d" ]; do
  if [ -e "$d" ] || [ -L "$d" ]; then echo "obstacle $d"; fi
  d=$(dirname -- "$d")
done
echo "below $d"
echo "type $(stat -f -c %T -- "$d")"
echo "mount $(findmnt -n -r -o TARGET -T "$d" 2>/dev/null)"
echo "options $(mount_options "$d")"
df -B1 --output=avail,size,iavail -- "$d" | sed -n 's/^ */space /;2p'
echo "context $(stat -c %C -- "$d" 2>/dev/null)"
p=$(readlink -f -- "$d")
while :; do
  echo "step $(ls -ldn -- "$p" | cut -d ' ' -f 1,3,4) $p"
  [ "$p" != / ] || break
  p=$(dirname -- "$p")
done
"""
)

# Arguments: the nearest directory that exists. Makes a directory below it, prints its name, and
# removes it when its input ends or falls silent; first what a predecessor left that was killed
# together with its host.
_WORKSHOP: Final = """
find "$1" -maxdepth 1 -name '.standby-check.????????' -mmin +60 -exec rm -rf -- {} + 2>/dev/null
w=$(mktemp -d -- "$1/.standby-check.XXXXXXXX") || exit 73
trap 'rm -rf -- "$w"' EXIT
trap 'exit 143' TERM HUP INT
echo ready
printf '%s\\n' "$w"
while read -r -t 30 _; do :; done
"""

# Arguments: a directory of ours. Tries what publication relies on; prints a line for each
# promise that does not hold, and the milliseconds of a flush. QEMU's locks are others than
# flock's: an image that one process writes to must not open for another. The writer has to be
# there first, which the image shows by growing.
_TRIAL: Final = """
cd "$1" || exit 73
exec 9>>lock && flock -n 9 || echo 'broken flock does not work'
if flock -n lock true; then echo 'broken two processes hold the same flock'; fi
echo old > manifest && echo new > manifest.new || echo 'broken files cannot be written'
began=$(date +%s%N)
sync manifest.new && mv -fT manifest.new manifest && sync . || echo 'broken sync and rename fail'
echo "flush $((($(date +%s%N) - began) / 1000000))"
[ "$(cat manifest)" = new ] && [ ! -e manifest.new ] || echo 'broken a rename is not one step'
ln -s manifest link && mv -T link turned || echo 'broken there are no symbolic links'
command -v qemu-io >/dev/null && qemu-img create -q -f qcow2 image 1M || exit 0
fresh=$(stat -c %s image)
qemu-io -f qcow2 -c 'write 0 64k' -c 'sleep 10000' image >/dev/null 2>&1 &
writer=$!
for _ in $(seq 100); do
  kill -0 "$writer" 2>/dev/null || exit 0
  [ "$(stat -c %s image)" = "$fresh" ] || { written=yes; break; }
  sleep 0.05
done
if [ -n "${written:-}" ] && qemu-img info -f qcow2 image >/dev/null 2>&1; then
  echo "broken QEMU's locks do not keep two writers from one image"
fi
kill "$writer"
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One directory on the way to the storage, as ls shows it."""

    mode: str  # drwxr-x---+
    uid: int
    gid: int
    path: str

    @property
    def has_acl(self) -> bool:
        """Whether an ACL says more than the mode."""
        return self.mode.endswith("+")

    def lets_in(self, uid: int, gid: int) -> bool:
        """Tell whether a user of this one group may pass through, going by the mode."""
        if uid == 0:
            return True
        place = 3 if uid == self.uid else 6 if gid == self.gid else 9
        return self.mode[place] in "xst"


class Door(Enum):
    """What the standby's own directory is to us."""

    ABSENT = "absent"
    OPEN = "open"
    CLOSED = "closed"  # somebody else's, or files in it are since libvirt started the standby


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """A storage directory. Bytes; `below` is the nearest directory that exists."""

    path: str
    below: str
    filesystem: str  # as stat(1) names it
    mount: str
    options: tuple[str, ...]
    available: int
    total: int
    inodes: int | None  # None: the file system does not count them
    context: str  # of SELinux
    steps: tuple[Step, ...]  # from `below` up to /
    standby: Door = Door.ABSENT
    obstacle: str = ""  # what is in the way and no directory

    @property
    def read_only(self) -> bool:
        """Whether it is mounted so."""
        return "ro" in self.options

    @property
    def exists(self) -> bool:
        """Whether the directory is there already."""
        return self.path == self.below


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried in a storage. `flush` in milliseconds."""

    refused: str = ""  # why no directory could be made there
    broken: tuple[str, ...] = field(default=())
    flush: int = 0


def probe_storage(host: Host, path: str, standby: str) -> StorageFacts:
    """Look at a storage directory that need not exist, and at the standby's in it."""
    argv = ("sh", "-c", _FACTS, "standby-storage", path, standby)
    text = host.run(argv, timeout=_LOOK_S).text
    return parse_storage(path, text, host.name)


def parse_storage(path: str, text: str, where: str) -> StorageFacts:
    """Read what the program above printed. Raises CommandFailed when it is not that."""
    lines = [line.split(" ", 1) for line in text.splitlines() if " " in line]
    facts = {key: value.strip() for key, value in lines if key != "step"}
    try:
        available, total, inodes = facts["space"].split()
        return StorageFacts(
            path=path,
            below=facts["below"],
            filesystem=facts["type"],
            mount=facts["mount"],
            options=tuple(facts["options"].split(",")),
            available=int(available),
            total=int(total),
            inodes=int(inodes) if inodes.isdecimal() else None,
            context=facts["context"],
            steps=tuple(_step(value) for key, value in lines if key == "step"),
            standby=Door(facts["standby"]),
            obstacle=facts.get("obstacle", ""),
        )
    except (KeyError, ValueError) as error:
        found = f"unreadable facts of {path} ({error!r})"
        raise CommandFailed(where, found, "a GNU system") from error


def _step(value: str) -> Step:
    mode, uid, gid, path = value.split(" ", 3)
    return Step(mode, int(uid), int(gid), path)


@contextmanager
def workshop(host: Host, facts: StorageFacts) -> Generator[str]:
    """Make a directory to try things in; yield its path. Raises CommandFailed if refused."""
    argv = ("bash", "-c", _WORKSHOP, "standby-workshop", facts.below)
    held = host.hold(argv, ready=b"ready", timeout=_LOOK_S)
    try:
        yield (held.read_line(_LOOK_S) or b"").decode("utf-8", "surrogateescape")
    finally:
        held.close()


def try_storage(host: Host, directory: str) -> Trial:
    """Try locks, renames and flushes in a directory of ours."""
    text = host.run(("sh", "-c", _TRIAL, "standby-trial", directory), timeout=_TRIAL_S).text
    return parse_trial(text)


def parse_trial(text: str) -> Trial:
    """Read what the program above printed."""
    lines = [line.split(" ", 1) for line in text.splitlines() if " " in line]
    flush = next((int(value) for key, value in lines if key == "flush"), 0)
    return Trial(broken=tuple(value for key, value in lines if key == "broken"), flush=flush)


def refusal_of(error: CommandFailed) -> str:
    """Return why no workshop could be made, in mktemp's last words."""
    words = error.stderr.splitlines()[-1] if error.stderr else str(error)
    return words.rpartition(": ")[2]
