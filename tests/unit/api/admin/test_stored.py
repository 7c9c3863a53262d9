"""What is looked for in the tables of what is stored."""

import pytest

from api.admin import stored


@pytest.mark.parametrize("form", [stored.Choice, stored.EventChoice])
def test_blanks_around_what_was_pasted_are_no_part_of_it(form):
    asked = form({"symbol": " 005930", "feed": "krx\t", "kind": "vi_change "})

    assert asked.errors == {}
    told = {"symbol": "005930", "feed": "krx", "kind": "vi_change"}
    assert {name: asked.cleaned_data[name] for name in told if name in form.base_fields} == {
        name: text for name, text in told.items() if name in form.base_fields
    }
