"""Secrets by reference: a profile says where a secret is, never what it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import Field, SecretStr

from standby.errors import FixProfile
from standby.profile.kinds import EnvironmentName, LocalPath
from standby.profile.section import Section

_LONGEST_SECRET = 64 * 1024  # bytes; guards against a reference to a device or an image


class SecretFile(Section):
    """A secret in a file of the management host."""

    file: LocalPath = Field(
        description="File on the management host that holds the secret and nothing else; one "
        "line end after it is ignored. Refused when other users may read it.",
        examples=["/etc/standby/secrets/kvm1"],
    )

    @property
    def reference(self) -> str:
        """Where it stands, in words."""
        return f"secret file {self.file}"

    def read(self) -> SecretStr:
        """Return the secret as it is now; raise FixProfile when it cannot be had."""
        subject = self.reference
        try:
            text = _read_private(self.file, subject)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise FixProfile(subject, f"cannot be read: {reason}") from error
        return _not_empty(text.removesuffix("\n").removesuffix("\r"), subject)


class SecretVariable(Section):
    """A secret in an environment variable of the manager."""

    env: EnvironmentName = Field(
        description="Name of the environment variable of the manager that holds the secret.",
        examples=["KVM1_PASSWORD"],
    )

    @property
    def reference(self) -> str:
        """Where it stands, in words."""
        return f"environment variable {self.env}"

    def read(self) -> SecretStr:
        """Return the secret as it is now; raise FixProfile when it is not set."""
        return _not_empty(os.environ.get(self.env, ""), self.reference)


def _read_private(file: Path, subject: str) -> str:
    with file.open("rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LONGEST_SECRET:
            raise FixProfile(subject, "is not a small regular file")
        if status.st_mode & stat.S_IRWXO:
            raise FixProfile(subject, "is open to other users", "mode 0600", f"chmod 0600 {file}")
        return stream.read().decode()


def _not_empty(text: str, subject: str) -> SecretStr:
    if not text:
        raise FixProfile(subject, "is empty or not set")
    return SecretStr(text)
