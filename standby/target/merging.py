"""Merging two neighbours: the younger's delta is committed down into the older's file.

The storage daemon's block-commit does the work. It opens the two files of each disk and nothing
below them, so it costs in proportion to the younger delta whatever the chain's length. The older
point was marked as given up before; the younger one reads the same at every moment, since its
own clusters lie above whatever the commit writes below. See docs/store-format.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from standby.errors import CommandFailed, FreeSpace, StandbyError, TryLater
from standby.host.qmp import QmpSession
from standby.host.storage_daemon import DaemonSettings, refused_lock, storage_daemon
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.point import Delta
from standby.target import layout, programs
from standby.target.nodes import image_node
from standby.target.users import Images
from standby.target.writer import Writer

_COMMAND_S: Final = 120.0
_JOB: Final = "merge"
_EVENTS: Final = ("JOB_STATUS_CHANGE",)
# A merge is limited by its progress, not by a clock: a job that has not moved for this long has
# lost its storage.
_STALLED_S: Final = 600.0

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class MergeSpeed:
    """How fast a merge may write, bytes per second; 0 without a limit."""

    bytes_per_second: int = 0


UNLIMITED: Final = MergeSpeed()


@dataclass(frozen=True, slots=True)
class MergeWork:
    """The work of one merge. `pairs` are (younger's delta, older's delta), disk by disk."""

    writer: Writer
    manifest: Manifest
    older: PointName
    pairs: tuple[tuple[Delta, Delta], ...]
    report: Report
    speed: MergeSpeed

    def commit(self) -> None:
        """Commit every file. Raises TryLater when somebody has one of them open."""
        files = self._files()
        if not files:
            return
        nodes = (node for number, pair in enumerate(files) for node in self._nodes(number, *pair))
        pidfile = layout.cycle_pidfile("merge", self.writer.generation)
        settings = DaemonSettings(self.writer.directory / pidfile, tuple(nodes))
        try:
            with storage_daemon(self.writer.host, settings) as daemon, daemon.qmp() as session:
                for number, (younger, _) in enumerate(files):
                    self._commit(session, number, f"merge {self.older} {younger}")
        except CommandFailed as error:
            raise self._why(error) from error

    def rebase(self, images: Images) -> None:
        """Let everything that stands on the younger's files stand on the older's.

        Raises TryLater when the standby was started meanwhile: what is rebased and what is not
        reads the same, and the mark lets a later cycle finish.
        """
        words: list[str] = []
        for younger, older in self._files():
            for image in images.on(younger):
                words += [image, _reference(image, older)]
        if words:
            try:
                self.writer.run(
                    programs.REBASE_IMAGES, "standby-rebase", *words, timeout=_COMMAND_S
                )
            except CommandFailed as error:
                raise self._why(error) from error

    def _files(self) -> tuple[tuple[str, str], ...]:
        """Return the files, younger's and older's: of each disk its delta, then its digests."""
        return tuple(
            pair
            for younger, older in self.pairs
            for pair in ((younger.file, older.file), (younger.digests, older.digests))
        )

    def stored(self) -> Mapping[str, int]:
        """Return the allocated bytes of each merged file."""
        if not self.pairs:
            return {}
        paths = [self.writer.directory / older.file for _, older in self.pairs]
        lines = self.writer.host.run(
            ("stat", "-c", "%b", "--", *paths), timeout=_COMMAND_S
        ).text.split()
        disks = (younger.disk for younger, _ in self.pairs)
        return {disk: int(blocks) * 512 for disk, blocks in zip(disks, lines, strict=True)}

    def _commit(self, session: QmpSession, number: int, what: str) -> None:
        session.execute(
            "block-commit",
            {
                "job-id": _JOB,
                "device": f"younger-{number}",
                "base-node": f"older-{number}",
                "speed": self.speed.bytes_per_second,
                "auto-finalize": True,
                "auto-dismiss": False,
            },
            timeout=_COMMAND_S,
        )
        self._follow(session, what)

    def _follow(self, session: QmpSession, what: str) -> None:
        seen: _JobState | None = None
        while seen is None or seen.status != "concluded":
            probe = partial(_next_state, session, seen)
            now = session.poll(probe, _EVENTS, timeout=_STALLED_S, what=f"progress of {what}")
            self.report(what, now.done, now.total)
            if seen is not None and seen.status == now.status:
                session.pause(_EVENTS)  # it moves all the time, and answers where it should copy
            elif now.status == "ready":
                session.execute("job-complete", {"id": _JOB}, timeout=_COMMAND_S)
            seen = now
        _require_success(seen, what)
        session.execute("job-dismiss", {"id": _JOB}, timeout=_COMMAND_S)

    def _nodes(self, number: int, younger: str, older: str) -> Iterator[Mapping[str, object]]:
        directory, below = self.writer.directory, f"older-{number}"
        yield {**image_node(below, directory / older), "backing": None}
        yield {**image_node(f"younger-{number}", directory / younger), "backing": below}

    def _why(self, error: CommandFailed) -> StandbyError:
        if refused_lock(error):
            return TryLater(
                f"merge of {self.older}",
                "a file of the pair is in use",
                "files that nobody has open",
                "it is taken up again by the next cycle",
            )
        return error


def merge_pair(
    writer: Writer,
    manifest: Manifest,
    older: PointName,
    report: Report,
    speed: MergeSpeed,
) -> MergeWork:
    """Return the work of merging the point above `older` down into it."""
    return MergeWork(writer, manifest, older, manifest.commits(older), report, speed)


@dataclass(frozen=True, slots=True)
class _JobState:
    """QEMU's JobInfo: status, bytes done and to do, error if it failed."""

    status: str
    done: int
    total: int
    error: str


def _next_state(session: QmpSession, seen: _JobState | None) -> _JobState | None:
    """Return the job's state when it is another one than `seen`."""
    jobs = session.execute("query-jobs", timeout=_COMMAND_S)
    job = next(job for job in jobs if job["id"] == _JOB)
    state = _JobState(
        job["status"], job["current-progress"], job["total-progress"], job.get("error", "")
    )
    return None if state == seen else state


def _require_success(state: _JobState, what: str) -> None:
    if "No space left" in state.error:
        raise FreeSpace(
            what,
            state.error,
            "room for the younger delta",
            "nothing is lost; free space, then the next cycle finishes the merge",
        )
    if state.error:
        raise CommandFailed(
            what, state.error, "a finished block-commit", status=1, stderr=state.error
        )


def _reference(image: str, file: str) -> str:
    """Return how `image`, relative to the store, names `file`, whatever depth it lies at."""
    return "../" * image.count("/") + file
