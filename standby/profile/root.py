"""The configuration root: where it is and what lies in it.

One directory, never a mixture of several:
`--config DIR`, else $STANDBY_CONFIG, else ~/.config/standby where it exists, else /etc/standby.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from standby.errors import FixProfile
from standby.model.names import SAFE_NAME_RULE, is_safe_name

ENVIRONMENT_VARIABLE = "STANDBY_CONFIG"
SYSTEM_ROOT = Path("/etc/standby")
SUFFIX = ".yaml"


def personal_root(home: Path) -> Path:
    """Return where a user's own configuration lies."""
    return home / ".config" / "standby"


def find_root(explicit: Path | None, environment: Mapping[str, str], home: Path) -> Path:
    """Return the configuration root; raise FixProfile if the place named is no directory."""
    named = explicit or (
        Path(environment[ENVIRONMENT_VARIABLE]) if environment.get(ENVIRONMENT_VARIABLE) else None
    )
    places = (named,) if named is not None else (personal_root(home), SYSTEM_ROOT)
    for place in places:
        if place.is_dir():
            return place
    raise FixProfile(
        "configuration",
        f"no directory {' or '.join(str(place) for place in places)}",
        "a directory with profiles/, hosts/ and policies/",
        "name it with --config DIR, or write a first profile: standby profile new NAME",
    )


def place_for_first(explicit: Path | None, environment: Mapping[str, str], home: Path) -> Path:
    """Return the root to write to: the one in use, or the user's own if there is none yet."""
    named = explicit or environment.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named)
    try:
        return find_root(None, environment, home)
    except FixProfile:
        return personal_root(home)


def is_profile_file(text: str) -> bool:
    """Tell whether a STANDBY argument is the path of a profile's file, not its name."""
    return text.endswith(SUFFIX)


@dataclass(frozen=True, slots=True)
class Shelf:
    """One of the root's directories of NAME.yaml files."""

    directory: Path

    def file(self, name: str) -> Path:
        """Return the file of `name`, which need not exist."""
        return self.directory / f"{name}{SUFFIX}"

    def names(self) -> tuple[str, ...]:
        """Return the names that have a file, sorted; hidden files and other endings are not."""
        return tuple(file.stem for file in self._files() if _is_ours(file))

    def strangers(self) -> tuple[Path, ...]:
        """Return the files that look meant to be read, but are not: web.yml, web 1.yaml."""
        endings = {SUFFIX, ".yml", ".json"}
        return tuple(f for f in self._files() if f.suffix in endings and not _is_ours(f))

    def _files(self) -> list[Path]:
        try:
            files = sorted(self.directory.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise FixProfile(str(self.directory), f"cannot be read: {error.strerror}") from error
        return [file for file in files if not file.name.startswith(".")]


def _is_ours(file: Path) -> bool:
    return file.suffix == SUFFIX and is_safe_name(file.stem)


@dataclass(frozen=True, slots=True)
class Layout:
    """The files below a configuration root."""

    root: Path

    @property
    def defaults(self) -> Path:
        """File of the values that hold for all profiles."""
        return self.root / f"defaults{SUFFIX}"

    @property
    def manager(self) -> Path:
        """File of the settings of the management host itself."""
        return self.root / f"manager{SUFFIX}"

    @property
    def profiles(self) -> Shelf:
        """One file for each machine."""
        return Shelf(self.root / "profiles")

    @property
    def policies(self) -> Shelf:
        """Values that several profiles share."""
        return Shelf(self.root / "policies")

    @property
    def hosts(self) -> Shelf:
        """How each host is reached."""
        return Shelf(self.root / "hosts")

    def profile_file(self, name_or_file: str) -> Path:
        """Return the file of the profile that a STANDBY argument means; raise FixProfile."""
        if is_profile_file(name_or_file):
            file = Path(name_or_file)
            if is_safe_name(file.stem):
                return file
            raise FixProfile(str(file), "its name cannot name a profile", SAFE_NAME_RULE)
        if not is_safe_name(name_or_file):
            raise FixProfile("profile", f"the name {name_or_file!r}", SAFE_NAME_RULE)
        file = self.profiles.file(name_or_file)
        if not file.exists():
            known = ", ".join(self.profiles.names()) or "none"
            raise FixProfile(
                f"profile {name_or_file}",
                f"no file {file}",
                f"one of the profiles there: {known}",
                f"write one: standby profile new {name_or_file}",
            )
        return file
