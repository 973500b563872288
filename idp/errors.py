"""errors — what can go wrong, with two audiences: `public` is all that the caller may learn; the rest is for us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from idp.language import gettext, marked


class IdpError(Exception):
    """Base of every expected failure. `public` is one sentence for the person or developer who caused it, in their language."""

    status = 400
    code = "bad_request"
    public = marked("The request could not be understood.")

    def __init__(self, public: str | None = None, *, detail: str | None = None) -> None:
        self.public = public or gettext(type(self).public)
        self.detail = detail  # for the log only
        super().__init__(detail or self.public)


class BadInput(IdpError):
    """Some fields are wrong; `fields` maps a field to the sentences that say what."""

    code = "invalid_input"
    public = marked("Some of what was sent cannot be used.")

    def __init__(self, fields: Mapping[str, Sequence[str]] | None = None, *, public: str | None = None) -> None:
        self.fields = {name: list(sentences) for name, sentences in (fields or {}).items()}
        told = " ".join(sentence for sentences in self.fields.values() for sentence in sentences)
        super().__init__(public or told or None)


class NotFound(IdpError):
    """There is no such thing, or the caller may not know that there is."""

    status = 404
    code = "not_found"
    public = marked("There is nothing here.")


class Forbidden(IdpError):
    """The caller may not do this."""

    status = 403
    code = "forbidden"
    public = marked("You may not do this.")


class Conflict(IdpError):
    """It exists already, or somebody was faster."""

    status = 409
    code = "conflict"
    public = marked("This has been changed or taken in the meantime.")


class TooMany(IdpError):
    """Too many attempts; `retry_after_s` says how long to wait."""

    status = 429
    code = "too_many_requests"
    public = marked("Too many attempts. Please wait a moment.")

    def __init__(self, public: str | None = None, *, retry_after_s: int = 30, detail: str | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(public, detail=detail)


class Unavailable(IdpError):
    """A part that we need is away or overloaded; nothing was done."""

    status = 503
    code = "temporarily_unavailable"
    public = marked("Sign-in is not available right now. Nothing was lost; please try again in a minute.")

    def __init__(self, public: str | None = None, *, retry_after_s: int = 10, detail: str | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(public, detail=detail)
