"""The state of a machine's emulated TPM: what a guest's disk encryption may hang on."""

from __future__ import annotations

from xml.etree import ElementTree

from standby.model.tpm import TpmVersion, tpm_directory


def tpm_state_path(xml: str) -> str | None:
    """Return the file with the state of the machine's TPM, or None without one to be copied.

    swtpm replaces that file atomically, so a copy is whole at any moment. An encrypted state is
    of no use elsewhere, as its key is a secret of the source's libvirt.
    """
    root = ElementTree.fromstring(xml)  # noqa: S314 - libvirt's own output
    backend = root.find("./devices/tpm/backend[@type='emulator']")
    if backend is None or backend.find("encryption") is not None:
        return None
    version = TpmVersion.named(backend.get("version", ""))
    if version is None:
        return None
    source = backend.find("source")
    if source is None:
        return f"{tpm_directory(root.findtext('uuid', ''), version)}/{version.file}"
    path = source.get("path", "")
    return path if source.get("type") == "file" else f"{path}/{version.file}"
