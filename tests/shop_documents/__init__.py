"""Orders in the shapes of the live shop, the ugly ones included; all people, horses and sessions are invented."""

from datetime import datetime

from tests.shop_documents.certificates import certificates
from tests.shop_documents.forms import forms
from tests.shop_documents.hostile import hostile
from tests.shop_documents.model import NOW, Shop, ShopDocument
from tests.shop_documents.new_flow import new_flow
from tests.shop_documents.old_flow import old_flow


def shop_documents(now: datetime) -> list[ShopDocument]:
    """The whole collection as it would look at this moment: every time and every id's time is relative to `now`."""
    shop = Shop(now=now)
    return [order for chapter in (old_flow, forms, new_flow, certificates, hostile) for order in chapter(shop)]


SHOP_DOCUMENTS: list[ShopDocument] = shop_documents(NOW)
