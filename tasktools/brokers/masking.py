"""Passwords in URLs and in texts -> `**`. Pure. When in doubt, it hides too much."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

MASK = "**"

#: The name of a setting, an option or a parameter of a URL whose value is a secret.
_SECRET_NAME = r"[\w-]{0,40}(?:passw|passphrase|pwd|secret|token|credential)[\w-]{0,40}"

#: Further names of options with secrets.
_SECRET_OPTION = re.compile("pass|auth|authorization|login_response", re.IGNORECASE)

#: The name of a setting or of an option of Celery whose value is not shown.
SECRET = re.compile(
    r"passw|passphrase|^pass$|pwd|secret|token|credential|auth(?!ors?(?:_|$))|login_response|(?<!routing_)(?<!global_)key(?!prefix|word)",
    re.IGNORECASE,
)

_NEXT_URL = re.compile(r";(?=[\w.+-]+://)")
_SCHEME = re.compile(r"^[^@]*?:/+")
_CREDENTIALS = re.compile(r"(:/+[^:]*):.*@", re.DOTALL)
#: The same without slashes, and without a host. `me:/` is not a scheme if no colon follows before an `@`.
_WITHOUT_SLASHES = re.compile(r"^([\w.+-]+:/+(?=[^:@]*:))?([^:]*):.*@", re.DOTALL)
_WITHOUT_HOST = re.compile(r"(:/+[^:/@\[?#]*):(?!(?:\d+(?:[/?#].*)?|/?\d*)$).*", re.DOTALL)
#: Brokers that take a user without a password: a plain word alone is the user. For other brokers, it is a password.
_NAMED = r"(?:amqps?|py-?amqps?|librabbitmq|mongodb|db|sqla\w*|qpid|https?)(?:\+[\w.-]{1,40})?"
_LONELY = rf"((?<![\w.+-])(?!{_NAMED}:)[a-z][\w.+-]*:/+|:/+(?![\w.-]*@))"
_ALONE = re.compile(rf"{_LONELY}(?!/)(?:(?!\?[\w-]+=)[^:@])+@", re.IGNORECASE)
_ALONE_IN_TEXT = re.compile(rf"{_LONELY}[^:/@\s]+@", re.IGNORECASE)
_PARAMETER = re.compile(rf"({_SECRET_NAME}=|[\w-]*key[\w-]*=)[^&;]*", re.IGNORECASE)

#: The same for a sentence, in which a URL ends at the first space, or where the next URL of a list begins. _HEAD goes from the
#: end of a URL's scheme up to the colon before its password: what precedes the scheme may be the code of a color. None of these
#: takes quadratic time, however long the text is.
_PIECE = re.compile(r"(?:(?!;[\w.+-]{1,40}:/)\S)+")
_HEAD = re.compile(r"(?<=[\w.+-]):/+[^:/@\s]*:")
#: A longer password may remain: JSON without spaces is one piece, and holds more than URLs.
_LONGEST = 4000
#: The same for a text that was cut in the middle of the password: no host follows, and what follows is not a port.
_CUT = re.compile(r"(?<=[\w.+-])://[^:/@\s\[]*:(?!\d{0,5}(?!\w|\.\.\.|…)|\*\*)", re.IGNORECASE)
#: What stands in place of the middle of a text that was cut out: the end of a password may follow.
_CUT_OUT = "..."
_CLOSING = "'\")]}>.,;:"
_PARAMETER_IN_TEXT = re.compile(rf"(?<![\w-])({_SECRET_NAME}=)[^&;,\s'\")]+", re.IGNORECASE)

#: Python's own parser quotes what it found in the place of a port, such as a part of a password with a `/` in it.
_NO_PORT = re.compile(r"""(cast to integer value as )(['"])(?:\\.|(?!\2)[^\\])*\2""")

#: Settings and options whose value may hold a URL.
_URL_NAME = re.compile(r"broker|backend|sentinel|url|uri|dsn|location", re.IGNORECASE)

#: Libraries quote the parts of a URL between any two of these.
_DELIMITERS = re.compile(r"[^\w.~!*-]+")

#: Shorter secrets are hidden only in URLs; up to LONG, only as whole words. Otherwise they would hide half a sentence.
SHORT = 4
LONG = 8

#: Words of our own lines. A password that is one of them, or that the URL also shows elsewhere, is hidden only in URLs.
_ORDINARY = re.compile(
    "admin|amqps?|app|backend|beat|broker|celery|default|django|guest|host|localhost|message|name|postgres|queue|rabbitmq|"
    "rediss?|results?|root|sent|sentinel|server|tasks?|user|valkeys?|worker",
    re.IGNORECASE,
)


def masked(url: Any) -> str:
    """Return a broker or backend URL with every password as `**`; several URLs are separated by semicolons.

    Everything before the last `@` counts as credentials.
    """
    urls = url if isinstance(url, (list, tuple)) else _NEXT_URL.split(str(url or ""))
    return ";".join(_masked(str(each)) for each in urls)


def _masked(url: str) -> str:
    if "://" in url and "@" in url:
        url = _ALONE.sub(rf"\1{MASK}@", _CREDENTIALS.sub(rf"\1:{MASK}@", url))
    elif "@" in url:
        url = _WITHOUT_SLASHES.sub(rf"\1\2:{MASK}@", url)
    else:
        url = _WITHOUT_HOST.sub(rf"\1:{MASK}", url)
    return _PARAMETER.sub(rf"\1{MASK}", url)


def passwords_in(url: str) -> Iterator[str]:
    """Yield every part of a URL, well formed or not, that may be a password, exactly as it is written there."""
    for each in _NEXT_URL.split(url):
        rest = _SCHEME.sub("", each)
        user, colon, password = rest.rpartition("@")[0].partition(":")
        if colon:
            yield from (password, password.partition("@")[0])
        elif "@" in rest and _ALONE.search(each):
            yield user
        elif "@" not in rest and _WITHOUT_HOST.search(each):
            yield rest.partition(":")[2]
        yield from (match[0][len(match[1]) :] for match in _PARAMETER.finditer(each))
        try:
            yield urlsplit(each).password or ""
        except ValueError:
            continue


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """Yield the passwords in a setting called `name`: text, numbers, URLs, or options that hold some."""
    for key, text in _leaves(value, name):
        if re.fullmatch(_SECRET_NAME, key, re.IGNORECASE) or _SECRET_OPTION.fullmatch(key):
            yield text
        elif "://" in text or _URL_NAME.search(key):
            yield from passwords_in(text)
        elif "=" in text:
            yield from (match[0][len(match[1]) :] for match in _PARAMETER.finditer(text))


def without_parameters(text: str) -> str:
    """Return a text such as `AccountKey=...;Endpoint=...` without the secrets in it."""
    return _PARAMETER.sub(rf"\1{MASK}", text)


def _leaves(value: Any, name: str = "", around: frozenset[int] = frozenset()) -> list[tuple[str, str]]:
    """Return each text and each number in a value, with the name that it has there.

    `around` are the ids of what holds the value. What holds itself, or is code of the project that fails, has no texts.
    """
    try:
        if isinstance(value, (str, bytes)):  # of a lazy object, this is what it stands for
            return [(name, value.decode(errors="replace") if isinstance(value, bytes) else str(value))]
        if isinstance(value, bool) or id(value) in around:
            return []
        if isinstance(value, int):
            return [(name, str(value))]
        inside = around | {id(value)}
        if isinstance(value, Mapping):
            return [leaf for key, item in value.items() for leaf in _leaves(item, str(key), inside)]
        if isinstance(value, (list, tuple, set, frozenset)):
            return [leaf for item in value for leaf in _leaves(item, name, inside)]
    except Exception:  # noqa: BLE001 - also RecursionError
        return []
    return []


def hider(settings: Mapping[str, Any]) -> Callable[[str], str]:
    """Return a function that hides the passwords of these settings in a text, and those of any URL in it.

    It hides each password in every form in which a library may show it: unchanged, decoded, encoded, quoted, in lower case,
    and its parts between the delimiters of a URL.
    """
    forms = {form for secret in set(secrets_in(settings)) if secret for form in _forms(secret)}
    if forms:
        shown = {
            word for _, each in _leaves(settings) if "://" in each for word in re.findall(r"\w+", masked(each).lower())
        }
        forms = {form for form in forms if not _ORDINARY.fullmatch(form) and form.lower() not in shown}
    known = _any_of(frozenset(form for form in forms if len(form) >= SHORT))
    return lambda text: hide(known.sub(MASK, text) if known else text)


def hide(text: str) -> str:
    """Return a text without the passwords of the URLs in it."""
    if ":/" in text or _CUT_OUT in text:
        text = _PIECE.sub(_hidden, text)
    text = _NO_PORT.sub(rf"\1\2{MASK}\2", text)
    return _PARAMETER_IN_TEXT.sub(rf"\1{MASK}", _ALONE_IN_TEXT.sub(rf"\1{MASK}@", text))


def _hidden(match: re.Match[str]) -> str:
    """Return a piece of text without spaces, with the password of each URL in it masked: everything up to the last `@`."""
    piece, parts, done = match[0], [], 0
    for head in _HEAD.finditer(piece):
        at = piece.rfind("@", head.end(), head.end() + _LONGEST) if head.start() >= done else -1
        if at >= 0:
            parts += [piece[done : head.end()], MASK]
            done = at
    rest = piece[done:]
    dots, at = rest.find(_CUT_OUT), rest.rfind("@")
    if 0 <= dots < at:
        rest = rest[: dots + len(_CUT_OUT)] + MASK + rest[at:]
    cut = _CUT.search(rest)
    if cut:
        rest = rest[: cut.end()] + MASK + rest[len(rest.rstrip(_CLOSING)) :]
    return "".join([*parts, rest])


def _forms(secret: str) -> Iterator[str]:
    for whole in {secret, unquote(secret), unquote_plus(secret)}:
        yield from (quote(whole), quote(whole, safe=""), quote_plus(whole))
        for text in {whole, " ".join(whole.split())}:
            yield from (text, repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode(errors="replace"))[2:-1])
            yield text.replace("\\", "\\\\").replace('"', '\\"')
        yield from _DELIMITERS.split(whole)


@functools.lru_cache(maxsize=16)
def _any_of(forms: frozenset[str]) -> re.Pattern[str] | None:
    """Return a pattern for the longest form that fits; a short one must be a word."""
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    parts = (re.escape(form) if len(form) > LONG else rf"(?<!\w){re.escape(form)}(?!\w)" for form in ordered)
    return re.compile("|".join(parts), re.IGNORECASE) if ordered else None
