"""Refusals."""

from fieldmark.serving.refused import Refused, busy


def test_what_may_succeed_later_says_when():
    assert busy("full").headers == {"Retry-After": "1"}
    assert busy("full").status == 503
    assert Refused(401, "no_token", "who?", headers={"WWW-Authenticate": "Bearer"}).headers == {
        "WWW-Authenticate": "Bearer"
    }
