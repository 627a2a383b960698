"""Whether a text is German throughout, told by its small words; no library, no model.

Function words make up a third of any German prose and hardly occur in other languages. Horse jargon, pedigrees and
English breed names (Quarter Horse, For Pleasure) are nouns and leave the count alone.
"""

import re
from enum import StrEnum


class LanguageFault(StrEnum):
    GARBAGE = "garbage"
    REPETITIVE = "repetitive"
    NOT_GERMAN = "not_german"


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words that other languages share with German (in, an, so, war, also, als, her, will, worden) are in neither list: they
# decide nothing.
_GERMAN = _word_set(
    """
    aber allem allen aller alles am andere anderen anderer auch auf aus außerdem bei beim bereits bis damit daher dann
    darauf das dass daß dazu dem den denn der des deshalb deutlich die dies diese diesem diesen dieser dieses doch dort
    durch dürfte eher ein eine einem einen einer eines entsprechend er erst es etwa etwas für gegen gegenüber gut gute
    guten guter haben hat hinaus ihm ihn ihr ihre ihrem ihren ihrer im insgesamt ist jedoch jeder jedem kann kein keine
    keinen keiner können könnte liegt macht mehr mit nach nachdem neben nicht noch nur ob oder ohne rund schon sehr sei
    sein seine seinem seinen seiner sich sie sind sodass sofern solche sollte sollten somit sondern sowie sowohl
    spricht steht trotz um und uns unter viel vielen vom von vor wäre weil weiter weitere weiteren welche wenig weniger
    wenn werden wie wird wir wobei wurde wurden zeigt ziemlich zu zudem zum zur zwar zwei zwischen über
    """
)


_FOREIGN = _word_set(
    """
    the of and to is are were with for that this it at by from has have had be been not or which but can would
    should its their there than into his he she they we you your my our as on if when while what who how about
    because only other some such these those very more most well could may might
    van het een de op te met voor niet dat zijn ook aan wordt naar bij uit maar deze dit heeft hebben door kan
    zeer goed goede tussen geen nog wel wij jullie hun moet zou zouden werd waar omdat
    le les et une est dans pour qui que avec sur pas ce cette sont aux ses mais très bien
    il di che con una della del sono gli nel alla molto anche questo questa
    """
)

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
# UTF-8 read as Latin-1, and what stands for bytes that were no text at all. Control characters never belong.
_BROKEN = re.compile(
    r"\ufffd|Ã[\u0080-\u00bf\u201e\u2013\u0178\u0153]|Â[\u00a0-\u00bf]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
# Letters beyond Latin Extended: Cyrillic, Arabic, Chinese. One foreign name is allowed, a sentence is not.
_OTHER_SCRIPT = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff]")
_OTHER_SCRIPT_MOST = 12

# Measured on the test texts: 0.37 to 0.46 of a German valuation's words are small ones, 0.30 in its poorest passage;
# of an English one 0.01, of a Dutch one 0.03. Half of the usual share leaves room for texts that are full of facts.
_LEAST_SHARE = 0.2
# A pedigree or a table may fill a passage without small words; one passage in ten, not more.
_POOR_SHARE, _POOR_PASSAGES = 0.1, 0.1
# A passage of this many words is judged by itself, so that one paragraph in another language is noticed.
_PASSAGE = 40
_STEP = 20
# In a passage of ordinary prose two of three words differ; a model that loops falls below one of three.
_LEAST_VARIETY = 0.34


def language_fault(text: str) -> LanguageFault | None:
    """Why this text cannot be shown to a German reader; None where it is German from beginning to end."""
    if _BROKEN.search(text) or len(_OTHER_SCRIPT.findall(text)) > _OTHER_SCRIPT_MOST:
        return LanguageFault.GARBAGE
    words = [word.casefold() for word in _WORD.findall(text)]
    if not words or _count(words, _GERMAN) < _LEAST_SHARE * len(words):
        return LanguageFault.NOT_GERMAN
    passages = _passages(words)
    poor = sum(_count(passage, _GERMAN) < _POOR_SHARE * len(passage) for passage in passages)
    if poor > max(1, _POOR_PASSAGES * len(passages)) or any(map(_is_foreign, passages)):
        return LanguageFault.NOT_GERMAN
    if any(len(set(passage)) < _LEAST_VARIETY * _PASSAGE for passage in passages if len(passage) == _PASSAGE):
        return LanguageFault.REPETITIVE
    return None


def is_foreign(text: str) -> bool:
    """Whether a short text speaks another language: for single fields, which may be German without a small word."""
    return _is_foreign([word.casefold() for word in _WORD.findall(text)])


def _is_foreign(words: list[str]) -> bool:
    # Two foreign words are a name: For Pleasure out of Donna Clara.
    foreign = _count(words, _FOREIGN)
    return foreign >= 3 and foreign > _count(words, _GERMAN)


def _passages(words: list[str]) -> list[list[str]]:
    """Overlapping stretches of the text; the last one ends with the text."""
    last = max(0, len(words) - _PASSAGE)
    return [words[start : start + _PASSAGE] for start in [*range(0, last, _STEP), last]]


def _count(words: list[str], small_words: frozenset[str]) -> int:
    return sum(word in small_words for word in words)
