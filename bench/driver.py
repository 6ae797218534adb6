"""Runs on a host of the lab: a warm manager that runs what it is told and times it.

Arguments: the configuration root. Each line of input is one order, each line of output its
result, both JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from standby.app.replicate import run
from standby.app.session import Session
from standby.cycle.report import CycleReport
from standby.host.interface import Host
from standby.model.extent import NbdEndpoint
from standby.model.plan import Copying, CycleRequest
from standby.transfer import DiskCopy, Everything, ZeroPolicy, copy_disks

Answer = dict[str, Any]


class Driver:
    """One session, its connections warm from the second order on."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def cycle(self, profile: str) -> Answer:
        """Run one cycle."""
        begun = time.monotonic()
        report = self._run(profile)
        return _told(report, time.monotonic() - begun)

    def side_by_side(self, profiles: Sequence[str], at_once: int) -> Answer:
        """Run a cycle of each, so many at a time."""
        begun = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            reports = list(pool.map(self._run, profiles))
        return {
            "seconds": time.monotonic() - begun,
            "outcomes": [report.outcome.value for report in reports],
        }

    def libvirt_alone(self, host: str, domain: str) -> Answer:
        """Begin and end an incremental backup with the calls that no cycle can do without."""
        connection = self._host(host).libvirt()
        machine = connection.lookupByName(domain)
        earlier = [one.getName() for one in machine.listAllCheckpoints()]
        name = f"bare-{time.monotonic_ns()}"
        since = f"<incremental>{earlier[-1]}</incremental>" if earlier else ""
        socket = f"/var/lib/libvirt/qemu/{name}.sock"
        backup = (
            f"<domainbackup mode='pull'>{since}"
            f"<server transport='unix' socket='{socket}'/></domainbackup>"
        )
        checkpoint = f"<domaincheckpoint><name>{name}</name></domaincheckpoint>"
        begun = time.monotonic()
        machine.backupBegin(backup, checkpoint, 0)
        machine.abortJob()
        for old in earlier:
            machine.checkpointLookupByName(old).delete()
        return {"seconds": time.monotonic() - begun}

    def fetch(self, host: str, socket: str, sink: str) -> Answer:
        """Copy what a remote socket serves into a local one over the SSH transport."""
        begun = time.monotonic()
        with self._host(host).forward(socket) as local:
            source, target = NbdEndpoint(local, ""), NbdEndpoint(sink, "")
            copy_disks([DiskCopy("vda", source, target, Everything(), ZeroPolicy.WRITE)])
        return {"seconds": time.monotonic() - begun}

    def _run(self, profile: str) -> CycleReport:
        session = self._session
        return run(session, session.profile(profile), CycleRequest(Copying.AS_NEEDED))

    def _host(self, name: str) -> Host:
        return self._session.host(self._session.configuration.host(name))


def _told(report: CycleReport, seconds: float) -> Answer:
    return {
        "seconds": seconds,
        "outcome": report.outcome.value,
        "way": report.way.value,
        "sent": report.data,
        "phases": {it.phase.value: round(it.seconds, 3) for it in report.phases},
    }


def main(root: str) -> None:
    with Session(Path(root)) as session:
        driver = Driver(session)
        orders: dict[str, Callable[..., Answer]] = {
            "cycle": driver.cycle,
            "side by side": driver.side_by_side,
            "libvirt alone": driver.libvirt_alone,
            "fetch": driver.fetch,
        }
        for line in sys.stdin:
            order, *arguments = json.loads(line)
            print(json.dumps(orders[order](*arguments)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
