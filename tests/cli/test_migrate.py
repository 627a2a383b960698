"""`pwops migrate`: ours is made and can be dropped, the shop's is never touched."""

import pytest
from bson import ObjectId

from pferdewert_ops.adapters.mongo.schema import SCHEMA
from tests.cli.operator_support import Call, everything
from tests.harness import ShopFloor

# A collection without an index of ours comes with its first document.
OURS = {name for name, wanted in SCHEMA.items() if wanted and name != "evaluation_jobs"}


def indexes(floor: ShopFloor) -> dict[str, set[str]]:
    return {name: set(floor.database[name].index_information()) for name in floor.database.list_collection_names()}


@pytest.fixture
def shop(floor: ShopFloor) -> ShopFloor:
    """A shop that knows nothing of us, with an index and a job of its own."""
    order_id = floor.order()
    floor.shop_job(order_id)
    floor.database.evaluation_jobs.create_index([("status", 1), ("scheduledAt", 1)], name="the_shops_own")
    floor.database.counters.insert_one({"name": "zertifikat_2026", "seq": 7})
    return floor


def test_a_dry_run_shows_what_would_be_made_and_makes_nothing(invoke: Call, shop: ShopFloor) -> None:
    before, had = everything(shop), indexes(shop)
    said = invoke("migrate", "--dry-run", "-o", "json")
    assert said.exit_code == 0
    rows = said.json()["rows"]
    assert {
        "action": "create",
        "collection": "mail_outbox",
        "index": "pwops_claim",
        "detail": "rank +1, _id +1",
    } in rows
    assert {row["collection"] for row in rows} == OURS | {"evaluation_jobs"}
    assert {row["index"] for row in rows if row["collection"] == "evaluation_jobs"} >= {"pwops_claim", "pwops_lease"}
    assert (everything(shop), indexes(shop)) == (before, had)


def test_it_makes_ours_and_nothing_else(invoke: Call, shop: ShopFloor) -> None:
    before, had = everything(shop), indexes(shop)
    shown = invoke("migrate", "--dry-run", "-o", "json").json()["rows"]

    said = invoke("migrate", "-o", "json")

    assert said.json()["rows"] == shown
    now, has = everything(shop), indexes(shop)
    assert set(has) == set(had) | OURS
    for name in had:
        assert now[name] == before[name]
        assert has[name] == had[name] or name == "evaluation_jobs"
    assert "the_shops_own" in has["evaluation_jobs"]


def test_a_second_run_finds_nothing_to_do(invoke: Call, shop: ShopFloor) -> None:
    invoke("migrate")
    before = everything(shop)
    said = invoke("migrate")
    assert (said.exit_code, said.stdout) == (0, "")
    assert "Nothing to do" in said.stderr
    assert everything(shop) == before


def test_an_index_of_ours_with_other_keys_is_replaced(invoke: Call, shop: ShopFloor) -> None:
    invoke("migrate")
    shop.database.evaluation_jobs.drop_index("pwops_claim")
    shop.database.evaluation_jobs.create_index([("rank", 1)], name="pwops_claim")
    (row,) = invoke("migrate", "-o", "json").json()["rows"]
    assert (row["action"], row["index"]) == ("replace", "pwops_claim")
    assert invoke("migrate", "-o", "json").json()["rows"] == []


def test_undoing_asks_first(invoke: Call, shop: ShopFloor) -> None:
    invoke("migrate")
    before, had = everything(shop), indexes(shop)
    said = invoke("migrate", "--undo")
    assert said.exit_code == 5
    assert (everything(shop), indexes(shop)) == (before, had)


def test_undoing_leaves_what_the_shop_had_and_every_record(invoke: Call, shop: ShopFloor) -> None:
    had, before = indexes(shop), everything(shop)
    invoke("migrate")
    shop.database.mail_outbox.insert_one({"_id": f"{ObjectId()}:result", "status": "sent"})
    shown = invoke("migrate", "--undo", "--dry-run", "-o", "json").json()["rows"]

    said = invoke("migrate", "--undo", "--yes", "-o", "json")

    assert said.json()["rows"] == shown
    now, has = everything(shop), indexes(shop)
    assert {name: names for name, names in has.items() if name in had} == had
    assert {name: documents for name, documents in now.items() if name in before} == before
    # Who changed what is never forgotten, and no mail is.
    assert set(has) - set(had) == {"mail_outbox", "ops_audit"}
    assert len(now["mail_outbox"]) == 1
    assert [entry["action"] for entry in now["ops_audit"]] == ["migrate", "migrate_undo"]
    assert "Nothing to do" in invoke("migrate", "--undo", "--yes").stderr


def test_undone_and_made_again_it_is_as_it_was(invoke: Call, shop: ShopFloor) -> None:
    invoke("migrate")
    had = indexes(shop)
    invoke("migrate", "--undo", "--yes")
    invoke("migrate")
    assert indexes(shop) == had


def test_nothing_is_dropped_under_a_running_worker(invoke: Call, shop: ShopFloor) -> None:
    with shop.working():
        had = indexes(shop)["evaluation_jobs"]
        said = invoke("migrate", "--undo", "--yes")
        assert indexes(shop)["evaluation_jobs"] == had
    assert said.exit_code == 6
    assert "stop them first" in said.stderr
