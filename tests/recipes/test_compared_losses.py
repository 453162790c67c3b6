"""The other losses of Table VI: all on the features of the released head, each with its own paper's parts."""

from fieldmark.recipes.compared_losses import COMPARED, POOL
from fieldmark.recipes.mutual_channel import ROWS


def test_each_has_a_row_for_each_network_and_data_set():
    for name, compared in COMPARED.items():
        rows = [row for row in ROWS if row.name.endswith(f"-{name}")]
        assert len(rows) == 8
        for row in rows:
            model, parts = row.recipe.model, compared.composition
            assert (model.pool, model.head, model.terms) == (POOL, parts.head, parts.terms)
            assert parts.criterion in (None, model.criterion)
