"""Asking the daemon from the command line, where one runs these profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from standby.errors import StandbyError, TryLater

if TYPE_CHECKING:
    from standby.app.client import DaemonClient
    from standby.app.session import Session


def daemon_of(session: Session) -> DaemonClient | None:
    """Return the daemon that runs this configuration's profiles, None when there is none."""
    from standby.app.client import find_daemon  # noqa: PLC0415 - 0.1 s that --help does not need

    try:
        state = session.configuration.manager().state_directory
    except StandbyError:
        return None  # whoever needs the settings says what is wrong with them
    return find_daemon(state, session.root)


def required_daemon(session: Session) -> DaemonClient:
    """Return the daemon. Raises TryLater when there is none."""
    found = daemon_of(session)
    if found is None:
        raise TryLater(
            "standby serve",
            f"no daemon runs the profiles of {session.root}",
            "a daemon",
            "start it: systemctl start standby, or standby serve",
        )
    return found


def is_profile_name(standby: str) -> bool:
    """Tell whether STANDBY is a profile's name: nothing else does a daemon know."""
    return "/" not in standby and not standby.endswith(".yaml")
