"""None of these: the share of false refusals that was asked for, for photos like the held-out ones."""

import numpy as np
import pytest

from fieldmark.confidence.gallery import gallery_of
from fieldmark.confidence.refusal import familiarity_of, refusal_of, refuse_share, share_of, threshold
from fieldmark.errors import UserError

GALLERY = gallery_of("m", ["a"], np.zeros(1, np.int64), np.ones((1, 2)))


def test_the_score_is_as_it_is_told() -> None:
    random = np.random.default_rng(0)
    largest, cosines = random.normal(size=(30, 3)).max(1), random.uniform(size=30)
    found = familiarity_of(largest, cosines).scores(largest[:4], cosines[:4])
    for at, score in enumerate(found):
        first = (largest[at] - np.mean(largest)) / np.std(largest)
        assert score == pytest.approx(first + (cosines[at] - np.mean(cosines)) / np.std(cosines) / 2)
    same = familiarity_of(np.zeros(3), np.ones(3))  # nothing varies
    assert same.scores(np.zeros(1), np.ones(1)).tolist() == [0.0]


def test_the_threshold_is_a_score_of_the_rank() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))  # 99 of them
    assert threshold(scores, 0.05) == 5  # 0.05 * 100: one in twenty of 100 lies below the fifth lowest or is it
    assert threshold(scores, 0.01) == 1
    assert threshold(scores, 0.999) == 99
    assert threshold(np.arange(19.0), 0.05) == 0  # exactly enough, whatever rounding says


def test_the_share_holds_on_average() -> None:
    drawn = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        scores = drawn.normal(size=(2, 59, 3)).max(2)
        cosines = drawn.normal(size=(2, 59)) / 10
        refusal = refusal_of(scores[0], cosines[0], GALLERY, share=0.1)
        shares.append(refusal.refused(scores[1], cosines[1]).mean())
    assert 0.085 < np.mean(shares) < 0.108  # 0.1; the standard error is 0.003


def test_too_few_photos_for_a_share() -> None:
    with pytest.raises(UserError) as caught:
        threshold(np.arange(18.0), 0.05)
    assert str(caught.value) == (
        "--refuse 5%: it needs 19 photos kept out of training, and the run has 18;\nask for 5.3% or more"
    )
    refuse_share(0.053, photos=18)
    with pytest.raises(UserError, match="leave it out"):
        refuse_share(0.9, photos=0)
    for photos in range(1, 200):  # what is advised is enough
        with pytest.raises(UserError) as caught:
            refuse_share(1e-6, photos=photos)
        refuse_share(share_of(str(caught.value).split("ask for ")[1].split(" or")[0]), photos=photos)


def test_shares_as_they_are_typed() -> None:
    assert [share_of(text) for text in ("5%", "0.05", 0.05, " 5 %", "99.5%")] == [0.05, 0.05, 0.05, 0.05, 0.995]
    for text in ("120%", "0", "0%", "1e9", "-5%", "five", "nan", "", "%", "100%", "inf%"):
        with pytest.raises(UserError, match="between 0 and 100 %, such as 5% or"):
            share_of(text)
    with pytest.raises(UserError, match="did you mean 5%"):
        share_of("5")
