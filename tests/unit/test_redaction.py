import pytest

from pferdewert_ops import redaction
from pferdewert_ops.redaction import CONCEALED, conceal, printable, without_personal_data, without_secrets


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction._Register, "values", ())


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-Ab_c-9x",
        "sk_live_51Habcdef",
        "sk_test_51Habcdef",
        "rk_live_51Habcdef",
        "whsec_a1B2/c3+d4=",
        "re_8Xk2abcd_QWERTYuiop1234567",
        "re_123456789",
    ],
)
def test_credentials_are_known_by_their_shape(secret: str) -> None:
    for text in (secret, f"key={secret}", f"refused '{secret}', sorry", f'{{"key":"{secret}"}}'):
        assert secret not in without_secrets(text)
        assert CONCEALED in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "re_3MtwBwLkdIwHu7ix28a3tqPa",  # a Stripe refund
        "cs_live_a1b2c3",
        "re_enqueued_jobs",
        "66f0c0ffee0123456789abcd",
        "mongodb://db.example:27017/test?replicaSet=rs0",
        "https://pferdewert.de/ergebnis?id=66f0",
    ],
)
def test_ids_and_plain_addresses_of_machines_stay(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://shop:geheim@db:27017/test", f"mongodb://{CONCEALED}@db:27017/test"),
        ("mongodb+srv://shop:ge/h@e?im@db/test", f"mongodb+srv://{CONCEALED}@db/test"),
        ("to mongodb://a:b@db and back", f"to mongodb://{CONCEALED}@db and back"),
        ("https://user:pw@host/x", f"https://{CONCEALED}@host/x"),
        (
            "mongodb://db/?authMechanismProperties=AWS_SESSION_TOKEN:abc&w=1",
            f"mongodb://db/?authMechanismProperties={CONCEALED}&w=1",
        ),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {CONCEALED}"),
    ],
)
def test_userinfo_and_bearers_are_blanked(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_known_values_are_blanked_wherever_they_stand_the_longer_first() -> None:
    conceal(["hufeisen", "hufeisen-und-sattel"])
    assert without_secrets("x hufeisen-und-sattel y hufeisen") == f"x {CONCEALED} y {CONCEALED}"


def test_a_value_too_short_to_be_a_secret_does_not_garble_every_sentence() -> None:
    conceal(["test", ""])
    assert without_secrets("database test") == "database test"


@pytest.mark.parametrize("address", ["anna.maier+x@example.org", "änna@exämple.de", "x@localhost", "<a@b.c>"])
def test_mail_addresses_are_personal(address: str) -> None:
    assert "@" not in without_personal_data(f"mail to {address}, please")
    assert address in without_secrets(f"mail to {address}, please")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\u2028d", "a b c d"),
        ("\u202egnp", "\\u202egnp"),
        ("\ud800", "\\ud800"),
        ("Fuchs, 1,68 m – schön 🐴", "Fuchs, 1,68 m – schön 🐴"),
    ],
)
def test_nothing_steers_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
