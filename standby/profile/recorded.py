"""A profile read back from the manifest of its standby, for when its file is not at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from standby.errors import RepairStore
from standby.profile.effective import Profile
from standby.profile.hosts import HostFile, HostSettings
from standby.profile.profile_file import ProfileFile


def recorded_profile(values: Mapping[str, Any], where: str) -> Profile:
    """Return the profile whose `effective()` values were recorded; `where` names it in errors.

    Raises RepairStore when they are not that: a later version's, damaged, or none at all.
    """
    try:
        # What was recorded before a section existed holds by its defaults.
        known = {key: values[key] for key in ProfileFile.model_fields if key in values}
        read = ProfileFile.model_validate(known)
        hosts = _host(read.source.host, values), _host(read.target.host, values)
        profile = Profile.of(str(values["name"]), Path(where), read, hosts)
        return replace(profile, standby_name=str(values["standby"]["name"]))
    except (KeyError, TypeError, ValidationError) as error:
        raise RepairStore(
            where,
            "the profile recorded there cannot be read" if values else "no profile is recorded",
            "the profile of the last cycle",
            "name the standby by its profile instead",
        ) from error


def _host(name: str, values: Mapping[str, Any]) -> HostSettings:
    return HostSettings.of(name, HostFile.model_validate(values["hosts"][name]))
