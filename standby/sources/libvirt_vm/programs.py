"""The shell programs that run on the source host: constants, never built from strings."""

from __future__ import annotations

from typing import Final

STATUS_LOW_SPACE: Final = 79

# Arguments: directories. Prints the free and the total bytes of each one's file system.
FREE_SPACE: Final = """
for d in "$@"; do
  space=$(df -B1 --output=avail,size -- "$d") || exit 1
  echo "$space" | tail -n 1
done
"""

# Arguments: an option (--backing-chain, or empty), qcow2 images, which may be in use. Prints what
# qemu-img knows of each, with that option also of the images that it stands on, as JSON.
READ_IMAGES: Final = """
option=$1; shift
for image; do
  stat -L -c '{"inode": %i}' -- "$image" || exit 1
  qemu-img info -U $option --output=json -f qcow2 -- "$image" || exit 1
done
"""

# Arguments: images. Prints of each, on a line, what changes when anybody writes to it.
STAMP_IMAGES: Final = """
exec stat -L -c '%y %s' -- "$@"
"""

# Arguments: name of a bitmap, then triples: an image, what STAMP_IMAGES printed of it, whether it
# can keep bitmaps (yes or no). Begins the bitmap in all that can, unless somebody wrote to one of
# the images: what he wrote may have been read or not, and no bitmap would count it.
WRITTEN: Final = 74
BEGIN_BITMAPS: Final = """
name=$1; shift
[ "$#" -gt 0 ] || exit 0
check() {
  while [ "$#" -gt 0 ]; do
    [ "$(stat -L -c '%y %s' -- "$1")" = "$2" ] || { printf '%s\\n' "$1" >&2; exit 74; }
    shift 3
  done
}
check "$@"
while [ "$#" -gt 0 ]; do
  [ "$3" = no ] || qemu-img bitmap --add -f qcow2 "$1" "$name" || exit 1
  shift 3
done
"""

# Arguments: how our names begin, directories of scratch files.
CLEAR_LEFTOVERS: Final = """
mark=$1; shift
rm -f -- /var/lib/libvirt/qemu/domain-*/"$mark"*.sock
for d; do rm -f -- "$d"/."$mark"*.scratch; done
"""

# Arguments: how our names begin, id of the domain, a name, directories of scratch files. Removes
# what is left of earlier captures, then prints a path at which the domain's QEMU may make a socket
# (libvirt's private directory of the running domain, where AppArmor lets it), and of each directory
# the free and the total bytes of its file system.
NO_DIRECTORY: Final = 73
PREPARE_CAPTURE: Final = (
    """
mark=$1; domain=$2; name=$3; shift 3
rm -f -- /var/lib/libvirt/qemu/domain-*/"$mark"*.sock
for d; do rm -f -- "$d"/."$mark"*.scratch; done
socket=
for d in /var/lib/libvirt/qemu/domain-"$domain"-*; do
  [ ! -d "$d" ] || { socket=$d/$name.sock; break; }
done
[ -n "$socket" ] || exit 73
printf '%s\\n' "$socket"
"""
    + FREE_SPACE
)

# Arguments: UUID of the domain, socket of our backup job, pairs of directory and bytes to keep
# free there.
# Ends the job when the scratch space runs low, so that the guest never sees a write error
# because of us, and when the manager is gone (its input ends or is silent for 30 s), unless it
# was told "over". It never ends a job that is not ours, so a capture that is over has nothing to
# fear from it. What it says must not end it: with the manager went whoever would hear. While
# libvirt does not answer it asks again.
GUARD_CAPTURE: Final = """
trap '' PIPE
uuid=$1; socket=$2; shift 2
give_up() {
  echo "$1" >&2
  for _ in $(seq 200); do
    if virsh -q -c qemu:///system uri >/dev/null 2>&1; then
      virsh -q -c qemu:///system backup-dumpxml "$uuid" 2>/dev/null | grep -qF "$socket" || break
      virsh -q -c qemu:///system domjobabort "$uuid" >&2 && break
    fi
    sleep 3
  done
  exit 79
}
echo ready
silent=0; d=
while :; do
  read -r -t 0.5 word; status=$?
  if [ "$status" -eq 0 ]; then
    [ "$word" != over ] || exit 0
    silent=0
  elif [ "$status" -gt 128 ]; then
    silent=$((silent + 1)); [ "$silent" -lt 60 ] || give_up "the manager fell silent"
  else
    give_up "the connection to the manager ended"
  fi
  for word in "$@"; do
    if [ -z "$d" ]; then d=$word; continue; fi
    free=$(df -B1 --output=avail -- "$d" | tail -n 1)
    [ "${free:-0}" -ge "$word" ] || give_up "only ${free:-0} bytes free in $d, $word to be kept"
    d=
  done
done
"""

# Arguments: seconds, UUID of the domain. Thaws the guest after that time whatever happened to
# us, again and again while it is refused (a suspended guest cannot answer). Prints its pid.
ARM_THAW: Final = """
setsid sh -c '
  sleep "$1"
  for _ in $(seq 200); do
    virsh -q -c qemu:///system domfsthaw "$2" && exit 0
    sleep 3
  done' standby-thaw "$1" "$2" </dev/null >/dev/null 2>&1 &
echo "$!"
"""

# Arguments: pid, UUID of the domain. Lets the thawing guard go, if it is still that process.
DISARM_THAW: Final = """
if tr '\\0' '\\n' < "/proc/$1/cmdline" 2>/dev/null | grep -qxF "$2"; then
  kill -TERM -- "-$1" 2>/dev/null || kill -TERM "$1"
fi
true
"""
