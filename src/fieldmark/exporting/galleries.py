"""The gallery that goes into an exported file: the run's own, or one made for it, and small pictures of its photos."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from rich.console import Console

from fieldmark.confidence.gallery import Gallery
from fieldmark.console import counted, tell
from fieldmark.data.dataset import Photo
from fieldmark.errors import UnreadableImage, UserError, printable
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.evaluation.familiar import gallery_from
from fieldmark.exporting.photos import trained_on
from fieldmark.images.guard import up_to
from fieldmark.input.loading import Packed, open_photo
from fieldmark.runs.folder import Opened, gallery_of_run
from fieldmark.ship.gallery import ModelGallery

SIDE, QUALITY = 96, 80
"""Of the longer side of a small picture, in pixels, at most; and how well it is kept."""


@dataclass(frozen=True)
class Wanted:
    """Which gallery: ``gallery`` None takes the run's if it has one, True makes one otherwise, False takes none.

    ``thumbnails`` adds small pictures, as JPEG without a word of what cameras write.
    """

    gallery: bool | None = None
    thumbnails: bool = False

    def refuse_contradictions(self) -> None:
        """Raises ``UserError`` where pictures are wanted of no gallery."""
        if self.thumbnails and self.gallery is False:
            raise UserError("--thumbnails are those of the gallery: leave out --no-gallery")


def gallery_for(opened: Opened, wanted: Wanted, data: Path | None, *, console: Console) -> ModelGallery | None:
    """The gallery for a run's file; None where there is to be none.

    Args:
        opened: the run, on the device that embeds photos.
        wanted: which.
        data: labelled photos; None for those that the run was trained on.
        console: for progress, and how many pictures could not be made.

    Raises:
        UserError: photos are needed that cannot be used.
    """
    wanted.refuse_contradictions()
    if wanted.gallery is False:
        return None
    gallery = gallery_of_run(opened.path)
    if gallery is None and not (wanted.gallery or wanted.thumbnails):
        return None
    if gallery is None:
        gallery = gallery_from(opened, trained_on(opened, data), console=console)
    plain = ModelGallery(gallery.labels, gallery.embeddings, tuple(map(printable, gallery.names)))
    return replace(plain, thumbnails=_pictures(opened, gallery, data, console)) if wanted.thumbnails else plain


def _pictures(opened: Opened, gallery: Gallery, data: Path | None, console: Console) -> tuple[bytes, ...]:
    """A small JPEG for each photo, nothing for one that is gone or cannot be read; how many these are is told."""
    chosen = split_of_run(opened.path, data, "all").dataset
    by_name = {printable(photo.name): photo for photo in chosen.photos}
    megapixels, pictures = opened.recipe.pixels.megapixels, []
    with counted(console, "making thumbnails", len(gallery.names)) as tick:
        for name in gallery.names:
            pictures.append(small_jpeg(by_name.get(printable(name)), packed=chosen.pixels, megapixels=megapixels))
            tick(1)
    if missing := sum(not picture for picture in pictures):
        tell(console, f"{missing:,} of {len(pictures):,} photos of the gallery are gone or unreadable: no thumbnails")
    return tuple(pictures)


def small_jpeg(photo: Photo | None, *, packed: Packed | None, megapixels: float) -> bytes:
    """A photo within ``SIDE`` pixels, encoded anew from its pixels alone; empty where it cannot be read."""
    if photo is None:
        return b""
    try:
        image = open_photo(photo, packed=packed, limits=up_to(megapixels))
    except UnreadableImage:
        return b""
    image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    clean, file = Image.new("RGB", image.size), io.BytesIO()  # without what the old one carries with it
    clean.paste(image)
    clean.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
