"""The product's own source, parsed, for tests that read it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "standby"


@dataclass(frozen=True)
class Module:
    """One source file. `path` is relative to the package: planning/retention.py."""

    path: str
    source: str

    @property
    def room(self) -> str:
        """Its room: the directory below the package, or the name of a file beside the rooms."""
        first = Path(self.path).parts[0]
        return first.removesuffix(".py")

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    def imports(self) -> list[tuple[int, str]]:
        """Line and full name of everything it imports, wherever in the file that is written."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        return found

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = ["standby", *Path(self.path).parts[:-1]]
        above = here[: len(here) - (node.level - 1)]
        return ".".join([*above, *([node.module] if node.module else [])])


def product() -> list[Module]:
    """Every module of the product."""
    return [
        Module(str(path.relative_to(PACKAGE)), path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
    ]
