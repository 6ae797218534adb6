"""Where the state of a machine's TPM is read from, and when there is none to be copied."""

from __future__ import annotations

import pytest

from standby.model.machine import MachineDefinition
from standby.sources.libvirt_vm.tpm import tpm_state_path

UUID = "6b21cf23-6d2c-4ef4-9c0c-0f1c3f6a7c11"
STATES = f"/var/lib/libvirt/swtpm/{UUID}"


def machine(*backend: str) -> str:
    tpm = "".join(f"<tpm model='tpm-crb'>{it}</tpm>" for it in backend)
    return f"<domain><uuid>{UUID}</uuid><devices>{tpm}</devices></domain>"


@pytest.mark.parametrize(
    ("backend", "path"),
    [
        ("<backend type='emulator' version='2.0'/>", f"{STATES}/tpm2/tpm2-00.permall"),
        ("<backend type='emulator'/>", f"{STATES}/tpm2/tpm2-00.permall"),
        ("<backend type='emulator' version='1.2'/>", f"{STATES}/tpm1.2/tpm-00.permall"),
        (
            "<backend type='emulator'><source type='dir' path='/srv/tpm'/></backend>",
            "/srv/tpm/tpm2-00.permall",
        ),
        ("<backend type='emulator'><source type='file' path='/srv/tpm'/></backend>", "/srv/tpm"),
    ],
)
def test_an_emulated_tpm_has_its_state_where_libvirt_puts_it(backend: str, path: str) -> None:
    assert tpm_state_path(machine(backend)) == path


@pytest.mark.parametrize(
    "backend",
    [
        "<backend type='passthrough'><device path='/dev/tpm0'/></backend>",
        "<backend type='external'><source type='unix' mode='connect' path='/s'/></backend>",
        f"<backend type='emulator'><encryption secret='{UUID}'/></backend>",
        "<backend type='emulator' version='9.9'/>",
    ],
)
def test_other_states_cannot_be_copied(backend: str) -> None:
    assert tpm_state_path(machine(backend)) is None


def test_a_machine_without_a_tpm_has_no_state() -> None:
    assert tpm_state_path(machine()) is None


def test_a_machine_whose_tpm_holds_something_else_has_changed() -> None:
    def digest(tpm: bytes | None, nvram: bytes | None = None) -> str:
        return MachineDefinition(machine(), nvram, tpm).digest

    digests = {digest(None), digest(b""), digest(b"a"), digest(b"b"), digest(None, b"a")}
    assert len(digests) == 5
