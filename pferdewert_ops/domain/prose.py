"""Whether a text is something to hand to a customer: visible, complete, German, and about the horse alone."""

import re

from pferdewert_ops.domain.german import is_foreign, language_fault
from pferdewert_ops.domain.rejections import RejectionCode

# The beginning of the text that the shop stores and mails when all of its models fail.
PLACEHOLDER_BEGINNING = "Wir arbeiten gerade an unserem KI-Modell"
# What shows nothing on a page: white space, NUL, and the zero-width characters that str.strip() leaves.
BLANKS = " \t\n\r\x0b\x0c\x00\x85\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u2060\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)

# Markup that a page might run, links that a valuation has no use for, and delimiters of the prompt. A line break in
# a table is harmless; "< 148 cm" is no tag.
_MARKUP = re.compile(r"<(?!br\s*/?>)[A-Za-z/!?]|```|~~~|https?://|\bwww\.|\]\(|\{\{|javascript:", re.IGNORECASE)
# A model that talks about itself or about what it was told. "Als Kinderpferd" and "KB" must pass.
_ABOUT_ITSELF = re.compile(
    r"\bals (?:eine? )?(?:KI|AI)\b|\bich bin eine? (?:KI|AI)\b|\bKI-(?:Modell|System|Assistent|Sprachmodell)"
    r"|sprachmodell|künstliche[nr]? intelligenz|\bas an ai\b|language model|system[- ]?(?:prompt|anweisung)"
    r"|\bpferdedaten>|\b(?:ChatGPT|OpenAI|Anthropic)\b|\bmeine[nr]? anweisungen\b"
    r"|\bich kann (?:dir |ihnen |diese |diesem )?\w* ?(?:leider )?nicht (?:helfen|nachkommen|beantworten)\b",
    re.IGNORECASE,
)

_CLOSING = "*_\"'“”‘’«»‹›)] "
# What ends with a full stop but ends no sentence: the text was cut behind it.
_ABBREVIATED = re.compile(
    r"(?:\b(?:z\. ?B|d\. ?h|u\. ?a|i\. ?d\. ?R|ca|inkl|exkl|bzw|ggf|evtl|max|min|mind|vgl|Nr|Dr|St|Tsd|Mio|Kl|sog|Stm)"
    r"|\b[a-z]|(?<![0-9.'’])[0-9]{1,3})\.$"
)
# Bold print that begins and is never closed; the stars of a class (M**, S*) follow a letter and open nothing.
_BOLD_OPENS = re.compile(r"(?:^|(?<=[\s(]))\*\*(?=\S)")
# A price range in bold as the last line is whole where its closing marker came.
_PRICE_LINE = re.compile(r"\*\*[^*]{0,100}[0-9][^*]{0,20}(?:EUR|Euro|€|CHF|Fr\.|Franken)\*\*$")


def is_placeholder(text: str) -> bool:
    """Whether this is the text that the shop delivers when its models fail."""
    return text.lstrip(BLANKS).startswith(PLACEHOLDER_BEGINNING)


def phrase_fault(text: str, *, most: int) -> RejectionCode | None:
    """Why a short text cannot be shown: for single fields, which may be a line of names. `most` is in characters."""
    if not text.strip(BLANKS):
        return RejectionCode.EMPTY
    if is_placeholder(text):
        return RejectionCode.PLACEHOLDER
    if len(text) > most:
        return RejectionCode.TOO_LONG
    if _MARKUP.search(text) or _ABOUT_ITSELF.search(text):
        return RejectionCode.LEFTOVER
    return RejectionCode.NOT_GERMAN if is_foreign(text) else None


def prose_fault(text: str, *, least: int, most: int) -> RejectionCode | None:
    """Why this text, from `least` to `most` characters, cannot be shown; None where it is whole and German."""
    if fault := phrase_fault(text, most=most):
        return fault
    if len(text) < least:
        return RejectionCode.TOO_SHORT
    if language := language_fault(text):
        return RejectionCode(language.value)
    return None if ends_properly(text) else RejectionCode.UNFINISHED


def ends_properly(text: str) -> bool:
    """Whether the text ends with a complete sentence; a cut behind one cannot be told from an end."""
    paragraph = text.rstrip(BLANKS).rpartition("\n\n")[2]
    last_line = paragraph.rpartition("\n")[2]
    if _PRICE_LINE.match(last_line):
        return True
    end = last_line.rstrip(_CLOSING)
    if last_line.lstrip().startswith(("#", "|")) or not end.endswith((".", "!", "?")):
        return False
    if end.endswith("..") or _ABBREVIATED.search(end):
        return False
    return not _leaves_open(paragraph)


def _leaves_open(paragraph: str) -> bool:
    """Whether a bracket, a quotation or bold print begins in this paragraph and does not end in it."""
    bold = list(_BOLD_OPENS.finditer(paragraph))
    return (
        (bool(bold) and "**" not in paragraph[bold[-1].end() :])
        or paragraph.count("(") > paragraph.count(")")
        or paragraph.count("„") > sum(map(paragraph.count, '“”"'))
    )
