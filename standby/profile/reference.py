"""The reference of all keys, as Markdown, made from the same source as the schema."""

from __future__ import annotations

from collections.abc import Iterator

from standby.profile.file_kind import FileKind
from standby.profile.keys import Key, Need, keys_of
from standby.profile.mistakes import dotted
from standby.profile.root import ENVIRONMENT_VARIABLE, SYSTEM_ROOT
from standby.profile.schema import PROFILE_ONLY

REGENERATE = "standby profile reference > docs/profile-reference.md"

_INTRODUCTION = f"""\
# Reference of the configuration files

Made by `{REGENERATE}`; do not edit it by hand.

## Where the files are

The configuration is one directory, the first of these, never a mixture:

1. the one named by `--config DIR`,
2. the one named by `${ENVIRONMENT_VARIABLE}`,
3. `~/.config/standby`, if it exists,
4. `{SYSTEM_ROOT}`.

| file | holds |
|---|---|
| `profiles/NAME.yaml` | how one machine is protected |
| `policies/NAME.yaml` | values for the profiles that say `policy: NAME` |
| `defaults.yaml` | values for all profiles |
| `hosts/NAME.yaml` | how a host is reached |
| `manager.yaml` | settings of the management host itself, for all profiles together |

A value is taken from the profile; if it has none, from its policy; then from `defaults.yaml`;
then it is the default named below. Mappings are laid over each other key by key; lists are
replaced, and so are `source.disks`, `target.storage` and each entry of `standby.networks`, whose
keys exclude each other. `null` is a value too: it takes back what a lower file says. A section
with nothing below it says nothing.

`standby profile show NAME` prints every value and the file and line it comes from.
`standby profile check` reads all files and contacts no host.

## How values are written

- The files are YAML 1.2: `true` and `false` only, no tags, no aliases, every key once.
- Names of profiles, policies, hosts and standbys are safe as file names, domain names and words
  of a shell: letters, digits, `_`, `.`, `-`, starting with a letter or digit, up to 63.
- Durations: whole numbers with `s`, `m`, `h`, `d` or `w`: `90s`, `1h30m`, `4w`.
- Sizes: whole numbers with `B`, `KiB`, `MiB`, `GiB`, `TiB`, `PiB` (powers of 1024) or `kB`, `MB`,
  `GB`, `TB`, `PB` (powers of 1000). Rates: sizes with `/s`, or `kbit/s`, `Mbit/s`, `Gbit/s`.
- Times of the day: `22:30`. Times: `2026-12-24 22:00`, without a zone. Parts of the day:
  `19:00-06:00`, from the first until before the second.
- Bandwidths may be lists, so that they change with the time of day: the first entry holds whose
  window the clock is in (`schedule.timezone`).
- Secrets never stand in these files: `{{file: PATH}}` names a file of the management host that
  other users cannot read, `{{env: NAME}}` an environment variable of the manager.

Whatever is wrong is reported at once, one mistake on each line:
`FILE:LINE: KEY: what is wrong, allowed: what is allowed`.

Editors complete and check these files with a JSON Schema:
`standby profile schema > profile.schema.json` (`--kind shared` for `defaults.yaml` and policies,
`--kind host` for hosts, `--kind manager` for `manager.yaml`).
"""

_SHARED = """\
## Keys of `defaults.yaml` and of `policies/NAME.yaml`

All keys of a profile, none of them required, except {exceptions}, which name one machine.
"""

_MANAGER = """\
Settings of the management host itself; every key is optional, and so is the file. Profiles do
not see them, and no boot point depends on them.
"""

_LOCAL = """\
A host called `local`, the management host itself, is always there; it needs a file only to
change a value.
"""


def reference() -> str:
    """Return the whole reference; the committed copy is compared with it by a test."""
    exceptions = ", ".join(f"`{dotted(path)}`" for path in PROFILE_ONLY)
    parts = [
        _INTRODUCTION,
        "## Keys of `profiles/NAME.yaml`\n",
        *_entries(FileKind.PROFILE),
        _SHARED.format(exceptions=exceptions),
        "## Keys of `hosts/NAME.yaml`\n",
        _LOCAL,
        *_entries(FileKind.HOST),
        "## Keys of `manager.yaml`\n",
        _MANAGER,
        *_entries(FileKind.MANAGER),
    ]
    return "\n".join(parts)


def _entries(kind: FileKind) -> Iterator[str]:
    return (_entry(key) for key in keys_of(kind))


def _entry(key: Key) -> str:
    if key.need is Need.SECTION:
        return f"### `{key.dotted}`\n\n{key.description}\n"
    lines = [f"#### `{key.dotted}`", "", key.description, "", f"- allowed: {key.allowed}"]
    if key.need is Need.REQUIRED:
        lines.append("- required")
    else:
        lines.append(f"- default: `{key.default}`")
    lines += [f"- example: `{key.name}: {example}`" for example in key.examples]
    return "\n".join(lines) + "\n"
