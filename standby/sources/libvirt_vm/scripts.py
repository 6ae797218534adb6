"""Running a script in a guest, through its agent."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import libvirt
import libvirt_qemu

from standby.errors import InstallPrograms, ReachHost, StandbyError
from standby.host.libvirt import translate
from standby.host.scripts import LOOK_S, Deadline, Script, ScriptEnding

_ANSWER_S: Final = 15  # how long the agent may take for one answer
_THAW_S: Final = 1.0  # between two questions whether the guest is thawed
_FIRST_LOOK_S: Final = 0.02  # most scripts are short
_NO_AGENT: Final = frozenset(
    {
        libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
        libvirt.VIR_ERR_AGENT_UNSYNCED,
        libvirt.VIR_ERR_OPERATION_INVALID,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    }
)


def run_in_guest(
    domain: libvirt.virDomain, script: Script, wanted: Callable[[], bool]
) -> ScriptEnding:
    """Run a script in a guest to its end, at the longest to its limit.

    It is ended when `wanted` says no. Raises ReachHost when the agent does not answer,
    InstallPrograms when it runs no commands, CommandTimedOut.
    """
    agent = _Agent(domain)
    deadline = Deadline(script, wanted)
    pid = _begin(agent, script, deadline)
    pause = _FIRST_LOOK_S
    while not (status := agent.ask("guest-exec-status", pid=pid))["exited"]:
        if deadline.ends_now():
            agent.begin(script.end_argv)
        deadline.require_hope(agent.name)
        time.sleep(pause)
        pause = min(2 * pause, LOOK_S)
    return deadline.ending(base64.b64decode(status.get("out-data", "")), agent.name)


def _begin(agent: _Agent, script: Script, deadline: Deadline) -> int:
    """Begin it, as soon as the guest is thawed: an agent runs nothing in a frozen one."""
    while True:
        try:
            return agent.begin(script.argv)
        except StandbyError:
            if deadline.late or not agent.frozen():
                raise
        time.sleep(_THAW_S)


@dataclass(frozen=True, slots=True)
class _Agent:
    """The agent of a guest."""

    domain: libvirt.virDomain

    @property
    def name(self) -> str:
        """For messages."""
        return f"guest agent of {self.domain.name()}"

    def begin(self, argv: tuple[str, ...]) -> int:
        """Start a program; return the number by which the agent knows it."""
        program, *arguments = argv
        answer = self.ask("guest-exec", path=program, arg=arguments, **{"capture-output": True})
        return int(answer["pid"])

    def frozen(self) -> bool:
        """Tell whether the guest is frozen, as far as anybody can tell."""
        try:
            return bool(self.ask("guest-fsfreeze-status") == "frozen")
        except StandbyError:
            return False

    def ask(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - the agent's JSON
        """Send one command and return its answer."""
        request = json.dumps({"execute": command, "arguments": arguments})
        try:
            answer = libvirt_qemu.qemuAgentCommand(self.domain, request, _ANSWER_S, 0)
        except libvirt.libvirtError as error:
            raise self._why_not(error) from error
        return json.loads(answer)["return"]

    def _why_not(self, error: libvirt.libvirtError) -> StandbyError:
        found = error.get_error_message()
        if error.get_error_code() in _NO_AGENT:
            return ReachHost(
                self.name, found, "an agent that answers", "start qemu-guest-agent in the guest"
            )
        if error.get_error_domain() == libvirt.VIR_FROM_RPC:
            return translate(error, self.name)
        return InstallPrograms(
            self.name,
            found,
            "a guest with sh(1), whose agent may run commands",
            "allow guest-exec and guest-exec-status in the agent's configuration in the guest",
        )
