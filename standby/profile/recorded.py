"""A profile read back from the manifest of its standby, for when its file is not at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from standby.errors import RepairStore
from standby.profile.effective import Profile
from standby.profile.hosts import HostFile, HostSettings
from standby.profile.profile_file import ProfileFile
from standby.profile.section import ReadOnly


def recorded_profile(values: Mapping[str, Any], where: str) -> Profile:
    """Return the profile whose `effective()` values were recorded; `where` names it in errors.

    Raises RepairStore when they are not that: a later version's, damaged, or none at all.
    """
    try:
        read = ProfileFile.model_validate({key: values[key] for key in ProfileFile.model_fields})
        return Profile(
            name=str(values["name"]),
            file=Path(where),
            policy=read.policy,
            source=read.source,
            target=read.target,
            standby=read.standby,
            boot_points=read.boot_points,
            transfer=read.transfer,
            merge=read.merge,
            resync=read.resync,
            source_host=_host(read.source.host, values),
            target_host=_host(read.target.host, values),
            standby_name=str(values["standby"]["name"]),
            provenance=ReadOnly({}),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise RepairStore(
            where,
            "the profile recorded there cannot be read" if values else "no profile is recorded",
            "the profile of the last cycle",
            "name the standby by its profile instead",
        ) from error


def _host(name: str, values: Mapping[str, Any]) -> HostSettings:
    return HostSettings.of(name, HostFile.model_validate(values["hosts"][name]))
