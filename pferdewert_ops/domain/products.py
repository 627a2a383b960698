"""The two products that the shop sells, and where each one lives in the shop's database."""

from dataclasses import dataclass
from enum import StrEnum

from pferdewert_ops.domain.money import Currency, Money


class ProductKey(StrEnum):
    BEWERTUNG = "bewertung"
    WERTGUTACHTEN = "wertgutachten"


class Country(StrEnum):
    DE = "DE"
    AT = "AT"
    CH = "CH"

    @classmethod
    def of(cls, value: object) -> "Country":
        """The country that a stored value names; the shop's default DE for anything else."""
        text = value.strip().upper() if isinstance(value, str) else ""
        return next((country for country in cls if country.value == text), cls.DE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product. `collection` and `result_field` are the shop's names, to the letter."""

    key: ProductKey
    collection: str
    result_field: str
    session_marker: str
    page: str
    title: str

    def page_url(self, base_url: str, order_id: str) -> str:
        """The customer's page for one order."""
        return f"{base_url.rstrip('/')}/{self.page}?id={order_id}"

    def price(self, customer_country: Country) -> Money:
        """List price for a customer of that country (the buyer's country, not the horse's)."""
        if self.key is ProductKey.WERTGUTACHTEN:
            return Money(minor=4990, currency=Currency.EUR)
        if customer_country is Country.CH:
            return Money(minor=1990, currency=Currency.CHF)
        return Money(minor=1490, currency=Currency.EUR)

    def valuation_currency(self, horse_country: Country) -> Currency:
        """The currency of the price range in the text: certificates are always in EUR."""
        swiss = horse_country is Country.CH and self.key is ProductKey.BEWERTUNG
        return Currency.CHF if swiss else Currency.EUR


BEWERTUNG = Product(
    key=ProductKey.BEWERTUNG,
    collection="bewertungen",
    result_field="bewertung",
    session_marker="bewertungId",
    page="ergebnis",
    title="Pferdebewertung",
)
WERTGUTACHTEN = Product(
    key=ProductKey.WERTGUTACHTEN,
    collection="wertgutachten",
    result_field="zertifikat_data",
    session_marker="wertgutachtenId",
    page="wertgutachten-ergebnis",
    title="Wertgutachten",
)
PRODUCTS = {product.key: product for product in (BEWERTUNG, WERTGUTACHTEN)}
