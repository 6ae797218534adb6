"""Figures for Prometheus, by HTTP and in a file, where the settings of the manager say so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from standby.app.figures import report_of
from standby.app.live import Live
from standby.app.observatory import Observatory
from standby.app.textfile import write_textfile
from standby.errors import StandbyError
from standby.planning.metrics import exposition
from standby.profile.manager import MetricsSettings
from standby.web.metrics import Figures, MetricsServer

log = logging.getLogger("standby.daemon")

_WRITE_EVERY_S: Final = 30.0
_NOWHERE: Final = MetricsSettings()


class FiguresOffered:
    """Offers figures. As long as nobody wants them, nobody looks at standbys for them."""

    def __init__(self, observatory: Observatory, live: Callable[[], Live]) -> None:
        """`live` may raise StandbyError."""
        self._live = live
        self._observatory = observatory
        self._figures = Figures(self._text)
        self._settings = _NOWHERE
        self._server: MetricsServer | None = None
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._cannot_listen = ""
        self._cannot_write = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """What the settings ask for and cannot be had."""
        return tuple(it for it in (self._cannot_listen, self._cannot_write) if it)

    def use(self, settings: MetricsSettings) -> None:
        """Go by these settings from now on; what cannot be had is a problem, and no error."""
        before, self._settings = self._settings, settings
        if settings.listen != before.listen or self._cannot_listen:
            self._listen(settings.listen)
        if settings.textfile is None:
            self._cannot_write = ""
        if settings != _NOWHERE and not self._threads:
            self._observatory.start()
            self._threads.append(
                threading.Thread(target=self._write_on, name="figures", daemon=True)
            )
            self._threads[0].start()

    def close(self) -> None:
        """Offer nothing any more."""
        self._over.set()
        self._listen(None)

    def _text(self) -> str:
        live = self._live()
        return exposition(report_of(self._observatory.sights(live), live, live.at))

    def _listen(self, address: tuple[str, int] | None) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cannot_listen = ""
        if address is None:
            return
        try:
            self._server = MetricsServer(address, self._figures)
            self._server.start()
        except StandbyError as error:
            self._cannot_listen = str(error)
            log.warning("figures are not offered: %s", error)

    def _write_on(self) -> None:
        while not self._over.wait(_WRITE_EVERY_S):
            self._write()

    def _write(self) -> None:
        path = self._settings.textfile
        if path is None:
            return
        try:
            write_textfile(path, self._figures.text())
        except StandbyError as error:
            if str(error) != self._cannot_write:
                log.warning("figures are not written: %s", error)
            self._cannot_write = str(error)
        else:
            self._cannot_write = ""
