"""Keys of a profile that say who is told what about its machine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from standby.model import notice
from standby.profile.hosts import Secret
from standby.profile.kinds import MailAddress, WebAddress
from standby.profile.section import Section

# In the order of the enumeration, so that files and schema are always the same.
_USUAL = tuple(it for it in notice.News if it in notice.MailTo("").news)

_News = Annotated[tuple[notice.News, ...], Field(min_length=1)]
_NEWS = (
    "What is told. `failure`: a run failed, told once for a row of them. `recovery`: the first "
    "good run after failures. `warning`: health became worse. `success`: every boot point. "
    "`daily`, `weekly`: a digest of all machines that this receiver has."
)


def _url_tag(value: object) -> str:
    return "<address>" if isinstance(value, str) else "<secret>"


class Mail(Section):
    """A receiver of e-mail; the server stands in `manager.yaml`."""

    to: MailAddress = Field(description="Address of the receiver.", examples=["ops@example.org"])
    news: _News = Field(default=_USUAL, description=_NEWS, examples=[["failure", "daily"]])


class Webhook(Section):
    """A receiver of JSON by HTTP POST."""

    url: Annotated[
        Annotated[WebAddress, Tag("<address>")] | Annotated[Secret, Tag("<secret>")],
        Discriminator(_url_tag),
    ] = Field(
        description="Where it is sent. One that holds a secret, such as a token in its path, is "
        "given by reference: `{file: PATH}` or `{env: NAME}`. What stands here itself stands in "
        "the manifest on the KVM host too.",
        examples=[
            "https://chat.example.org/hooks/standby",
            {"file": "/etc/standby/secrets/chat-url"},
        ],
    )
    news: _News = Field(default=_USUAL, description=_NEWS, examples=[["failure", "recovery"]])

    @property
    def receiver(self) -> notice.Webhook:
        """The receiver; an address by reference is read when it is needed."""
        url, news = self.url, frozenset(self.news)
        if isinstance(url, str):
            return notice.Webhook.at(url, news)
        reference = url.reference
        return notice.Webhook(reference, lambda: url.read().get_secret_value(), reference, news)


class Notify(Section):
    """Who is told what about this machine."""

    mail: tuple[Mail, ...] = Field(
        default=(),
        description="Receivers of e-mail.",
        examples=[[{"to": "ops@example.org"}, {"to": "boss@example.org", "news": ["weekly"]}]],
    )
    webhooks: tuple[Webhook, ...] = Field(
        default=(),
        description="Receivers of JSON by HTTP POST.",
        examples=[[{"url": "https://chat.example.org/hooks/standby"}]],
    )

    @property
    def receivers(self) -> notice.Receivers:
        """All of them."""
        return notice.Receivers(
            tuple(notice.MailTo(it.to, frozenset(it.news)) for it in self.mail),
            tuple(it.receiver for it in self.webhooks),
        )
