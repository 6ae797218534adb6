"""The dormant machine: head, domain and TPM, moved from one boot point to another together."""

from __future__ import annotations

import logging
from dataclasses import replace

from standby.model.machine import MachineDefinition
from standby.model.manifest import DefinedDomain
from standby.model.observation import DomainFound
from standby.model.plan import HeadMove
from standby.model.point import BootPoint
from standby.target import layout
from standby.target.definitions import Definitions
from standby.target.domain_interface import DormantDomain
from standby.target.head import Heads, Variables
from standby.target.listing import Listing

log = logging.getLogger(__name__)


class DormantMachine:
    """What somebody starts in a disaster. `known` is the domain as the manifest tells it."""

    def __init__(self, heads: Heads, domain: DormantDomain, definitions: Definitions) -> None:
        self._heads = heads
        self._directory = heads.directory
        self._domain = domain
        self._definitions = definitions

    def stands_on(self, point: BootPoint, listing: Listing, known: DefinedDomain | None) -> bool:
        """Tell whether it boots `point` already, with nothing left to do."""
        return self._heads.stands_on(point, listing) and self._is_defined(known)

    def stand_on(
        self, point: BootPoint, listing: Listing, known: DefinedDomain | None, move: HeadMove
    ) -> DefinedDomain:
        """Let it boot `point`; return the domain as it is now.

        With SET_ASIDE by a fresh head in any case: the one that somebody ran is kept, with the TPM
        that its disks may be sealed to. At every moment there is a head that can be started.
        Raises StandbyStarted when it was started meanwhile, and as DormantDomain.define.
        """
        definition = self._definitions.read(point.name)
        copied = self._domain.takes_variables(definition, point)
        variables = Variables.COPIED if copied else Variables.FRESH
        if move is HeadMove.SET_ASIDE or not self._heads.stands_on(point, listing):
            self._keep_tpm(definition, listing, move)
            self._heads.stand_on(point, listing, variables)
        defined = self._domain.define(definition, point, known)
        return defined if definition.tpm is None else self._with_tpm(defined, definition, point)

    def _keep_tpm(self, definition: MachineDefinition, listing: Listing, move: HeadMove) -> None:
        """Keep what the TPM holds beside the head that goes: that may have been run by now.

        With a head that nobody ran it goes as well.
        """
        if move is HeadMove.SET_ASIDE or (definition.tpm is not None and listing.head_exists):
            self._domain.keep_tpm(self._directory / f"{layout.HEAD}/{layout.TPM}")

    def _is_defined(self, known: DefinedDomain | None) -> bool:
        return known is not None and not known.due and self._domain.found() is DomainFound.OURS

    def _with_tpm(
        self, defined: DefinedDomain, definition: MachineDefinition, point: BootPoint
    ) -> DefinedDomain:
        """Give the domain's TPM a point's state, unless it runs or ran on what it has meanwhile.

        What could not be done is due, and the manifest says so until it is done.
        """
        if self._domain.is_active() or not self._heads.is_untouched():
            log.warning("%s: the standby was started; its TPM is left alone", self._directory.path)
            return replace(defined, due=True)
        state = self._directory / f"{layout.point_directory(point.name)}/{layout.TPM}"
        error = self._domain.place_tpm(definition, state)
        return replace(defined, due=error is not None, lacks_tpm=str(error or ""))
