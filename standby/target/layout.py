"""Where things are in a standby's directory. Pure; paths are POSIX paths on the KVM host.

Deltas are named relative to the standby's directory and refer to each other relatively, so
that the whole directory can be moved or copied and still boots.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from standby.errors import FixRequest
from standby.model.names import PointName
from standby.model.point import Delta, digests_beside
from standby.model.seed import SeedOrigin

MANIFEST = "standby.json"
MANIFEST_COPY = "kept/standby.json"
LOCK = "lock"
PUBLISH_LOCK = "publish.lock"
DELTAS = "deltas"
INCOMING = "incoming"
POINTS = "points"
HEADS = "heads"
HEAD = "head"
KEPT = "kept"
UNFINISHED_HEAD = ".new"
RUN = "run"

DEFINITION = "machine.xml"
GIVEN_UP = "given-up"
NVRAM = "nvram.fd"
TPM = "tpm.permall"

_DELTA_FILE = re.compile(r"deltas/(?P<disk>[A-Za-z0-9_.-]+)\.(?P<number>\d{4,})\.(?:qcow2|digests)")
_SEED_FILE = re.compile(
    r"incoming/(?P<generation>\d+)\.(?P<origin>seed|image|resync)-(?P<size>\d+)(?:-(?P<below>\d{4,}))?"
    r"\.(?P<disk>[A-Za-z0-9_.-]+)\.(?P<number>\d{4,})\.qcow2"
)
_MOUNT = re.compile(r"run/mount-(?P<point>V\d{8}_\d{6})\.\w+\.pid")
_POINT_DIRECTORY = re.compile(r"points/V\d{8}_\d{6}")
_HEAD_DIRECTORY = re.compile(r"(?P<point>V\d{8}_\d{6})\.(?P<number>\d+)")


def delta_name(disk: str, number: int) -> str:
    """Name the file of `disk`'s delta `number`, relative to the standby's directory."""
    return f"{DELTAS}/{disk}.{number:04}.qcow2"


def is_point_directory(path: str) -> bool:
    """Tell whether a path is where a point's definition and firmware variables are kept."""
    return _POINT_DIRECTORY.fullmatch(path) is not None


def disk_of_delta(file: str) -> str:
    """Return the disk whose image a file in deltas/ is; "" for tables and what is not ours."""
    match = _DELTA_FILE.fullmatch(file)
    return match["disk"] if match and file.endswith(".qcow2") else ""


def delta_number(file: str) -> int:
    """Return the number in a delta's name; 0 when it is not one of ours."""
    match = _DELTA_FILE.fullmatch(file)
    return int(match["number"]) if match else 0


def incoming_name(file: str, generation: int) -> str:
    """Return where a delta is written before its publication.

    The generation keeps a manager that was overtaken without noticing away from the files of its
    successor, whose deltas have the same numbers.
    """
    return f"{INCOMING}/{generation}.{PurePosixPath(file).name}"


@dataclass(frozen=True, slots=True)
class SeedFile:
    """What the name of an image in incoming/ says that a later cycle can go on with. Bytes.

    Only images whose creation was finished have such names: whatever else is in incoming/ cannot
    be told from half of a file.
    """

    generation: int
    origin: SeedOrigin
    size: int  # of the disk
    disk: str
    number: int
    below: int = 0  # number of the delta that it stands on; 0: it stands on none

    @property
    def image(self) -> str:
        """The image's file, relative to the standby's directory."""
        below = f"-{self.below:04}" if self.below else ""
        what = f"{self.origin.value}-{self.size}{below}.{self.disk}.{self.number:04}"
        return f"{INCOMING}/{self.generation}.{what}.qcow2"

    @property
    def digests(self) -> str:
        """The file of its digests."""
        return digests_beside(self.image)

    @classmethod
    def parse(cls, path: str) -> SeedFile | None:
        """Read the name of an image; None when it is another file."""
        match = _SEED_FILE.fullmatch(path)
        if match is None:
            return None
        generation, size, number = (int(match[key]) for key in ("generation", "size", "number"))
        below = int(match["below"] or 0)
        return cls(generation, SeedOrigin(match["origin"]), size, match["disk"], number, below)


def cycle_pidfile(work: str, generation: int) -> str:
    """Name the pidfile of a storage daemon that works for one holder of the lock."""
    return f"{RUN}/cycle-{work}.{generation}.pid"


def backing_reference(file: str) -> str:
    """Return how an image in deltas/ or incoming/ names `file` below it.

    The reference reads the same from both directories, so that publication is a rename.
    """
    return f"../{file}"


def head_backing_reference(delta: Delta) -> str:
    """Return how an image in heads/<name>/ names the delta below it."""
    return f"../../{delta.file}"


def point_directory(name: PointName) -> str:
    """Return where a point's definition and firmware variables are kept."""
    return f"{POINTS}/{name}"


def given_up_mark(name: PointName) -> str:
    """Name the empty file that says of a point, beside the manifest, that a merge gave it up."""
    return f"{point_directory(name)}/{GIVEN_UP}"


def point_of_directory(directory: str) -> PointName | None:
    """Return the point whose definition a directory keeps, or None when it is not ours."""
    parent, _, name = directory.rpartition("/")
    return _point(name) if parent == POINTS else None


def head_directory(point: PointName, number: int) -> str:
    """Name one head's directory after the point it stands on; `number` makes it unique."""
    return f"{HEADS}/{point}.{number}"


def point_of_head(directory: str) -> PointName | None:
    """Return the point that a head's directory is named after, or None when it is not ours."""
    match = _HEAD_DIRECTORY.fullmatch(PurePosixPath(directory).name)
    return _point(match["point"]) if match else None


def is_head(directory: str) -> bool:
    """Tell whether a directory is one of our heads, be it the one that `head` names or not."""
    return posixpath.dirname(directory) == HEADS and point_of_head(directory) is not None


def number_of_head(directory: str) -> int:
    """Return the number that makes a head's directory unique; 0 when it is not ours."""
    match = _HEAD_DIRECTORY.fullmatch(PurePosixPath(directory).name)
    return int(match["number"]) if match else 0


def mount_pidfile(point: PointName, token: str) -> str:
    """Name the pidfile of a read-only export of a point."""
    return f"{RUN}/mount-{point}.{token}.pid"


def point_of_mount(path: str) -> PointName | None:
    """Return the point that a pidfile's export serves, or None when it is not one."""
    match = _MOUNT.fullmatch(path)
    return _point(match["point"]) if match else None


def _point(text: str) -> PointName | None:
    try:
        return PointName.parse(text)
    except FixRequest:
        return None  # looks like one, but there is no such moment


@dataclass(frozen=True, slots=True)
class StandbyDirectory:
    """The directory of one standby on the KVM host."""

    path: str

    def __truediv__(self, relative: str) -> str:
        return f"{self.path}/{relative}"

    @property
    def manifest(self) -> str:
        """The manifest's path."""
        return self / MANIFEST

    def head_image(self, disk: str) -> str:
        """Return the path that the dormant domain names for `disk`; it never changes."""
        return self / f"{HEAD}/{disk}.qcow2"

    @property
    def head_nvram(self) -> str:
        """The path that the dormant domain names for its firmware variables."""
        return self / f"{HEAD}/{NVRAM}"
