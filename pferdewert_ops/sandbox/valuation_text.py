"""What the stand-in model answers: a German valuation built from the horse's data in the prompt, always the same.

The prompt holds `<pferdedaten>` with one `schluessel: wert` line per field, and outside of it `<waehrung>`, `<land>`.
"""

import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

# What the shop stores when all of its models fail; it must never pass for a valuation.
PLACEHOLDER = (
    "Wir arbeiten gerade an unserem KI-Modell, um die Bewertung noch genauer zu machen. "
    "Bitte versuche es in einigen Stunden erneut oder wende dich an unseren Kundenservice."
)
GARBAGE = "Ã¤Ã¶Ã¼ �� {{horse.breed}} undefined NaN\n" + "%PDF-1.7 \x01\x02 lorem;;ipsum||0x5f3759df\n" * 80
_NOT_GIVEN = "ohne Angabe"
_LONGEST_VALUE = 90  # characters of one field that the text repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptData:
    """The horse as the prompt describes it, with the market and the currency that were asked for."""

    fields: Mapping[str, str]
    currency: str
    country: str

    def value(self, *names: str) -> str:
        """The first of these fields that is filled, shortened and free of markup."""
        for name in names:
            text = re.sub(r"[*#<>`_|]", "", html.unescape(self.fields.get(name, ""))).strip()
            if text:
                return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE].rsplit(" ", 1)[0] + " …"
        return _NOT_GIVEN


def read_prompt(prompt: str) -> PromptData:
    """The data of a prompt; what is missing is left out, currency EUR and country DE where none is named."""
    block = re.search(r"<pferdedaten>(.*?)</pferdedaten>", prompt, re.DOTALL)
    lines = block.group(1).splitlines() if block else []
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    outside = prompt.replace(block.group(0), "") if block else prompt
    return PromptData(
        fields={key.strip().lower(): value.strip() for key, value in pairs},
        currency=_tagged(outside, "waehrung", "EUR"),
        country=_tagged(outside, "land", "DE"),
    )


def _tagged(text: str, tag: str, default: str) -> str:
    found = re.search(rf"<{tag}>\s*([A-Z]{{2,3}})\s*</{tag}>", text)
    return found.group(1) if found else default


def price_range(data: PromptData) -> tuple[int, int]:
    """A range in whole units of the currency: 2,500 to 24,000 by a hash of the data, 20 to 40 per cent wide."""
    digest = hashlib.sha256(repr(sorted(data.fields.items())).encode()).digest()
    low = 2_500 + int.from_bytes(digest[:4]) % 44 * 500
    width = low * (20 + digest[4] % 21) // 100
    return low, low + max(500, round(width, -2))


def thousands(number: int) -> str:
    """German notation: 8.500."""
    return f"{number:,}".replace(",", ".")


def price_line(data: PromptData) -> str:
    low, high = price_range(data)
    return f"**Preisspanne: {thousands(low)} – {thousands(high)} {data.currency}**"


def valuation(prompt: str) -> str:
    """The valuation as German Markdown, 2,500 characters or more."""
    data = read_prompt(prompt)
    return _GERMAN.format_map(_words(data, price_line(data)))


def english_valuation(prompt: str) -> str:
    """The same valuation, in the wrong language."""
    data = read_prompt(prompt)
    low, high = price_range(data)
    return _ENGLISH.format_map(_words(data, f"**Price range: {low:,} – {high:,} {data.currency}**"))


def certificate(prompt: str, *, english: bool = False) -> str:
    """The answer to a request for structured output: a JSON object in the shape of the shop's `zertifikat_data`."""
    data = read_prompt(prompt)
    low, high = price_range(data)
    template = _ENGLISH_DETAILS if english else _GERMAN_DETAILS
    words = _words(data, "")
    answer = {
        "preisVon": low,
        "preisBis": high,
        "haupteignung": data.value("haupteignung", "verwendungszweck"),
        "bewertungsDetails": {name: text.format_map(words) for name, text in template.items()},
    }
    return json.dumps(answer, ensure_ascii=False)


def _words(data: PromptData, price: str) -> dict[str, str]:
    markets = {"AT": "Österreich", "CH": "der Schweiz"}
    return {
        "price": price,
        "market": markets.get(data.country, "Deutschland"),
        "country": data.country,
        "breed": data.value("rasse"),
        "age": data.value("alter"),
        "sex": data.value("geschlecht"),
        "height": data.value("stockmass"),
        "use": data.value("haupteignung", "verwendungszweck"),
        "training": data.value("ausbildung"),
        "pedigree": data.value("abstammung"),
        "vet": data.value("aku"),
        "success": data.value("erfolge"),
        "character": data.value("charakter"),
        "remarks": data.value("besonderheiten"),
        "place": data.value("standort"),
    }


_GERMAN = """\
## Zusammenfassung

Bewertet wird ein Pferd der Rasse {breed} (Geschlecht: {sex}, Alter: {age}, Stockmaß: {height}). Als Haupteignung \
ist angegeben: {use}. Die Einschätzung stützt sich auf die Angaben des Verkäufers und auf den aktuellen Markt in \
{market}. Eine Besichtigung hat nicht stattgefunden; die Spanne bildet deshalb die übliche Streuung vergleichbarer \
Angebote ab.

{price}

## Rasse und Abstammung

Pferde der Rasse {breed} werden in {market} regelmäßig gehandelt, sodass sich der Preis gut einordnen lässt. Zur \
Abstammung liegt folgende Angabe vor: {pedigree}. Eine lückenlos belegte Abstammung mit sportlich oder züchterisch \
bewährten Vorfahren wirkt sich spürbar auf den Preis aus, während eine unbekannte Herkunft vor allem bei jungen \
Pferden einen Abschlag bedeutet.

## Alter, Exterieur und Stockmaß

Mit der Altersangabe ({age}) lässt sich das Pferd klar einer Käufergruppe zuordnen. Das Stockmaß ({height}) \
entscheidet mit darüber, für welche Reiter das Pferd infrage kommt. Größen, die einem breiten Kreis von Reitern \
entgegenkommen, verkaufen sich erfahrungsgemäß schneller und näher am oberen Ende der Spanne.

## Ausbildung, Erfolge und Eignung

Zum Stand der Ausbildung wurde angegeben: {training}. Für die Nutzung als „{use}“ ist das der wichtigste einzelne \
Preisfaktor. Nachgewiesene Erfolge: {success}. Jede bestätigte Platzierung und jede Ausbildungsstufe, die sich \
beim Probereiten zeigen lässt, stärkt die Verhandlungsposition des Verkäufers; fehlen Nachweise, rechnen Käufer \
mit weiteren Kosten für Beritt und Turnierstart.

## Gesundheit und Charakter

Zur Ankaufsuntersuchung liegt vor: {vet}. Ein aktueller Befund ohne Auffälligkeiten sichert das obere Drittel der \
Spanne ab, ein fehlender Befund führt in der Regel zu einem Sicherheitsabschlag von zehn bis fünfzehn Prozent. Zum \
Charakter wurde mitgeteilt: {character}. Weitere Besonderheiten: {remarks}. Umgängliche, verkehrssichere Pferde \
sind am Markt deutlich gefragter als solche, die nur von erfahrenen Reitern vorgestellt werden können.

## Marktlage

Der Standort ({place}) gehört zum Markt in {market}. Die Nachfrage nach verlässlichen Freizeit- und Sportpferden \
ist dort stabil, während Angebote ohne Nachweise länger inseriert bleiben. Gute Fotos, ein aktuelles Video in \
allen Gangarten und eine ehrliche Beschreibung verkürzen die Verkaufsdauer erheblich.

## Fazit und Empfehlung

Wir empfehlen, mit einem Preis im oberen Drittel der genannten Spanne zu beginnen und einen Verhandlungsspielraum \
von etwa zehn Prozent einzuplanen. Liegt eine aktuelle Ankaufsuntersuchung vor, sollte sie dem Inserat beigefügt \
werden. Diese Bewertung ersetzt kein tierärztliches Gutachten und keine Besichtigung vor Ort.
"""

_ENGLISH = """\
## Summary

This valuation covers a horse of the breed {breed} (sex: {sex}, age: {age}, height: {height}). The stated main use \
is: {use}. The assessment is based on what the seller has told us and on the current market ({country}). The horse \
has not been inspected, so the range reflects the usual spread of comparable offers.

{price}

## Breed and pedigree

Horses of the breed {breed} are traded regularly, which makes the price easy to place. The stated pedigree is: \
{pedigree}. A fully documented pedigree with proven ancestors raises the price noticeably, while an unknown origin \
means a discount, above all for young horses.

## Age and conformation

With the stated age ({age}) the horse can clearly be matched to a group of buyers. The height ({height}) decides \
which riders will consider it. Sizes that suit many riders usually sell faster and closer to the upper end of the \
range.

## Training and suitability

The stated level of training is: {training}. For the use as "{use}" this is the most important single factor. \
Proven results: {success}. Every confirmed placing and every level that can be shown under saddle strengthens the \
position of the seller; where there is no proof, buyers expect further cost for training and competition.

## Health and character

Vet check: {vet}. A recent report without findings supports the upper third of the range, and a missing one \
usually leads to a discount of ten to fifteen per cent. Character: {character}. Remarks: {remarks}. Horses that \
are easy to handle are in much greater demand than those which only experienced riders can present.

## Market

The location ({place}) belongs to the market {country}. The demand for reliable leisure and sport horses is stable \
there, while offers without proof stay online for longer. Good pictures, a recent video in all gaits and an honest \
description shorten the time of the sale considerably. Buyers compare several offers at once and usually decide \
within a few days after they have tried a horse twice.

## Conclusion

We recommend starting in the upper third of this range and allowing about ten per cent for negotiation. If there \
is a recent vet check, add it to the advertisement. This valuation replaces neither a veterinary report nor a \
visit on site, and it is based on the details that were available on the day on which it was written. If the level \
of training or the state of health changes, the range should be looked at again.
"""

_GERMAN_DETAILS = {
    "rasseText": "Die Rasse {breed} ist am Markt in {market} gut eingeführt; das Stockmaß ({height}) und die "
    "Altersangabe ({age}) entsprechen dem, was Käufer für diese Nutzung suchen.",
    "abstammungText": "Zur Abstammung wurde angegeben: {pedigree}. Eine belegte Abstammung stützt den Preis vor allem "
    "bei jungen Pferden und bei Zuchttieren.",
    "ausbildungText": "Stand der Ausbildung: {training}. Erfolge: {success}. Für die Haupteignung {use} ist das der "
    "wichtigste einzelne Preisfaktor.",
    "gesundheitText": "Ankaufsuntersuchung: {vet}. Besonderheiten: {remarks}. Ein aktueller Befund ohne "
    "Auffälligkeiten sichert das obere Drittel der Spanne ab.",
    "fazit": "Insgesamt ergibt sich für dieses Pferd eine marktgerechte Spanne, die Ausbildung, Alter und Gesundheit "
    "berücksichtigt. Wir empfehlen, im oberen Drittel zu beginnen und etwa zehn Prozent Spielraum einzuplanen.",
}
_ENGLISH_DETAILS = {
    "rasseText": "The breed {breed} is well known on this market; the height ({height}) and the age ({age}) are what "
    "buyers look for.",
    "abstammungText": "The stated pedigree is: {pedigree}. A documented pedigree supports the price of young horses.",
    "ausbildungText": "Level of training: {training}. Results: {success}. For the use {use} this is the main factor.",
    "gesundheitText": "Vet check: {vet}. Remarks: {remarks}. A recent report without findings supports the price.",
    "fazit": "All in all the range is in line with the market. We recommend starting in the upper third of it.",
}
