"""Labels that a person has corrected: photos that are left out, and photos of another class than their data say.

A list of corrections is a CSV with the columns ``file`` (the photo's name), ``given`` (its class in the data) and
``decision``: ``drop``, ``keep``, a class, or ``suggested`` where a column ``suggested`` names one; an empty decision
decides nothing. ``class:NAME`` always means a class, even one called "drop". Where ``given`` is empty, the writer knew
nothing of the data's class, and a name may lack folders before it, if one photo alone ends in it: so the server's page
writes lists of single photos. Photos are never touched: the list is read with the data (``reading.py``), and without it
they are as before.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.entries import CORRECTIONS
from fieldmark.data.outputs import refuse_file
from fieldmark.data.spreadsheet import Row, header_of, read_rows
from fieldmark.errors import UserError, printable
from fieldmark.files import refuse_unwritable, unescaped, write_csv
from fieldmark.plain import did_you_mean

COLUMNS = ("file", "given", "decision")
TABLE = "suspects.csv"
"""What ``check --labels`` leaves for a person to decide."""
DROP, KEEP, SUGGESTED, CLASS = "drop", "keep", "suggested", "class:"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
WORDS = f"{KEEP}, {DROP}, {SUGGESTED} or a class"


class Decision(NamedTuple):
    """A row of a list: its number in a spreadsheet, and the cells that count."""

    row: int
    file: str
    given: str
    decision: str
    suggested: str


class Correction(NamedTuple):
    """The class that the data give a photo, and the one it gets instead; None is to leave the photo out."""

    given: str
    label: str | None


@dataclass(frozen=True)
class Applied:
    """What ``apply_decisions`` did: the list ``place`` now holds ``left_out`` and ``relabelled`` photos.

    ``undecided`` rows had no decision; ``untouched`` ones were of official test photos; ``unmatched`` are those of no
    photo, or of several, each with a reason.
    """

    place: Path
    left_out: int
    relabelled: int
    undecided: int
    untouched: int
    unmatched: tuple[str, ...] = ()


def suspects_folder(data: Path) -> Path:
    """Where ``check --labels`` leaves its files unless the user says: in the working folder, after the data's name."""
    place = data.resolve()
    return Path(f"labels-{(place.name if place.is_dir() else place.stem) or 'data'}")


def place_of(dataset: Dataset, source: Path, *, annotation: str = "variant") -> Path:
    """Where the list of corrections lies with the data: in their folder, or beside a table under its name."""
    name = CORRECTIONS if annotation == "variant" else f"{CORRECTIONS}-{annotation}"
    return source.with_name(f"{source.stem}.{name}.csv") if source.is_file() else dataset.root / f"{name}.csv"


def chosen_list(place: Path, named: Path | None) -> Path | None:
    """The list to read: the one that the user ``named``, or else the one with the data, if it is there.

    Raises:
        UserError: the named one is missing, or there are both.
    """
    if named is None:
        return place if place.is_file() else None
    if not named.is_file():
        raise UserError(f"--corrections {printable(str(named))}: no such file")
    refuse_second_list(place, named)
    return named


def refuse_second_list(place: Path, named: Path) -> None:
    """Raises ``UserError`` where a list is ``named`` and another one lies with the data."""
    if place.is_file() and not (named.exists() and place.samefile(named)):
        raise UserError(
            f"--corrections {printable(str(named))}: the data have a list of their own, {printable(str(place))};\n"
            "remove one of the two"
        )


def corrected(dataset: Dataset, path: Path) -> Dataset:
    """The dataset as a list of corrections has it, with a note of what that changes.

    Raises:
        UserError: no such list; one for other photos or labels, with a class that the data lack, with two decisions
            on a photo, or one that leaves no photo.
    """
    corrections = _resolved(dataset, read_decisions(path), path)
    index = {name: label for label, name in enumerate(dataset.classes)}
    left = []
    for photo in dataset.photos:
        one = corrections.get(photo.name)
        if one is None or one.label == one.given:
            left.append(photo)
        elif one.label is not None:
            left.append(replace(photo, label=index[one.label]))
    if not left:
        raise UserError(f"{printable(str(path))} leaves out every photo of the data; remove that file to undo it")
    return replace(dataset, photos=tuple(left), notes=(*dataset.notes, *_notes(dataset, corrections, path)))


def read_decisions(path: Path) -> list[Decision]:
    """The rows of a list, those that leave the decision open, too. Raises ``UserError`` for any other file."""
    shown = printable(str(path))
    header, *rows = read_rows(path) or [Row(1, [])]
    names = [cell.strip().casefold() for cell in header.cells]
    if missing := [name for name in COLUMNS if name not in names]:
        raise UserError(
            f"{shown}: no column {' and no column '.join(missing)}; a list of decisions on labels has "
            f"{', '.join(COLUMNS)},\nas `fieldmark check DATA --labels` writes it"
        )
    decisions = []
    for number, cells in rows:
        named = dict(zip(names, cells, strict=False))
        file, given, decision = (named.get(name, "") for name in COLUMNS)
        decisions.append(Decision(number, file, given, decision.strip(), named.get("suggested", "")))
    return decisions


def apply_decisions(dataset: Dataset, decided: Path, place: Path, *, option: str = "", test: bool = False) -> Applied:
    """Writes the decisions of a person as the list that reading honours, together with those that it holds already.

    Args:
        dataset: as the data have it, uncorrected.
        decided: what the person edited.
        place: of the list; an earlier one is replaced, and removed where nothing is left to correct.
        option: the option that names the place, if the user did.
        test: also decide on official test photos, which are left alone otherwise.

    Raises:
        UserError: as for ``corrected``; not one decision; or the list cannot be written.
    """
    if not option:
        refuse_unwritable(place, advice="name another place with --corrections FILE, and give that to train, too")
    refuse_file(place, option=option, inputs=[decided], is_ours=is_list)
    rows = read_decisions(decided)
    before = _resolved(dataset, read_decisions(place), place) if place.is_file() else {}
    made = _resolved(dataset, rows, decided, before=before)
    official = {photo.name for photo in dataset.photos if dataset.is_split and photo.split == "test"} - set(before)
    untouched = [] if test else [name for name in made if name in official]
    if len(untouched) == len(made):
        raise UserError(_nothing(decided, len(untouched)))
    merged = before | {name: new for name, new in made.items() if name not in set(untouched)}
    merged = {name: one for name, one in merged.items() if one.given != one.label}
    out = sum(one.label is None for one in merged.values())
    if out == len(dataset.photos):
        raise UserError(f"{printable(str(decided))} leaves out every photo of the data; keep some")
    if merged:
        _write(place, dataset.photos, merged, dataset.classes)
    else:
        place.unlink(missing_ok=True)
    open_rows = sum(not row.decision for row in rows)
    unmatched = tuple(_unmatched(dataset, [row for row in rows if row.decision]))
    return Applied(place, out, len(merged) - out, open_rows, len(untouched), unmatched)


def is_list(path: Path) -> bool:
    """Whether a file is such a list, and not a table with more columns that a person may have edited."""
    return tuple(header_of(path)) == COLUMNS


def _nothing(decided: Path, official: int) -> str:
    if official:
        return (
            f"{printable(str(decided))}: all decisions ({official:,}) are on official test photos, left alone;\n"
            "--test applies these, too, and figures then no longer compare with those of others"
        )
    return f"{printable(str(decided))}: no row has a decision; write {WORDS} into the column decision"


def _resolved(
    dataset: Dataset,
    rows: Sequence[Decision],
    source: Path,
    *,
    before: Mapping[str, Correction] | None = None,
) -> dict[str, Correction]:
    """By photo, what the rows decide, be it to keep its class; rows of photos that are gone decide nothing.

    ``before`` are the corrections that the person saw as given.
    """
    shown, before = printable(str(source)), before or {}
    classes, found = {_plain(name): name for name in dataset.classes}, _photos_of(dataset, rows)
    _refuse_other_photos(dataset, rows, len(found), shown)
    corrections: dict[str, Correction] = {}
    decided: dict[str, Decision] = {}
    for row, photo in found.items():
        if not row.decision:
            continue
        place = f"{shown}, row {row.row}: "
        original = "" if photo.label is None else dataset.classes[photo.label]
        now = before[photo.name].label if photo.name in before else original
        # "keep" stands for the class that the person saw, corrected earlier or not
        seen = now if now is not None and _plain(now) == _plain(row.given) else original
        new = _label(row, seen, classes, place)
        possible = {_plain(name) for name in (original, now, new) if name is not None}
        if row.given.strip() and _plain(row.given) not in possible:
            raise UserError(
                f"{place}{printable(photo.name)} is '{printable(original)}' in the data, not '{printable(row.given)}': "
                "the labels changed since.\nDelete the row, or make a new list with `fieldmark check DATA --labels`"
            )
        if (first := decided.setdefault(photo.name, row)) is not row and corrections[photo.name].label != new:
            raise UserError(
                f"{shown}, rows {first.row} and {row.row}: {printable(photo.name)} is decided twice, "
                f"'{printable(first.decision)}' and '{printable(row.decision)}'; delete one of the two"
            )
        corrections[photo.name] = Correction(original, new)
    return corrections


def _photos_of(dataset: Dataset, rows: Iterable[Decision]) -> dict[Decision, Photo]:
    """The photo of each row that names one."""
    photos, ends = photos_by_name(dataset.photos), _by_last_name(dataset.photos)
    found = {row: photo_of(row.file, photos) or _ending(row.file, ends) for row in rows}
    return {row: photo for row, photo in found.items() if photo is not None}


def _unmatched(dataset: Dataset, rows: Sequence[Decision]) -> Iterator[str]:
    """The rows that name no photo, or several."""
    found, ends = _photos_of(dataset, rows), _by_last_name(dataset.photos)
    for row in rows:
        if row not in found:
            alike = [printable(photo.name) for photo in _endings(row.file, ends)]
            several = f"may be {' or '.join(alike[:3])}" if alike else "is none of the photos"
            yield f"{printable(row.file)} {several}"


def _label(row: Decision, given: str, classes: Mapping[str, str], place: str) -> str | None:
    word = row.decision.casefold()
    if word in (DROP, KEEP):
        return None if word == DROP else given
    name = row.suggested if word == SUGGESTED else row.decision.removeprefix(CLASS)
    if _plain(name) in classes:
        return classes[_plain(name)]
    if word == SUGGESTED:
        raise UserError(f"{place}no class is suggested for {printable(row.file)}; write {KEEP}, {DROP} or a class")
    hint = did_you_mean(name, (*classes.values(), KEEP, DROP, SUGGESTED))
    raise UserError(f"{place}'{printable(name)}' is no class of the data; {printable(hint)}\nwrite {WORDS}")


def _refuse_other_photos(dataset: Dataset, rows: Sequence[Decision], found: int, shown: str) -> None:
    if rows and 2 * found < len(rows):
        unmatched = list(_unmatched(dataset, rows))
        if any(" may be " in line for line in unmatched):
            advice = "write the folders before the names, as in the data"
            raise UserError(f"{shown}: {len(unmatched):,} rows name no single photo: {unmatched[0]};\n{advice}")
        raise UserError(
            f"{shown} names {found or 'none'} of the photos in {printable(str(dataset.root))}, in {len(rows):,} rows "
            f"such as {printable(rows[0].file)}:\nit was made for other photos; remove it, or name the photos it is for"
        )


def _notes(dataset: Dataset, corrections: Mapping[str, Correction], path: Path) -> Iterable[str]:
    corrections = {name: one for name, one in corrections.items() if one.given != one.label}
    if not corrections:
        return
    out = sum(one.label is None for one in corrections.values())
    counts = f"photos left out: {out:,}, relabelled: {len(corrections) - out:,}"
    yield f"labels corrected by {printable(str(path))} ({counts}); remove that file to undo it"
    official = sum(photo.name in corrections and photo.split == "test" for photo in dataset.photos)
    if official:
        yield (f"official test photos among them: {official:,}; figures on test do not compare with those of others")


def photos_by_name(photos: Iterable[Photo]) -> dict[str, Photo]:
    """The photos by their names, and by what a spreadsheet may make of these where that is one photo's alone."""
    photos = tuple(photos)
    spelled = Counter(_plain(photo.name) for photo in photos)
    plain = {_plain(photo.name): photo for photo in photos if spelled[_plain(photo.name)] == 1}
    return plain | {photo.name: photo for photo in photos}


def photo_of(file: str, photos: Mapping[str, Photo]) -> Photo | None:
    """The photo of a name, which a spreadsheet or another system may have spelled in another way."""
    for name in (file, unescaped(file), _plain(file)):
        if name in photos:
            return photos[name]
    return None


def _by_last_name(photos: Iterable[Photo]) -> dict[str, list[Photo]]:
    found: dict[str, list[Photo]] = {}
    for photo in photos:
        found.setdefault(_plain(photo.name).rpartition("/")[2], []).append(photo)
    return found


def _ending(file: str, ends: Mapping[str, Sequence[Photo]]) -> Photo | None:
    """The one photo whose name ends in this one, which lacks folders before it; None if there are none or several."""
    found = _endings(file, ends)
    return found[0] if len(found) == 1 else None


def _endings(file: str, ends: Mapping[str, Sequence[Photo]]) -> list[Photo]:
    name = _plain(file)
    return [photo for photo in ends.get(name.rpartition("/")[2], ()) if _plain(photo.name).endswith(f"/{name}")]


def shielded(cell: str) -> str:
    """A cell that spreadsheet programs show and do not compute: a name such as ``=cmd`` gets an apostrophe first."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _plain(name: str) -> str:
    """A name of a photo or a class as it is compared, whatever a table or a spreadsheet made of it."""
    name = unicodedata.normalize("NFC", unescaped(name)).replace("\\", "/").strip()
    return name[1:] if name.startswith("'") and name[1:].startswith(_FORMULA) else name


def _write(place: Path, photos: Iterable[Photo], corrections: Mapping[str, Correction], classes: Sequence[str]) -> None:
    rows = ((photo.name, corrections[photo.name]) for photo in photos if photo.name in corrections)
    cells = ((name, one.given, _in_words(one.label, classes)) for name, one in rows)
    write_csv(place, (COLUMNS, *(map(shielded, row) for row in cells)))


def _in_words(label: str | None, classes: Sequence[str]) -> str:
    if label is None:
        return DROP
    return f"{CLASS}{label}" if label.casefold() in (DROP, KEEP, SUGGESTED) or label.startswith(CLASS) else label
