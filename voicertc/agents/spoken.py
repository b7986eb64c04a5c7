"""Turns what a language model writes into what a voice can say: markdown and addresses out, words in.

Models are told to speak plainly and still write lists and stars now and then; a voice reads those out. This
machine waits for no more than the sign at hand needs, and gives the same text however the stream is cut:

    **Two** things:\\n- tea\\n- [milk](https://a.b/c)  😀      ->      Two things: tea. milk

A token is taken from the front of what has come; where it is not yet clear what it is, it waits for more.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_BULLET = re.compile(r"[ \t]*(?:[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?|#{1,6}[ \t]+|>[ \t]*)")
_NUMBER = re.compile(r"[ \t]*(\d{1,3})[.)][ \t]+")
_RULE = re.compile(r"[ \t]*[-*_=|:][-*_=|: \t]{2,80}(?=\n)")
"""A line across the page, or under a table's head."""
_FENCE = re.compile(r"[ \t]*```[^\n`]{0,40}(?=\n)")
_LINE_SIGN_BEGUN = re.compile(
    r"[ \t]*(?:#{0,6}[ \t]*|[>•+][ \t]*|[-*_=|:][-*_=|: \t]{0,80}|\d{0,3}[.)]?[ \t]*|`{1,3}|```[^\n`]{0,40}"
    r"|[-*+•][ \t]+\[(?:[ xX](?:\][ \t]*)?)?)"
)
"""What may still become one of the four above when more comes."""
_LINK = re.compile(r"!?\[([^\]\n]{0,200})\]\([^)\s]{0,500}\)")
_LINK_BEGUN = re.compile(r"!?(?:\[[^\]\n]{0,200}(?:\](?:\([^)\s]{0,500})?)?)?")
_URL = re.compile(r"https?://[^\s<>\"')\]*`]{1,500}", re.IGNORECASE)
_URL_BEGUN = re.compile(r"h(?:t(?:t(?:p(?:s?(?::(?:/(?:/)?)?)?)?)?)?)?", re.IGNORECASE)
_BARE_LINK = re.compile(r"<(https?://[^\s<>]{1,500})>", re.IGNORECASE)
_BARE_LINK_BEGUN = re.compile(
    r"<(?:h(?:t(?:t(?:p(?:s?(?::(?:/(?:/[^\s<>]{0,500})?)?)?)?)?)?)?)?", re.IGNORECASE
)
_SIGNS = re.compile(r"\*+|_+|~+|`+")
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[^\W_]+")
_PICTURE = re.compile(
    "[\U0001f000-\U0001f0ff\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff"
    "\u2600-\u2775\u2794-\u27bf\u2b00-\u2bff\ufe0f\u200d\u20e3]+"
)
"""Emoji and dingbats but for numbers in circles, with what joins them."""

_PAUSES = ".!?…:;,。！？，；："
_CLOSERS = ")\"'”’»%"
_MAX_SPOKEN_PATH = 30
"""Characters of an address's path that a listener can still take in."""


class SpokenText:
    """Takes one answer piece by piece and gives back what is to be said of it. One object per answer."""

    def __init__(self) -> None:
        self._rest = ""  # what has come and is not clear yet
        self._seen = "\n"  # the last character taken
        self._said = ""  # the last character given that is no space
        self._break = ""  # what separates what was said from what comes: "", " ", ", " or ". "
        self._is_spaced = True  # whether a space would be one too many
        self._is_line_start = True
        self._is_marked_line = False
        self._is_first_line = True
        self._is_after_picture = False

    def feed(self, piece: str) -> str:
        """Return what can be said by now."""
        self._rest += piece
        return self._take(is_end=False)

    def flush(self) -> str:
        """Return what was waiting, at the end of the answer."""
        return self._take(is_end=True)

    def _take(self, *, is_end: bool) -> str:
        given: list[str] = []
        while self._rest:
            token = self._next(is_end)
            if token is None:
                break
            length, text = token
            self._seen = self._rest[length - 1]
            self._rest = self._rest[length:]
            if text:
                given.append(self._say(text))
        return "".join(given)

    def _next(self, is_end: bool) -> tuple[int, str] | None:
        """Return the length of the next token and what is said of it, or ``None`` if it is not clear yet."""
        rest = self._rest
        if self._is_line_start:
            sign = self._line_sign(is_end)
            if sign is None or sign[0]:
                return sign
            self._is_line_start = False
        if match := _SPACE.match(rest):
            return self._space(match.group(), is_end)
        if match := _WORD.match(rest):
            return self._word(match, is_end)
        if match := _SIGNS.match(rest):
            return self._signs(match.group(), is_end)
        if match := _PICTURE.match(rest):
            self._is_after_picture = True
            return match.end(), ""
        if rest[0] in "![":
            if match := _LINK.match(rest):
                return match.end(), _speakable(_SIGNS.sub("", match.group(1)).strip())
            return None if _LINK_BEGUN.fullmatch(rest) and not is_end else (1, rest[0])
        if rest[0] == "<":
            if match := _BARE_LINK.match(rest):
                return match.end(), _speakable(match.group(1))
            return None if _BARE_LINK_BEGUN.fullmatch(rest) and not is_end else (1, "<")
        if rest[0] == "|":
            self._next_cell()
            return 1, ""
        return self._escape(is_end) if rest[0] == "\\" else (1, rest[0])

    def _line_sign(self, is_end: bool) -> tuple[int, str] | None:
        """What begins a line without being said; length 0 if nothing does."""
        rest = self._rest
        if _LINE_SIGN_BEGUN.fullmatch(rest) and not is_end:
            return None
        line = rest + "\n" if is_end else rest
        if match := _FENCE.match(line):
            return match.end(), ""
        if match := _RULE.match(line):
            self._break = self._break and ". "
            return match.end(), ""
        if match := _NUMBER.match(rest):
            # A list begins with 1; "42. That is the answer" is none.
            if not self._is_first_line or match.group(1) == "1":
                self._mark_line()
                return match.end(), f"{match.group(1)}: "
            return 0, ""
        if match := _BULLET.match(rest):
            self._mark_line()
            return match.end(), ""
        return 0, ""

    def _next_cell(self) -> None:
        """A line between the cells of a table, or at the edge of a row."""
        self._is_marked_line = True
        if self._said and not self._is_spaced and self._break != ". ":
            self._break = ". " if self._seen == "\n" else ", "

    def _mark_line(self) -> None:
        self._is_marked_line = True
        if self._break:
            self._break = ". "

    def _space(self, run: str, is_end: bool) -> tuple[int, str] | None:
        """White space: one space, or a full stop where a line ended without one."""
        if is_end and len(run) == len(self._rest):
            return len(run), ""
        if self._said and self._said in _PAUSES:
            self._end_line_if(run)
            if self._is_spaced:
                return len(run), ""
            return len(run), " "
        if len(run) == len(self._rest):
            return None
        is_paragraph = run.count("\n") > 1 or (self._is_marked_line and "\n" in run)
        self._end_line_if(run)
        if self._said:
            self._break = ". " if is_paragraph else self._break or " "
        return len(run), ""

    def _end_line_if(self, run: str) -> None:
        if "\n" in run:
            self._is_line_start, self._is_marked_line, self._is_first_line = True, False, False

    def _word(self, match: re.Match[str], is_end: bool) -> tuple[int, str] | None:
        """A word, unless it is the beginning of an address."""
        rest = self._rest
        if rest[0] in "hH" and not self._seen.isalnum():
            if (url := _URL.match(rest)) is None:
                return None if _URL_BEGUN.fullmatch(rest) and not is_end else (match.end(), match.group())
            if url.end() == len(rest) and len(rest) < 500 and not is_end:
                return None
            address = url.group().rstrip(_PAUSES)
            return len(address), _speakable(address)
        return match.end(), match.group()

    def _signs(self, run: str, is_end: bool) -> tuple[int, str] | None:
        """Emphasis and code are dropped; a star between numbers and an underscore inside a name stay."""
        if len(run) == len(self._rest) and not is_end:
            return None
        before, after = self._seen, self._rest[len(run) :][:1] or " "
        is_kept = {
            "*": run == "*" and ((before + after).isspace() or (before + after).isdigit()),
            "_": before.isalnum() and after.isalnum(),
            "~": run == "~",
            "`": False,
        }[run[0]]
        return len(run), run if is_kept else ""

    def _escape(self, is_end: bool) -> tuple[int, str] | None:
        if len(self._rest) == 1 and not is_end:
            return None
        following = self._rest[1:2]
        if following and not following.isalnum() and not following.isspace():
            return 2, following
        return 1, "\\"

    def _say(self, text: str) -> str:
        """Put the break before ``text`` that is due, and note how it ends."""
        separator = ""
        if self._is_after_picture and text[0] in _PAUSES:
            self._break = ""  # "Great 😀." leaves no gap behind
        self._is_after_picture = False
        if self._break and not text.isspace():
            separator = self._break if self._said.isalnum() or self._said in _CLOSERS else " "
            self._break = ""
        self._is_spaced = text.endswith(" ")
        self._said = text.rstrip()[-1:] or self._said
        return separator + text


def _speakable(text: str) -> str:
    """Return an address as one would tell it: host and a short path; any other text as it is."""
    if not _URL.fullmatch(text):
        return text
    try:
        parts = urlsplit(text)
    except ValueError:  # brackets that are no IPv6 address
        return ""
    host = (parts.hostname or "").removeprefix("www.")
    path = parts.path.rstrip("/")
    return host + path if len(path) <= _MAX_SPOKEN_PATH else host
