"""Loading profiles: defaults, policy and profile laid over each other, hosts looked up.

Each layer is judged by itself, so that a mistake is reported even where an upper layer hides
it; then all of them together, without the values found wrong, for what is missing or
impossible. Everything wrong is raised at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from standby.errors import FixProfile
from standby.model.names import is_safe_name
from standby.profile.checks import contradictions, default_standby_name
from standby.profile.document import Branch, Document, Leaf, read_document
from standby.profile.effective import Profile, origins
from standby.profile.file_kind import FileKind
from standby.profile.hosts import LOCAL, HostFile, HostSettings, LocalAddress
from standby.profile.judge import judge
from standby.profile.judged import Layer, mistakes_of_whole, placed, read_layer, sound_part
from standby.profile.keys import section_paths
from standby.profile.layers import merge, node_at, plain, with_empty_sections
from standby.profile.manager import (
    STATE_VARIABLE,
    ManagerFile,
    ManagerSettings,
    default_state_directory,
)
from standby.profile.mistakes import Mark, Mistake, PathInFile, ProfileMistakes, dotted
from standby.profile.profile_file import ProfileFile
from standby.profile.root import Layout
from standby.profile.section import ReadOnly

_POLICY = ("policy",)
_SOURCE_HOST = ("source", "host")
_TARGET_HOST = ("target", "host")


@dataclass(frozen=True, slots=True)
class JudgedHost:
    """A host's file, judged; settings are None where it is wrong, root where it is built in."""

    root: Branch | None
    settings: HostSettings | None
    mistakes: tuple[Mistake, ...] = ()


class Configuration:
    """A configuration root. Each of its files is read once; make a new one to read anew."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self._shared: dict[Path, Layer] = {}
        self._hosts: dict[str, JudgedHost | None] = {}

    def profile_names(self) -> tuple[str, ...]:
        """Return the names of all profiles, sorted."""
        return self.layout.profiles.names()

    def host_names(self) -> tuple[str, ...]:
        """Return the names of all hosts, sorted; `local` is always one."""
        return tuple(sorted({*self.layout.hosts.names(), LOCAL}))

    def profile(self, name_or_file: str) -> Profile:
        """Load a profile by its name or the path of its file.

        Raises FixProfile if there is none of the name, ProfileMistakes with all that is wrong.
        """
        return _Assembly(self, self.layout.profile_file(name_or_file)).profile()

    def host(self, name: str) -> HostSettings:
        """Load one host; raises FixProfile if there is none, ProfileMistakes if it is wrong."""
        found = self.judged_host(name)
        if found is None:
            known = ", ".join(self.host_names())
            raise FixProfile(f"host {name}", "there is no such host", f"one of: {known}")
        if found.settings is None:
            raise ProfileMistakes.of(f"host {name}", list(found.mistakes))
        return found.settings

    def judged_host(self, name: str) -> JudgedHost | None:
        """Return a host's file as judged, or None if there is none."""
        if name not in self._hosts:
            self._hosts[name] = self._read_host(name)
        return self._hosts[name]

    def manager(self) -> ManagerSettings:
        """Load the settings of the management host; defaults hold where there is no file.

        Raises ProfileMistakes when it is wrong.
        """
        mistakes = self.manager_mistakes()
        if mistakes:
            raise ProfileMistakes.of("settings of the manager", list(mistakes))
        read = ManagerFile.model_validate(plain(self._manager_document().root))
        given = os.environ.get(STATE_VARIABLE, "")
        state = Path(given) if given else read.state_directory
        return ManagerSettings.of(
            read, state or default_state_directory(os.environ, Path.home(), os.geteuid())
        )

    def manager_mistakes(self) -> tuple[Mistake, ...]:
        """Return everything that is wrong with the settings of the management host."""
        document = self._manager_document()
        tree, file = document.root, self.layout.manager
        findings = judge(FileKind.MANAGER, tree) if document.readable else ()
        return (*document.mistakes, *(placed(tree, finding, [file]) for finding in findings))

    def _manager_document(self) -> Document:
        file = self.layout.manager
        if not os.path.lexists(file):  # what is there and cannot be read is a mistake
            return Document(file, Branch({}, Mark(file, 1)))
        return with_empty_sections(read_document(file), section_paths(FileKind.MANAGER))

    def host_trees(self) -> Mapping[str, Branch]:
        """Return the files of the hosts read so far, but for the built-in one."""
        return {name: host.root for name, host in self._hosts.items() if host and host.root}

    def shared_layer(self, file: Path) -> Layer:
        """Return defaults.yaml or a policy as judged."""
        if file not in self._shared:
            self._shared[file] = read_layer(FileKind.SHARED, file)
        return self._shared[file]

    def _read_host(self, name: str) -> JudgedHost | None:
        file = self.layout.hosts.file(name)
        if not is_safe_name(name) or not file.exists():
            local = JudgedHost(None, HostSettings(LOCAL, LocalAddress()))
            return local if name == LOCAL else None
        document = read_document(file)
        tree = document.root
        findings = judge(FileKind.HOST, tree) if document.readable else ()
        mistakes = [*document.mistakes, *(placed(tree, finding, [file]) for finding in findings)]
        if mistakes:
            return JudgedHost(tree, None, tuple(mistakes))
        read = HostFile.model_validate(plain(tree))
        if read.address.libvirt_uri is not None:  # then that is where the value comes from
            uri = tree.entries.get("libvirt_uri", tree.entries["address"])
            tree = replace(tree, entries={**tree.entries, "libvirt_uri": uri})
        return JudgedHost(tree, HostSettings.of(name, read))


def load(root: Path, name_or_file: str) -> Profile:
    """Load one profile of the configuration `root`; see Configuration.profile."""
    return Configuration(root).profile(name_or_file)


class _Assembly:
    """Puts one profile together, gathering every mistake on the way."""

    def __init__(self, configuration: Configuration, file: Path) -> None:
        self._configuration = configuration
        self._file = file
        self._name = file.stem
        self._mistakes: list[Mistake] = []

    def profile(self) -> Profile:
        layers = self._layers()
        tree = sound_part(merge(layer.root for layer in layers), layers)
        source = self._host(tree, _SOURCE_HOST)
        target = self._host(tree, _TARGET_HOST)
        self._mistakes += mistakes_of_whole(tree, layers)
        self._mistakes += contradictions(self._name, tree, source, target)
        if self._mistakes or source is None or target is None:
            raise ProfileMistakes.of(f"profile {self._name}", self._mistakes)
        return self._resolved(tree, source, target)

    def _layers(self) -> list[Layer]:
        """Read the layers, lowest first, and gather what is wrong with each."""
        layers = [read_layer(FileKind.PROFILE, self._file)]
        policy = self._policy(layers[0])
        if policy is not None:
            layers.insert(0, policy)
        defaults = self._configuration.layout.defaults
        if defaults.exists():
            layers.insert(0, self._configuration.shared_layer(defaults))
        self._mistakes += [mistake for layer in layers for mistake in layer.mistakes]
        return layers

    def _policy(self, own: Layer) -> Layer | None:
        node = node_at(own.root, _POLICY)
        if not isinstance(node, Leaf) or node.value is None or _POLICY in own.refused:
            return None
        shelf = self._configuration.layout.policies
        file = shelf.file(str(node.value))
        if file.exists():
            return self._configuration.shared_layer(file)
        wrong = f"there is no policy {node.value!r} (no file {file})"
        known = ", ".join(shelf.names()) or "none, as there are no policies"
        self._mistakes.append(Mistake(node.mark, dotted(_POLICY), wrong, known))
        return Layer.unread(file)

    def _host(self, tree: Branch, path: PathInFile) -> HostSettings | None:
        node = node_at(tree, path)
        if not isinstance(node, Leaf):
            return None
        name = str(node.value)
        host = self._configuration.judged_host(name)
        if host is not None:
            self._mistakes += host.mistakes
            return host.settings
        file = self._configuration.layout.hosts.file(name)
        wrong = f"there is no host {name!r} (no file {file})"
        known = ", ".join(self._configuration.host_names())
        self._mistakes.append(Mistake(node.mark, dotted(path), wrong, known))
        return None

    def _resolved(self, tree: Branch, source: HostSettings, target: HostSettings) -> Profile:
        read = ProfileFile.model_validate(plain(tree))
        name = read.standby.name or default_standby_name(self._name)
        named = {"standby": read.standby.model_copy(update={"name": name})}
        read = read.model_copy(update=named)
        profile = Profile.of(self._name, self._file, read, (source, target))
        hosts = self._configuration.host_trees()
        found = origins(profile.effective(), tree, hosts)
        return replace(profile, provenance=ReadOnly(found))
