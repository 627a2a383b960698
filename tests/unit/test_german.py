"""Whether a text is German from beginning to end."""

import pytest

from pferdewert_ops.domain.german import LanguageFault, language_fault
from tests.shop_documents.answers import ACCEPTED_VALUATIONS

GERMAN = ACCEPTED_VALUATIONS[0].text
DUTCH = """
De zevenjarige merrie met een stokmaat van 168 cm is een goed opgeleid dressuurpaard voor ambitieuze amateurs. Zij gaat
veilig op L-niveau en is zonder bevindingen gekeurd. De afstamming staat voor rijdbaarheid en een goede stap. Beide
namen zijn op de Duitse markt goed bekend, zodat de afstamming de prijs ondersteunt. Kopers letten in deze klasse op
doorlatendheid en een rustig karakter; beide zijn volgens de gegevens aanwezig. De keuring van het jaar 2025 is zonder
bevindingen. Dat ondersteunt het bovenste deel van de prijs. In Duitsland is er vraag naar makkelijke merries met
ervaring, terwijl de belangstelling voor dure jonge paarden minder is geworden.
"""
FRENCH = """
La jument de sept ans, qui toise 168 cm, est un cheval de dressage bien formé pour les amateurs ambitieux. Elle est
confirmée au niveau L et sa visite vétérinaire est sans remarque. La lignée est connue pour son bon pas et les deux noms
sont très appréciés sur le marché, ce qui soutient le prix. Les acheteurs dans cette catégorie cherchent un caractère
calme. En Allemagne la demande pour ce type de cheval est stable et les ventes se font dans les huit semaines.
"""
POLISH = """
Siedmioletnia klacz o wzroście 168 cm jest dobrze wyszkolonym koniem ujeżdżeniowym dla ambitnych amatorów. Pewnie chodzi
na poziomie L i została przebadana bez zastrzeżeń. Rodowód wspiera cenę, a spokojny charakter sprawia, że klacz jest
interesująca także dla osób wracających do jazdy. Popyt na takie konie jest stabilny i sprzedają się one zwykle w ciągu
ośmiu tygodni, choć oferty bez dokumentów pozostają dłużej na rynku i wymagają obniżenia ceny przez sprzedającego.
"""
NOUNS = "Pferd Wallach Stute Hannoveraner Dressur Springen Galopp Markt Preis Käufer Fazit Ausbildung Charakter "


@pytest.mark.parametrize("foreign", [DUTCH, FRENCH, POLISH, NOUNS * 6], ids=["dutch", "french", "polish", "nouns"])
def test_other_languages_are_noticed_alone_and_among_german(foreign: str) -> None:
    assert language_fault(foreign) is LanguageFault.NOT_GERMAN
    assert language_fault(foreign * 4) is LanguageFault.NOT_GERMAN
    head, tail = GERMAN[:700], GERMAN[700:]
    assert language_fault(f"{head}\n{foreign}\n{tail}") is LanguageFault.NOT_GERMAN


@pytest.mark.parametrize(
    ("garbage", "fault"),
    [
        ("Die Stute geht ruhig und ist sehr gut geritten. " * 40, LanguageFault.REPETITIVE),
        ("und der die das ist ein " * 60, LanguageFault.REPETITIVE),
        ("Das StockmaÃŸ ist fÃ¼r das Alter gut.", LanguageFault.GARBAGE),
        ("Das Stockma\ufffd ist f\ufffdr das Alter gut.", LanguageFault.GARBAGE),
        ("Das Stockmaß ist\x00 für das Alter gut.", LanguageFault.GARBAGE),
        ("Das Stockmaß ist gut. Кобыла спокойная и хорошо выезжена.", LanguageFault.GARBAGE),
        ("", LanguageFault.NOT_GERMAN),
        ("123 456 !!! ---", LanguageFault.NOT_GERMAN),
    ],
    ids=["loop", "small words", "mojibake", "replacement", "control", "cyrillic", "empty", "no words"],
)
def test_garbage(garbage: str, fault: LanguageFault) -> None:
    assert language_fault(garbage) is fault


def test_a_long_pedigree_does_not_make_a_text_foreign() -> None:
    pedigree = "Don Frederic, Weltmeyer, Rubinstein, Pik Bube, Grande, Donnerhall, Woermann, Ferdinand, Duellant, " * 5
    paragraphs = GERMAN.strip().split("\n\n")
    assert language_fault("\n\n".join([*paragraphs[:4], pedigree[:280], *paragraphs[4:]])) is None
