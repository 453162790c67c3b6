"""The photos of the sheet as small JPEGs: few enough, and small enough, for one file."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError
from fieldmark.images.guard import up_to
from fieldmark.input.loading import Packed, open_photo
from fieldmark.input.views import draw, evaluation_frame
from fieldmark.label_audit.audit import Audit
from fieldmark.recipe import Pixels
from fieldmark.reports.pictures import jpeg

MOST = 300
"""Suspects with a picture."""
BYTES = 3_000_000
"""Of all JPEGs together; Base64 makes a third more of it."""
SIDES = {60: 224, 150: 168, 10_000: 128}
"""Pixels a side, by how many pictures there are at most."""
QUALITY = 72


class Pictures(NamedTuple):
    """JPEGs in Base64 by position in the audit, their side in pixels, and a remark where some are not here."""

    by_row: dict[int, str]
    side: int
    remark: str


def wanted_rows(audit: Audit) -> list[int]:
    """The positions of photos to show: suspects, a typical photo of each class that these concern, other copies."""
    shown = audit.suspects[:MOST]
    labels = dict.fromkeys(
        label for each in shown for label in (int(audit.labels[each.row]), each.suggested) if label is not None
    )
    typical = [row for row in map(audit.typical, labels) if row is not None]
    copies = [at for cluster in audit.copies_across_splits for at in cluster]
    return list(dict.fromkeys((*(each.row for each in shown), *typical, *copies)))[: 2 * MOST]


def pictures_of(
    photos: Sequence[Photo],
    rows: Sequence[int],
    pixels: Pixels,
    *,
    packed: Packed | None = None,
    progress: Callable[[int], object] | None = None,
) -> Pictures:
    """Draws photos as the network sees them, as many as there is room for.

    Args:
        photos: of the audit.
        rows: positions in them, the most important first.
        pixels: of the network.
        packed: ``Dataset.pixels`` of data that keep photos in one file.
        progress: called with the number of photos just done.
    """
    side = next((side for count, side in SIDES.items() if len(rows) <= count), min(SIDES.values()))
    by_row: dict[int, str] = {}
    size, remark = 0, ""
    for row in rows:
        photo = photos[row]
        try:
            image = open_photo(photo, packed=packed, limits=up_to(pixels.megapixels))
        except UserError as error:
            remark = f"Not all photos could be read again: {error}"
            continue
        picture = jpeg(draw(image, evaluation_frame(image.size, pixels, photo.box), side), QUALITY)
        size += 3 * len(picture) // 4
        if size > BYTES:
            return Pictures(by_row, side, "More photos would make the file too large.")
        by_row[row] = picture
        if progress:
            progress(1)
    return Pictures(by_row, side, remark)
