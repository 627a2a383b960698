"""Horses of our own invention, as customers describe them in the shop's form: the same ones for the same seed."""

import random
import re
from typing import Any

from pferdewert_ops.domain.products import Country

Form = dict[str, Any]

# Breed, its usual heights in cm, what it is bought for, how far it is trained.
_BREEDS: dict[Country, list[tuple[str, range, str, str]]] = {
    Country.DE: [
        ("Hannoveraner", range(164, 174), "Dressur", "Dressur bis Klasse L, Trensenpaket sicher"),
        ("Holsteiner", range(165, 175), "Springen", "Springen bis Klasse M, Parcours routiniert"),
        ("Oldenburger", range(164, 174), "Vielseitigkeit", "Gelände bis Klasse A, wasserfreundlich"),
        ("Deutsches Reitpony", range(138, 149), "Kinder- und Jugendreiten", "E-Dressur und E-Springen"),
        ("Trakehner", range(162, 172), "Dressur", "angeritten, drei Grundgangarten im Takt"),
    ],
    Country.AT: [
        ("Haflinger", range(140, 151), "Freizeit und Fahren", "geritten und zweispännig gefahren"),
        ("Noriker", range(155, 166), "Fahren und Holzrücken", "ein- und zweispännig gefahren"),
        ("Österreichisches Warmblut", range(163, 172), "Springen", "Springen bis Klasse L"),
    ],
    Country.CH: [
        ("Freiberger", range(150, 161), "Freizeit und Fahren", "Feldtest bestanden, geritten und gefahren"),
        ("Schweizer Warmblut", range(163, 173), "Springen", "Springen bis 115 cm"),
        ("Einsiedler", range(162, 171), "Vielseitigkeit", "Gelände und Dressur auf Stufe B"),
    ],
}
_PLACES = {Country.DE: ["29221", "48231", "25335"], Country.AT: ["5020", "8010"], Country.CH: ["3011", "8006"]}
_SIRES = ["Don Frederic", "Quaterback", "Cornet Obolensky", "Stalypso", "Nordwind", "Harlekin", "Fürst Romancier"]
_DAMSIRES = ["Weltmeyer", "Sandro Hit", "Contender", "Rubinstein", "Atlantik", "Mirador"]
_NAMES = ["Feuerzauber", "Abendstern", "Nordlicht", "Donna Clara", "Mohnblume", "Silberpfeil", "Rosalie", "Kasimir"]
_CUSTOMERS = ["Anna Beispiel", "Jonas Muster", "Lea Probst", "Dr. Emil Vogt", "Mia Sander", "Karim Adler"]


def form(number: int, country: Country, chance: random.Random) -> Form:
    """The form as checkout stores it. `brand(number)` stands in it, so that every horse can be told from the others."""
    rasse, heights, eignung, ausbildung = chance.choice(_BREEDS[country])
    return {
        "rasse": rasse,
        "alter": chance.randint(3, 18),
        "geschlecht": chance.choice(["Stute", "Wallach", "Hengst"]),
        "abstammung": f"{chance.choice(_SIRES)} × {chance.choice(_DAMSIRES)}, Lebensnummer {brand(number)}",
        "stockmass": chance.choice(heights),
        "ausbildung": ausbildung,
        "aku": chance.choice(["ohne besonderen Befund", "klinisch ohne Befund, Röntgen nicht gemacht", ""]),
        "erfolge": chance.choice(["mehrfach platziert", "noch ohne Turniererfahrung", ""]),
        "standort": chance.choice(_PLACES[country]),
        "land": country.value,
        "user_country": country.value,
        "haupteignung": eignung,
        "charakter": chance.choice(["ruhig und fleißig", "sensibel, leistungsbereit", "gelassen, auch im Gelände"]),
        "besonderheiten": chance.choice(["verladefromm", "schmiedefromm", ""]),
        "attribution_source": "unknown",
    }


def old_form(number: int, country: Country, chance: random.Random) -> Form:
    """The form as it was stored years ago: numbers as text, metres, fields that are gone today."""
    today = form(number, country, chance)
    centimetres = today["stockmass"]
    return {
        **{key: value for key, value in today.items() if key != "attribution_source"},
        "alter": f"{today['alter']} Jahre",
        "stockmass": f"{centimetres // 100},{centimetres % 100:02d} m",
        "verwendungszweck": today["haupteignung"],
        "farbe": chance.choice(["Fuchs", "Rappe", "Schimmel", "Dunkelbraun"]),
        "zuechter": "Hof am Deich",
    }


BRAND = re.compile(r"DE 431 31 [0-9]{5} 21")


def brand(number: int) -> str:
    """A life number that no other horse of the demonstration has, below a hundred thousand."""
    return f"DE 431 31 {number:05d} 21"


def horse_name(chance: random.Random) -> str:
    return chance.choice(_NAMES)


def customer_name(chance: random.Random) -> str:
    return chance.choice(_CUSTOMERS)
