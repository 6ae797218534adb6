"""The one place that makes XML and pages from templates: always Jinja, always escaped."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jinja2

from standby.errors import FixProfile, InstallPrograms

_INSTALLED: Final = Path("share", "standby", "templates")

# XML 1.0, production 2 (Char): what no document may hold, not even escaped.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def template_directory() -> Path:
    """Return where our templates are: in the checkout, or where they were installed.

    Raise InstallPrograms when they are in neither place.
    """
    candidates = (Path(__file__).parents[2] / "templates", Path(sys.prefix) / _INSTALLED)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise InstallPrograms(
        "templates", "not found", f"a directory {candidates[-1]}", "install this product again"
    )


def render(name: str, values: Mapping[str, object]) -> str:
    """Render one of our templates, named relative to their directory.

    Raise FixProfile when a value is missing in `values` or may not stand in XML.
    """
    return _render(jinja2.FileSystemLoader(template_directory()), name, values)


def render_own(path: Path, values: Mapping[str, object]) -> str:
    """Render a user's own template, which may extend or include ours by name.

    Raise FixProfile, with file and line, when it cannot be read or is wrong.
    """
    own = jinja2.DictLoader({str(path): _read(path)})
    ours = jinja2.FileSystemLoader(template_directory())
    return _render(jinja2.ChoiceLoader([own, ours]), str(path), values)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FixProfile(str(path), str(error), "a readable template in UTF-8") from error


def _render(loader: jinja2.BaseLoader, name: str, values: Mapping[str, object]) -> str:
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_only_xml,
    )
    try:
        return environment.get_template(name).render(values)
    except jinja2.TemplateSyntaxError as error:
        where = f"{error.name or name}:{error.lineno}"
        raise FixProfile(where, error.message or "wrong", "a Jinja template") from error
    except jinja2.TemplateError as error:
        raise FixProfile(f"template {name}", error.message or repr(error)) from error


def _only_xml(value: object) -> object:
    if isinstance(value, str) and (wrong := _NOT_XML.search(value)):
        raise FixProfile(repr(value), f"the character {wrong[0]!r}", "what XML allows")
    return value
