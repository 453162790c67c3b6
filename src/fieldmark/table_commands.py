"""``fieldmark bench tables``, which prints as the lists of the front do."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fieldmark.bench.commands import Speaking
from fieldmark.commands import JsonFile, refuse_json, write_figures
from fieldmark.console import tell


def tables(
    paper: str | None = None,
    *,
    results: Annotated[tuple[Path, ...], Parameter(name="--results")] = (),
    data: Annotated[tuple[str, ...], Parameter(name="--data")] = (),
    time: bool = False,
    device: str = "auto",
    json_file: JsonFile = None,
    console: Speaking,
) -> int:
    """Print each table of the five papers, row by row: the paper's figure, our recipe, our figure or what it needs.

    Args:
        paper: a single paper, by its name for --method.
        results: folder of a comparison whose entries follow rows of papers; repeat for several.
        data: NAME=FOLDER, to count the photos of a data set, such as "Flowers-102=flowers-102"; repeat for several.
        time: measure the time column of CIN's Table 1 here, with random weights.
        device: for the times: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        json_file: also write the rows as JSON to this file.
    """
    from fieldmark.bench import tables as find
    from fieldmark.bench.paper_tables import by_table
    from fieldmark.listing import print_rows
    from fieldmark.plain import to_plain

    refuse_json(json_file, "tables")
    found = find(paper, results=results, data=data, time=time, device=device, console=console)
    for (name, table), rows in by_table(found):
        tell(console, f"{name}, {table}")
        lines = [(row.data, row.system, row.figure, row.unit, row.recipe or "-", row.ours) for row in rows]
        print_rows(("data", "row", "paper", "unit", "recipe", "ours"), lines, console)
    write_figures(json_file, {"tables": [to_plain(row) for row in found]})
    return 0
