"""Editing a profile: on a copy, judged before it takes the profile's place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from standby.errors import FixProfile
from standby.host.editor import edit, editor_of
from standby.profile import Configuration, ProfileMistakes
from standby.profile.saving import replace_profile


class Outcome(Enum):
    """What became of an edit."""

    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    LEFT = "left"  # with mistakes in the copy, which is kept


@dataclass(frozen=True, slots=True)
class Edited:
    """The profile's file, what became of it, and the copy where that is kept."""

    file: Path
    outcome: Outcome
    copy: Path | None = None


__all__ = ["AskAgain", "Edited", "Outcome", "edit_profile", "editor_of"]

AskAgain = Callable[[ProfileMistakes], bool]


def edit_profile(root: Path, name: str, editor: tuple[str, ...], again: AskAgain) -> Edited:
    """Let somebody edit a copy of a profile until it has no mistakes; then put it in its place.

    `again` is shown the mistakes and tells whether to go on. Until the end the profile stays as
    it is. Raises FixProfile, FixRequest and InstallPrograms when there is nothing to edit or to
    edit with, TryLater when somebody else changed it meanwhile; the copy is kept then.
    """
    file = Configuration(root).layout.profile_file(name)
    before = _content(file)
    # The name of the copy is the profile's: the standby's name may follow from it.
    copy = Path(tempfile.mkdtemp(prefix="standby-edit-")) / file.name
    try:
        copy.write_bytes(before)
        outcome = _edit_until_sound(root, copy, editor, again)
        if outcome is Outcome.REPLACED:
            replace_profile(file, copy, before)
            copy.write_bytes(before)  # nothing in it is worth keeping any more
        return Edited(file, outcome, copy if outcome is Outcome.LEFT else None)
    finally:
        if copy.read_bytes() == before:
            shutil.rmtree(copy.parent)


def _edit_until_sound(root: Path, copy: Path, editor: tuple[str, ...], again: AskAgain) -> Outcome:
    before = copy.read_bytes()
    while True:
        edit(editor, copy)
        if copy.read_bytes() == before:
            return Outcome.UNCHANGED
        try:
            Configuration(root).profile(str(copy))
        except ProfileMistakes as mistakes:
            if not again(mistakes):
                return Outcome.LEFT
        else:
            return Outcome.REPLACED


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FixProfile(str(file), f"cannot be read: {error.strerror}") from error
