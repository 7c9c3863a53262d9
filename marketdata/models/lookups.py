"""How rows are looked up by numbers that come from outside, such as those of chosen rows in a form."""

from __future__ import annotations

from typing import Any

from django.db.models import IntegerField
from django.db.models.lookups import In


@IntegerField.register_lookup
class WithinColumn(In):
    """`in`, of which numbers that the column cannot hold find nothing, as Django has it of a single one: SQLite refuses
    to be asked for them."""

    def process_rhs(self, compiler: Any, connection: Any) -> Any:
        if self.rhs_is_direct_value():
            kind = self.lhs.output_field.get_internal_type()
            least, most = connection.ops.integer_field_range(kind)
            self.rhs = [
                one for one in self.rhs
                if not isinstance(one, int) or ((least is None or one >= least) and (most is None or one <= most))
            ]  # fmt: skip
        return super().process_rhs(compiler, connection)
