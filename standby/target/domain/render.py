"""The definition of the dormant domain, from its plan."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from standby.host.rendering import render, render_own
from standby.target.domain.spec import NAMESPACE, DomainSpec

_TEMPLATE: Final = "domain.xml.j2"


def render_domain(spec: DomainSpec, template: Path | None = None) -> str:
    """Render a plan by our template, or by a user's own.

    Raises FixProfile when the template is wrong.
    """
    values = {"domain": spec, "namespace": NAMESPACE}
    return render(_TEMPLATE, values) if template is None else render_own(template, values)
