"""What the first process of a host is told before it begins: one line of JSON."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One machine of the lab, as its own first process sees it.

    `storage` is empty for machines that are not hypervisors; `accelerator` is libvirt's
    domain type of its guests, `qemu` or `kvm`; `visible` are paths of the
    machine below that must stay reachable although private directories cover them.
    """

    name: str
    directory: str
    home: str
    address: str
    prefix_length: int
    names: dict[str, str]
    authorised_key: str
    host_key: str
    host_key_public: str
    storage: str
    storage_bytes: int
    host_uuid: str
    accelerator: str
    visible: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The private directory of this host, on the machine below."""
        return Path(self.directory)

    def dump(self) -> str:
        """Return this as one line."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}) + "\n"

    @classmethod
    def load(cls, line: str) -> "HostSpec":
        """Read what `dump` wrote."""
        data = json.loads(line)
        data["visible"] = tuple(data["visible"])
        return cls(**data)
