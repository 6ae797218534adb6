"""What people have done by commands, each of it recorded as a run."""

from __future__ import annotations

from datetime import datetime, tzinfo
from pathlib import Path

from standby.app import pausing, points, replicate, seeds
from standby.app.places import Place
from standby.app.points import Reverted
from standby.app.recording import recorded
from standby.app.seeds import Exported
from standby.app.session import Session
from standby.app.verify import VerifyReport, VerifyRequest
from standby.app.verify import verify as verify_points
from standby.cycle.report import CycleReport
from standby.errors import Retry
from standby.model.pause import Pause
from standby.model.plan import CycleRequest
from standby.model.point import BootPoint
from standby.model.run import Amounts, Cause, Failure, RunKind
from standby.planning.selection import Spoilt
from standby.profile import Profile


def run(
    session: Session, profile: Profile, request: CycleRequest, kind: RunKind = RunKind.CYCLE
) -> CycleReport:
    """Run one cycle now. Raises StandbyError; then nothing of a new point is visible."""
    with recorded(session, profile, kind) as recorder:
        run_id = recorder.run.id
        return replicate.run(session, profile, request, Cause.HAND, recorder, run_id)


def verify(session: Session, place: Place, request: VerifyRequest) -> VerifyReport:
    """Verify boot points; damage that remains is a failure of the run."""
    with recorded(session, place.profile, RunKind.VERIFY) as recorder:
        report = verify_points(session, place, request)
        read = sum(disk.read_bytes for it in report.points for disk in it.disks)
        newest = report.points[0].point.name if report.points else None
        recorder.done(newest, Amounts(read=read))
        if not report.sound:
            recorder.fails(_damage(place))
        return report


def export_seed(session: Session, profile: Profile, directory: Path) -> Exported:
    """Write the first copy of a machine to a medium of this host."""
    with recorded(session, profile, RunKind.EXPORT_SEED) as recorder:
        done = seeds.export_seed(session, profile, directory, recorder)
        recorder.done(done.point.name)
        return done


def import_seed(session: Session, profile: Profile, directory: str) -> BootPoint:
    """Take in a seed from a directory of the KVM host."""
    with recorded(session, profile, RunKind.IMPORT_SEED) as recorder:
        point = seeds.import_seed(session, profile, directory)
        recorder.done(point.name, Amounts(stored=sum(it.stored for it in point.deltas)))
        return point


def revert(
    session: Session, place: Place, asked: str, zone: tzinfo, spoilt: Spoilt = Spoilt.REFUSED
) -> Reverted:
    """Let the dormant standby boot the point that `asked` means."""
    with recorded(session, place.profile, RunKind.REVERT) as recorder:
        done = points.revert(session, place, asked, zone, spoilt)
        recorder.done(done.point.name)
        return done


def pause(session: Session, place: Place, until: datetime | None, reason: str) -> Pause:
    """Let no run of a machine begin by itself; kept on the KVM host."""
    with recorded(session, place.profile, RunKind.PAUSE, reason=reason):
        return pausing.pause(session, place, until, reason)


def resume(session: Session, place: Place) -> Pause | None:
    """End a pause; return the one that was ended."""
    with recorded(session, place.profile, RunKind.RESUME):
        return pausing.resume(session, place)


def _damage(place: Place) -> Failure:
    return Failure(
        "RepairStore",
        f"standby {place.called}",
        "what was verified is damaged",
        "",
        f"see which boot points, and mend: standby verify {place.called} --all --repair",
        Retry.NEVER,
    )
