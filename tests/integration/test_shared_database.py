"""The database that tests share is each time what the migrations made of it."""

from marketdata.models import Feed, Market, Source, Symbol
from tests import database


def test_what_a_test_changed_of_the_rows_that_come_with_the_migrations_is_put_right(road_database, tmp_path_factory):
    before = [sorted(model.objects.values_list()) for model in (Feed, Market, Source)]
    market = Market.objects.get(code="KRX")
    Feed.objects.create(name="sip")
    Feed.objects.filter(name="krx").delete()
    Market.objects.filter(code="KRX").update(name="changed")
    Symbol.objects.create(code="005930", market=market, primary_feed="sip")
    Source.objects.filter(id=Source.objects.latest("id").id).delete()

    with database.road(tmp_path_factory.getbasetemp()):
        assert [sorted(model.objects.values_list()) for model in (Feed, Market, Source)] == before
        assert not Symbol.objects.exists()
