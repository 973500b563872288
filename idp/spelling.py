"""spelling — text that strangers may have written, as it may be shown: shortened, nothing secret in it, nothing that steers a terminal.

It loads nothing, so that the command line can use it at once.
"""

from __future__ import annotations

import re

MAX_TEXT = 2000  # characters of one value
HIDDEN = "[hidden]"

# C0 and C1 controls, DEL, line and paragraph separators, direction marks, invisible joiners, lone surrogates, tags.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))

_CREDENTIALS = (
    r"(?:[a-z]{1,24}[_-]){0,4}(?:token|secret|password|passwd|pepper|otp|assertion|verifier|cookie|credential|authorization)"
    r"|(?:user_|device_|auth_|authorization_|recovery_|totp_)?code|raw_[a-z_]{1,40}|otpauth_uri|csrf"
)
SECRET_FIELD = re.compile(rf"^(?:{_CREDENTIALS})s?$", re.IGNORECASE)
_SECRET_PAIR = re.compile(
    rf"""(?P<name>(?<![\w-])["']?(?:{_CREDENTIALS})["']?\s?[=:]\s?)(?P<value>"[^"]*"|'[^']*'|[^\s,;&"')}}\]]+)""",
    re.IGNORECASE,
)
# Each of them is linear in the length of the text, which a stranger may have written.
_REPLACEMENTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\[parameters: .*?(?=\n\(Background|\Z)", re.DOTALL), f"[parameters: {HIDDEN}]"),  # SQLAlchemy
    (re.compile(r"\b(Bearer|Basic|DPoP|Negotiate) [A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)+"), HIDDEN),  # JWT, JWE
    (re.compile(r"(?<=://)[^/\s@:]{0,128}:[^/\s@]{0,256}@"), f"{HIDDEN}@"),  # user:password in a URL
    (re.compile(r"\?[^\s\"'<>?=]*=[^\s\"'<>]*"), f"?{HIDDEN}"),  # a query string
    (re.compile(r"\$(?:2[abxy]|argon2[a-z]*|pbkdf2[a-z0-9-]*|scrypt)\$[^\s\"']+"), HIDDEN),  # a password hash
)


# Text in which none of the above can stand: letters, digits and signs that neither assign nor quote. Most values are of this kind.
_PLAIN = re.compile(r"[A-Za-z0-9 _./,;()+-]*", re.ASCII)
_PLAIN_SECRET = re.compile(r"eyJ|\b(?:Bearer|Basic|DPoP|Negotiate) ", re.IGNORECASE)


def clean(text: str, *, longest: int = MAX_TEXT, keep_lines: bool = False) -> str:
    """Return text that may stand in a log: shortened, secrets hidden, control characters spelled out."""
    if len(text) <= longest and _PLAIN.fullmatch(text) and not _PLAIN_SECRET.search(text):
        return text
    hidden = redact(text[: 2 * longest])
    if len(text) > longest:
        hidden = f"{hidden[:longest]}… ({len(text)} characters)"
    return spell_out(hidden, keep_lines=keep_lines)


def spell_out(text: str, *, keep_lines: bool = False) -> str:
    """Replace characters that steer a terminal or forge lines (controls, bidi, separators) by their escapes."""
    pattern = _UNSAFE_BUT_LINES if keep_lines else _UNSAFE
    return pattern.sub(lambda found: _spelled(found[0]), text)


def redact(text: str) -> str:
    """Hide what looks like a credential: `code=…`, `Authorization: Bearer …`, JWTs, query strings, password hashes."""
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return _SECRET_PAIR.sub(rf"\g<name>{HIDDEN}", text)


def _spelled(character: str) -> str:
    point = ord(character)
    known = {10: "\\n", 13: "\\r", 9: "\\t"}.get(point)
    if known:
        return known
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
