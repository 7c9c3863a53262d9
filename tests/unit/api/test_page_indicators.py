"""The page has words in Korean and English for every indicator there is."""

import re
from pathlib import Path

from analytics.indicators import registry

CATALOGUE = Path(__file__).resolve().parents[3] / "api/static/api/page/catalogue.js"


def words(of):
    """What a table of the module calls each of its names."""
    (table,) = re.findall(rf"const {of} = {{(.*?)}};", CATALOGUE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(re.findall(r'(\w+): (?:gettext\()?"(.*?)"', table))


def test_each_indicator_is_called_on_the_page_what_the_api_calls_it():
    assert words("TITLES") == {one.name: one.title for one in registry.ALL}


def test_each_parameter_and_each_value_beside_others_has_a_name_on_the_page():
    parameters = {parameter.name for one in registry.ALL for parameter in one.parameters}
    beside = {value for one in registry.ALL for value in one.outputs if value != one.name}

    assert words("PARAMETERS").keys() == parameters
    assert words("VALUES").keys() == beside
