"""Certificates as the model answers them, and results of both products as they are stored."""

import copy
import json
import math
from typing import Any

import pytest
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from pferdewert_ops.domain.answers import (
    Certificate,
    DeliveredCertificate,
    DeliveredText,
    check_certificate,
    check_valuation,
    delivered_certificate,
    delivered_text,
)
from pferdewert_ops.domain.money import Currency
from pferdewert_ops.domain.rejections import Rejected, RejectionCode
from tests.shop_documents.answers import ACCEPTED_CERTIFICATES, AcceptedCertificate

each_certificate = pytest.mark.parametrize("accepted", ACCEPTED_CERTIFICATES, ids=lambda accepted: accepted.name)
PLACEHOLDER = "Wir arbeiten gerade an unserem KI-Modell, bitte versuche es später noch einmal. "


@each_certificate
def test_an_accepted_certificate(accepted: AcceptedCertificate) -> None:
    for data in (accepted.data, json.dumps(accepted.data)):
        certificate = check_certificate(data, stop_reason="end_turn")
        assert isinstance(certificate, Certificate)
        assert certificate.zertifikat_data() == accepted.data
        assert delivered_certificate(certificate.zertifikat_data()) is DeliveredCertificate.VALID


@each_certificate
def test_the_twins_of_a_certificate_are_rejected(accepted: AcceptedCertificate) -> None:
    for data, code in (
        (accepted.english, RejectionCode.NOT_GERMAN),
        (accepted.truncated, RejectionCode.UNFINISHED),
        (accepted.empty, RejectionCode.EMPTY),
        (json.dumps(accepted.data)[:-40], RejectionCode.SHAPE),
        ("", RejectionCode.EMPTY),
    ):
        assert check_certificate(data, stop_reason="end_turn") == Rejected(code=code)


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (["preisVon"], True, RejectionCode.SHAPE),
        (["preisVon"], 16_000.0, RejectionCode.SHAPE),
        (["preisVon"], "16000", RejectionCode.SHAPE),
        (["preisVon"], None, RejectionCode.SHAPE),
        (["preisVon"], Int64(16_000), RejectionCode.SHAPE),
        (["preisBis"], math.nan, RejectionCode.SHAPE),
        (["preisVon"], 99, RejectionCode.PRICE_IMPLAUSIBLE),
        (["preisVon"], 21_001, RejectionCode.PRICE_IMPLAUSIBLE),
        (["preisBis"], 64_001, RejectionCode.PRICE_IMPLAUSIBLE),
        (["preisBis"], -21_000, RejectionCode.PRICE_IMPLAUSIBLE),
        (["haupteignung"], "", RejectionCode.EMPTY),
        (["haupteignung"], " \u200b", RejectionCode.EMPTY),
        (["haupteignung"], None, RejectionCode.SHAPE),
        (["haupteignung"], "Dressur " * 50, RejectionCode.TOO_LONG),
        (["haupteignung"], "<b>Dressur</b>", RejectionCode.LEFTOVER),
        (["bewertungsDetails"], None, RejectionCode.SHAPE),
        (["bewertungsDetails"], [], RejectionCode.SHAPE),
        (["bewertungsDetails", "fazit"], "", RejectionCode.EMPTY),
        (["bewertungsDetails", "fazit"], 7, RejectionCode.SHAPE),
        (["bewertungsDetails", "fazit"], PLACEHOLDER, RejectionCode.PLACEHOLDER),
        (["bewertungsDetails", "fazit"], "Als KI sage ich: Es ist gut.", RejectionCode.LEFTOVER),
        (["bewertungsDetails", "fazit"], "Das Pferd ist gut geeignet für", RejectionCode.UNFINISHED),
        (["bewertungsDetails", "rasseText"], "The breed is very well known.", RejectionCode.NOT_GERMAN),
        (["bewertungsDetails", "extra"], "Mehr.", RejectionCode.SHAPE),
        (["extra"], "Mehr.", RejectionCode.SHAPE),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_certificate_that_is_changed_in_one_place(path: list[str], value: object, code: RejectionCode) -> None:
    data = copy.deepcopy(ACCEPTED_CERTIFICATES[0].data)
    _container(data, path)[path[-1]] = value
    assert check_certificate(data, stop_reason="end_turn") == Rejected(code=code)


EVERY_FIELD = [
    ["preisVon"],
    ["preisBis"],
    ["haupteignung"],
    ["bewertungsDetails"],
    *(["bewertungsDetails", field] for field in ACCEPTED_CERTIFICATES[0].data["bewertungsDetails"]),
]


@pytest.mark.parametrize("path", EVERY_FIELD, ids=".".join)
def test_no_field_of_a_certificate_may_be_missing(path: list[str]) -> None:
    data = copy.deepcopy(ACCEPTED_CERTIFICATES[0].data)
    del _container(data, path)[path[-1]]
    assert check_certificate(data, stop_reason="end_turn") == Rejected(code=RejectionCode.SHAPE)
    assert delivered_certificate(data) is DeliveredCertificate.INCOMPLETE


def test_a_certificate_of_stubs_is_too_short() -> None:
    data = copy.deepcopy(ACCEPTED_CERTIFICATES[0].data)
    data["bewertungsDetails"] = dict.fromkeys(data["bewertungsDetails"], "Das ist gut.")
    assert check_certificate(data, stop_reason="end_turn") == Rejected(code=RejectionCode.TOO_SHORT)


@pytest.mark.parametrize(
    "text", ["[]", "7", "null", "{}", '{"preisVon": 1}', "{", "[" * 200_000], ids=lambda text: text[:9]
)
def test_json_that_is_no_certificate(text: str) -> None:
    assert check_certificate(text, stop_reason="end_turn") == Rejected(code=RejectionCode.SHAPE)


def _container(data: dict[str, Any], path: list[str]) -> dict[str, Any]:
    inner: dict[str, Any] = data["bewertungsDetails"] if len(path) == 2 else data
    return inner


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, DeliveredText.ABSENT),
        ("", DeliveredText.BLANK),
        (" \n\t\r", DeliveredText.BLANK),
        ("\u00a0\u200b\ufeff\x00", DeliveredText.BLANK),
        (0, DeliveredText.NOT_TEXT),
        (False, DeliveredText.NOT_TEXT),
        ({"text": "Die Stute ist gut."}, DeliveredText.NOT_TEXT),
        (["Die Stute ist gut."], DeliveredText.NOT_TEXT),
        (b"Die Stute ist gut.", DeliveredText.NOT_TEXT),
        (PLACEHOLDER, DeliveredText.PLACEHOLDER),
        ("\n\n  " + PLACEHOLDER, DeliveredText.PLACEHOLDER),
        ("\ufeff" + PLACEHOLDER, DeliveredText.PLACEHOLDER),
        ("Wir arbeiten gerade an unserem KI-Modell", DeliveredText.PLACEHOLDER),
        ("Ihre Bewertung: " + PLACEHOLDER, DeliveredText.VALID),
        ("Kurz und knapp", DeliveredText.VALID),
        ("A short English text", DeliveredText.VALID),
        ("<p>Alte Bewertung</p>", DeliveredText.VALID),
    ],
    ids=repr,
)
def test_what_a_stored_text_is(value: object, kind: DeliveredText) -> None:
    assert delivered_text(value) is kind


COMPLETE = ACCEPTED_CERTIFICATES[0].data
NO_FAZIT = {**COMPLETE["bewertungsDetails"], "fazit": "\u200b"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, DeliveredCertificate.ABSENT),
        ({}, DeliveredCertificate.INCOMPLETE),
        ([], DeliveredCertificate.INCOMPLETE),
        ("Zertifikat", DeliveredCertificate.INCOMPLETE),
        (7, DeliveredCertificate.INCOMPLETE),
        (COMPLETE, DeliveredCertificate.VALID),
        ({**COMPLETE, "preisVon": 16_000.0}, DeliveredCertificate.VALID),
        ({**COMPLETE, "preisVon": Int64(16_000)}, DeliveredCertificate.VALID),
        ({**COMPLETE, "waehrung": "EUR"}, DeliveredCertificate.VALID),
        ({**COMPLETE, "haupteignung": "Sport"}, DeliveredCertificate.VALID),
        ({**COMPLETE, "preisVon": 0}, DeliveredCertificate.INCOMPLETE),
        ({**COMPLETE, "preisVon": True}, DeliveredCertificate.INCOMPLETE),
        ({**COMPLETE, "preisVon": "16000"}, DeliveredCertificate.INCOMPLETE),
        ({**COMPLETE, "preisBis": math.nan}, DeliveredCertificate.INCOMPLETE),
        ({**COMPLETE, "preisBis": math.inf}, DeliveredCertificate.INCOMPLETE),
        ({**COMPLETE, "haupteignung": " "}, DeliveredCertificate.INCOMPLETE),
        ({**COMPLETE, "bewertungsDetails": "Text"}, DeliveredCertificate.INCOMPLETE),
        ({**COMPLETE, "bewertungsDetails": NO_FAZIT}, DeliveredCertificate.INCOMPLETE),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, str) else None,
)
def test_what_a_stored_certificate_is(value: object, kind: DeliveredCertificate) -> None:
    assert delivered_certificate(value) is kind


values: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes()),
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(st.sampled_from([path[-1] for path in EVERY_FIELD]), inner),
        st.dictionaries(st.one_of(st.text(), st.integers()), inner),
    ),
    max_leaves=12,
)
stop_reasons = st.one_of(st.just("end_turn"), st.none(), st.text())


@given(value=values, stop_reason=stop_reasons)
def test_no_answer_and_no_stored_value_raises(value: object, stop_reason: str | None) -> None:
    assert isinstance(check_valuation(value, stop_reason=stop_reason, currency=Currency.EUR), Rejected)
    assert isinstance(check_certificate(value, stop_reason=stop_reason), Rejected)
    assert delivered_text(value) in DeliveredText
    assert delivered_certificate(value) in DeliveredCertificate
