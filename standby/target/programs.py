"""The shell programs that run on the KVM host: constants, never built from strings.

Nothing of ours is installed there. Each is a whole POSIX or bash program whose parameters
arrive as arguments; one program does what must happen in one go, and one round trip is what a
cycle pays for it.
"""

from __future__ import annotations

from typing import Final

STATUS_BUSY: Final = 75  # EX_TEMPFAIL: somebody else holds the lock
STATUS_OVERTAKEN: Final = 76  # the manifest has another generation than ours
STATUS_TORN: Final = 74  # EX_IOERR: the manifest's text did not arrive whole
STATUS_DAEMON_ALIVE: Final = 78  # a storage daemon may still be writing

# Arguments: directory, holder (for people). Prints "locked" and lives until its input ends or
# falls silent for 30 s, so that a dead manager or a cut link frees the lock. flock() and not
# a lock file: the kernel drops it with the process, whatever kills that.
HOLD_LOCK: Final = """
exec 9>>"$1/lock" || exit 73
if ! flock -n 9; then cat "$1/lock.holder" >&2; exit 75; fi
printf '%s\\n' "$2" > "$1/lock.holder"
echo locked
while read -r -t 30 _; do :; done
"""

# Arguments: directory. Creates the skeleton of a standby's directory.
STATUS_NOT_MADE: Final = 71  # EX_OSERR
MAKE_DIRECTORY: Final = """
set -eu
umask 077
mkdir -p "$1"
chmod 0711 "$1"
cd "$1"
for d in deltas heads; do mkdir -p "$d"; chmod 0711 "$d"; done
for d in incoming points kept run; do mkdir -p "$d"; done
sync . ..
"""

# As HOLD_LOCK, in a directory that is made if any of it is missing.
MAKE_AND_HOLD_LOCK: Final = (
    """
for d in deltas heads incoming points kept run; do [ -d "$1/$d" ] || missing=$d; done
[ -z "${missing:-}" ] || (
"""
    + MAKE_DIRECTORY
    + """
) || exit 71
"""
    + HOLD_LOCK
)

# Prints size and name of all in the directory of a head that tells whether it was run: its images,
# and whatever else somebody put there, such as the overlay of a snapshot that libvirt made of a
# standby that was off. What is written then is written there, and the images stay as they were.
_HEAD_NOW: Final = """
for file in *; do
  case $file in fresh|nvram.fd|tpm.permall) continue;; esac
  [ ! -e "$file" ] || stat -c '%s %n' -- "$file"
done
"""

# Prints how the file system that a path lies on is mounted; nothing where that cannot be known.
MOUNT_OPTIONS: Final = """
mount_options() {
  all=$(findmnt -n -r -o OPTIONS -T "$1" 2>/dev/null) && { echo "$all" | tail -n 1; return; }
  at=$(stat -c %m -- "$1" | sed 's/\\\\/\\\\134/g; s/ /\\\\040/g')
  at=$at awk '$5 == ENVIRON["at"] { found = $NF } END { print found }' /proc/self/mountinfo
}
"""

# Arguments: directory. Prints sections that `listing.parse_listing` reads: what is there, sizes in
# bytes. Names that are not ours may hold anything: a newline in one is printed as octal 001, so
# that no name can be taken for a line or a section. What comes and goes meanwhile is no failure,
# though find(1) takes it for one; what cannot be read is, for what is missing would pass for gone.
OBSERVE: Final = (
    MOUNT_OPTIONS
    + """
cd "$1" || { [ -e "$1" ] || exit 73; exit 74; }
echo '== files'
{
  wrong=$(find . -ignore_readdir_race -mindepth 1 -printf '%y %b %P\\0' 2>&1 >&3) ||
    wrong=${wrong:-it was killed}
  ! printf '%s' "$wrong" | grep -qv ': No such file or directory$' || printf '== short\\0'
} 3>&1 | tr '\\n\\0' '\\001\\n'
echo '== head'
readlink head || true
echo '== fresh'
cat head/fresh 2>/dev/null || true
echo '== now'
[ ! -d head ] || (
cd head
"""
    + _HEAD_NOW
    + """
) 2>/dev/null || true
echo '== available'
df -B1 --output=avail . | tail -n 1
echo '== type'
kind=$(stat -f -c %T .); echo "$kind"
echo '== options'
case $kind in nfs*) mount_options .;; esac
echo '== clock'
date +%s
echo '== manifest'
[ ! -e standby.json ] || cat standby.json || exit 74
"""
)

# How every program begins that changes what a standby consists of. Arguments: directory,
# generation expected. A manager that was overtaken without noticing stops here: its lock and this
# program's start may be far apart, but the check and what follows run on the same host in one go.
_FENCED = """
set -eu
cd "$1"
current=$(sed -n 's/^ *"generation": \\([0-9]*\\),$/\\1/p' standby.json 2>/dev/null | head -n 1)
[ "${current:-0}" = "$2" ] || exit 76
shift 2
"""

# Arguments: directory, SHA-256 of the manifest that is replaced ("none" without one), SHA-256 of
# the new one, then pairs "from" "to" of relative paths to flush and to move into place, then "--",
# then paths to flush after that. The manifest comes on standard input. Everything is flushed before
# the one rename that makes it visible; what is replaced is compared under a lock that every
# publication takes, so that an overtaken worker cannot publish, nor anybody undo what a dying one
# still published.
PUBLISH: Final = """
set -eu
cd "$1"; expected=$2; digest=$3; shift 3
umask 022
exec 8>>publish.lock
flock -w 60 8 || exit 75
cat > standby.json.new
printf '%s  standby.json.new\\n' "$digest" | sha256sum -c --status || exit 74
current=none
[ ! -e standby.json ] || current=$(sha256sum < standby.json)
[ "${current%% *}" = "$expected" ] || exit 76
for p in run/cycle-*.pid; do [ ! -e "$p" ] || exit 78; done
# Flushing takes minutes after a first copy: till it is done the files keep the names by which a
# later cycle can go on with them.
words=("$@") moving=()
for ((n = 0; n < $#; n += 2)); do
  [ "${words[n]}" != -- ] || break
  moving+=("${words[n]}")
done
[ "${#moving[@]}" -eq 0 ] || sync -- "${moving[@]}"
while [ "$#" -gt 0 ] && [ "$1" != -- ]; do mv -T "$1" "$2"; shift 2; done
[ "$#" -eq 0 ] || shift
[ "$#" -eq 0 ] || sync -- "$@"
sync standby.json.new
mv -T standby.json.new standby.json
sync .
# Published. The copy is for the day that the manifest is damaged; if it fails, the next one comes.
cp standby.json kept/standby.json.new && sync kept/standby.json.new &&
  mv -T kept/standby.json.new kept/standby.json || true
# The marks are for the day that the copy is lost as well: nothing else tells that a merge may be
# writing into a point. So no merge begins without them.
sed -n 's/^ *{"name": "\\(V[0-9_]*\\)", "standing": "given up".*/\\1/p' standby.json |
  while read -r name; do
    mkdir -p "points/$name" && : > "points/$name/given-up" && sync "points/$name" points || exit 71
  done
"""

# Arguments: directory, SHA-256 of the damaged manifest ("none" without one, or when it is empty),
# relative paths. Keeps a damaged manifest, as a copy: the publication that follows compares what it
# replaces; and moves away what a copy of it does not know. Nothing is moved when the manifest is
# another one than was looked at: then it may be whole, and know all of it.
SET_ASIDE: Final = """
set -eu
cd "$1"; expected=$2; shift 2
exec 8>>publish.lock
flock -w 60 8 || exit 75
current=none
[ ! -s standby.json ] || current=$(sha256sum < standby.json)
[ "${current%% *}" = "$expected" ] || exit 76
kept=kept/damaged-$(date -u +%Y%m%d_%H%M%S)-$$
mkdir "$kept"
[ ! -e standby.json ] || { cp standby.json "$kept/standby.json"; sync "$kept/standby.json"; }
[ -s standby.json ] || rm -f standby.json
for path; do mv -T -- "$path" "$kept/${path//\\//-}"; done
sync "$kept" kept .
"""

# Arguments: directory, generation expected, then relative paths to delete for good.
DROP: Final = (
    _FENCED
    + """
rm -rf -- "$@"
"""
)

# Arguments: directory. Ends daemons that an interrupted run left: those whose pidfile stands in
# run/ as cycle-*.pid and whose command line names that pidfile (a pid may have been given to
# somebody else). Read-only exports of a point, mount-*, are left alone while they live; what a
# crash of this host left of them would hold merges up for ever. A daemon of a cycle that was
# started but has no pidfile yet finds the directory of its sockets gone, and ends.
STOP_LEFTOVER_DAEMONS: Final = """
cd "$1/run" 2>/dev/null || exit 0
is_ours() {
  [ -n "$pid" ] && tr '\\0' '\\n' < "/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$1"
}
for f in cycle-*.pid cycle-*.sockets mount-*.pid mount-*.sockets; do
  [ -e "$f" ] || continue
  name=${f%.*}
  pid=$(cat "$name.pid" 2>/dev/null)
  case $name in mount-*) [ -n "$pid" ] || continue;; esac
  if is_ours "$1/run/$name.pid"; then
    case $name in mount-*) continue;; esac
    kill -KILL "$pid" 2>/dev/null
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
    echo "$name"
  fi
  [ ! -e "$name.sockets" ] || rm -rf "$(cat "$name.sockets")"
  rm -f "$name.pid" "$name.sockets"
done
exit 0
"""

# Arguments: directory. Ends what a predecessor left, then looks.
TAKE_UP: Final = "(" + STOP_LEFTOVER_DAEMONS + ") >/dev/null\n" + OBSERVE

# Arguments: directory, generation expected, then quadruples: file, what it stands on as its header
# will say (empty: nothing), qcow2 options, virtual size in bytes.
CREATE_IMAGES: Final = (
    _FENCED
    + """
umask 077
while [ "$#" -gt 0 ]; do
  rm -f -- "$1"
  if [ -n "$2" ]; then qemu-img create -q -f qcow2 -o "$3" -F qcow2 -b "$2" -- "$1" "$4"
  else qemu-img create -q -f qcow2 -o "$3" -- "$1" "$4"; fi
  shift 4
done
"""
)

# Arguments: directory of a boot point that is about to be published, name of a file in it. The
# content comes on standard input. Publication flushes what the directory stands in.
KEEP_FILE: Final = """
set -eu
umask 077
mkdir -p -- "$1"
cd "$1"
cat > "$2.new"
sync -- "$2.new"
mv -fT -- "$2.new" "$2"
sync .
"""

# Arguments: directory, generation expected, then pairs: a file in incoming/, and the name by which
# a later cycle may go on with it. What has such a name must be whole after a power loss too.
NAME_SEEDS: Final = (
    _FENCED
    + """
for path; do [ ! -e "$path" ] || sync "$path"; done
while [ "$#" -gt 0 ]; do [ "$1" = "$2" ] || mv -T -- "$1" "$2"; shift 2; done
sync incoming
"""
)

# Arguments: directory, generation expected, an image that is only read, its format, the copy,
# qcow2 options, virtual size in bytes of the copy, at least the image's.
COPY_IMAGE: Final = (
    _FENCED
    + """
umask 077
rm -f -- "$3"
qemu-img convert -q -f "$2" -O qcow2 -o "$4" -- "$1" "$3"
qemu-img resize -q -f qcow2 -- "$3" "$5"
"""
)

# Arguments: directory, generation expected, a file of a medium, and its copy in incoming/.
TAKE_FILE: Final = (
    _FENCED
    + """
umask 077
cp --reflink=auto --sparse=auto -- "$1" "$2"
"""
)

# Arguments: directory, generation expected, then pairs: image and digests of an interrupted first
# copy. Frees the clusters that a killed daemon had allocated and not used, and prints each pair's
# image in which anything else is wrong.
CHECK_SEEDS: Final = (
    _FENCED
    + """
while [ "$#" -gt 0 ]; do
  for image in "$1" "$2"; do
    qemu-img check -q -f qcow2 -r leaks "$image" >/dev/null 2>&1 || { echo "$1"; break; }
  done
  shift 2
done
"""
)

# Arguments: directory, generation expected, head's directory, firmware variables to copy (empty:
# none), then as CREATE_IMAGES, paths relative to the standby's directory. All images and the
# variables of a head are one directory, and `head` is a link that one rename turns to it: a
# standby never boots disks of two points. `fresh` records the images' sizes, by which a later look
# knows whether anybody wrote to them: qcow2 cannot take a write without growing. A head without
# it was made by hand, and what is in it is somebody's; so ours gets its name when it is whole.
_MAKE_HEAD = """
head=$1; nvram=$2; shift 2
umask 077
new=$head.new
rm -rf -- "$new"; mkdir -- "$new"; chmod 0711 "$new"
while [ "$#" -gt 0 ]; do
  if [ -n "$2" ]; then qemu-img create -q -f qcow2 -o "$3" -F qcow2 -b "$2" -- "$1" "$4"
  else qemu-img create -q -f qcow2 -o "$3" -- "$1" "$4"; fi
  shift 4
done
[ -z "$nvram" ] || cp -- "$nvram" "$new/nvram.fd"
(cd "$new" && stat -c '%s %n' -- *.qcow2 > fresh)
sync "$new"/* "$new"
mv -T -- "$new" "$head"
sync heads
"""

# Argument: head's directory.
_TURN_HEAD = """
rm -f head.new
ln -s -- "$1" head.new
mv -T head.new head
sync .
"""

# Arguments: directory, generation expected, head's directory.
TURN_HEAD: Final = _FENCED + _TURN_HEAD

# As _MAKE_HEAD, then the link is turned to that head. Prints "turned", then what the link named
# before. Until its input ends or falls silent for 12 s it holds the locks that a running machine
# takes, on the images of the new head: libvirt reads what images stand on before it runs QEMU, and
# a start that looked at the old head and opens the new one would run the new overlay on the chain
# of another boot point. It fails instead. The locks are qemu-io's, which ends with this program,
# whatever kills that.
STAND_HEAD: Final = (
    _FENCED
    + _MAKE_HEAD
    + """
hold=$(mktemp -d)
trap 'rm -rf "$hold"' EXIT
mkfifo "$hold/in"
exec 7<>"$hold/in"
pids=
for image in "$PWD/$head"/*.qcow2; do
  said=$hold/said.$(basename -- "$image")
  alone="json:{\\"driver\\":\\"qcow2\\",\\"backing\\":null,\\"file\\":{\\"driver\\":\\"file\\",\\"filename\\":\\"$image\\"}}"
  qemu-io "$alone" <"$hold/in" >"$said" 2>&1 7>&- &
  pids="$pids $!"
  until grep -q '^qemu-io' "$said"; do
    kill -0 "$!" 2>/dev/null || { cat "$said" >&2; exit 70; }
    sleep 0.01
  done
done
before=$(readlink head || true)
set -- "$head"
"""
    + _TURN_HEAD
    + """
printf 'turned\\n%s\\n' "$before"
while read -r -t 12 _; do :; done
exec 7>&-
wait
"""
)

# Arguments: directory, head. Exit status 77 when one of its images is open somewhere (qemu-img
# takes the locks that a running machine holds), 78 when one was written to or nobody knows, 0 when
# it is fresh or gone.
PROBE_HEAD: Final = (
    """
cd "$1/$2" 2>/dev/null || exit 0
for image in *; do
  case $image in fresh|nvram.fd|tpm.permall) continue;; *.qcow2) set -- -f qcow2;; *) set --;; esac
  [ ! -e "$image" ] || qemu-img info "$@" "$image" >/dev/null || exit 77
done
now=$(
"""
    + _HEAD_NOW
    + """
)
[ "$now" = "$(cat fresh 2>/dev/null)" ] || exit 78
"""
)

# Arguments: directory, generation expected, a head that the link does not name.
KEEP_HEAD: Final = (
    _FENCED
    + """
kept=kept/$(basename -- "$1")
[ ! -e "$kept" ] || kept=$kept-$(date -u +%Y%m%d%H%M%S)
[ ! -d "$1" ] || mv -T -- "$1" "$kept"
sync heads kept .
"""
)

# Arguments: directory. Prints, for all files of the store that may be images and that may be read:
# size and path of each, ended by NUL, and one NUL more; the first 4096 bytes of each, without a
# gap; sizes and paths again, by which the caller knows that nothing has changed meanwhile. So a few
# programs read hundreds of files.
READ_HEADERS: Final = """
cd "$1" || exit 73
find . -mindepth 1 \\( -path ./incoming -o -path ./points -o -path ./run \\) -prune -o \\
  -type f -exec sh -c '
    for file; do shift; [ ! -r "$file" ] || set -- "$@" "$file"; done
    [ "$#" -gt 0 ] || exit 0
    list() { stat --printf "%s %n\\0" -- "$@" && printf "\\0"; }
    list "$@" && head -q -c 4096 -- "$@" && list "$@"' sh {} +
"""

# Arguments: directory, generation expected, then pairs: image, what it stands on from now on.
REBASE_IMAGES: Final = (
    _FENCED
    + """
while [ "$#" -gt 0 ]; do
  qemu-img rebase -q -u -f qcow2 -F qcow2 -b "$2" -- "$1"
  sync "$1"
  shift 2
done
"""
)

# Arguments: directory, generation expected, then a file and what it takes the place of.
REPLACE: Final = (
    _FENCED
    + """
sync "$1"
mv -T -- "$1" "$2"
sync deltas incoming
"""
)

# Arguments: directory, then images. Prints those that are no whole images and what is
# wrong, a line for each. The description is JSON since an option string takes no backing file away;
# names of ours hold nothing that JSON escapes. qemu-img check (0 sound, 3 only leaks) does not see
# that a file is cut short, whose missing end reads as zeroes: so the header's L1 table (qcow2
# specification: 20 cluster_bits, 36 l1_size, 40 l1_table_offset) and the map must lie within it.
CHECK_IMAGES: Final = """
cd "$1" || exit 73
shift
number() { od -An -v --endian=big -j "$2" -N "$3" -t "u$3" "$1" | tr -d ' '; }
wrong() {
  [ -e "$1" ] || { echo missing; return; }
  image="json:{\\"driver\\":\\"qcow2\\",\\"backing\\":null,\\"file\\":{\\"driver\\":\\"file\\",\\"filename\\":\\"$1\\"}}"
  said=$(qemu-img check -q -U "$image" 2>&1)
  case $? in 0|3) ;; *) printf '%s\\n' "${said:-damaged}" | tail -n 1 | cut -c 1-200; return;; esac
  size=$(stat -c %s "$1") needed=0 seen=0
  cluster=$((1 << $(number "$1" 20 4))) l1=$(number "$1" 36 4) at=$(number "$1" 40 8)
  for entry in $(od -An -v --endian=big -w8 -j "$at" -N $((8 * l1)) -t x8 "$1"); do
    seen=$((seen + 1)) offset=$((0x${entry#??} & ~511))
    [ "$offset" -eq 0 ] || [ "$needed" -ge $((offset + cluster)) ] || needed=$((offset + cluster))
  done
  [ "$seen" -eq "$l1" ] || needed=$((size + 1))
  end=$(qemu-img map -U --output=json "$image" | tr -d ' {}[]' | awk -F'[:,]' '
    { for (n = 1; n < NF; n++) { if ($n == "\\"length\\"") length_ = $(n + 1)
        if ($n == "\\"offset\\"" && $(n + 1) + length_ > most) most = $(n + 1) + length_ } }
    END { printf "%.0f", most }')
  [ "$needed" -ge "$end" ] || needed=$end
  [ "$size" -ge "$needed" ] || echo "cut short: $size bytes of at least $needed"
}
for file; do
  found=$(wrong "$file")
  [ -z "$found" ] || printf '%s %s\\n' "$file" "$found"
done
"""
