"""The page's files."""

from asking import Inside

from fieldmark.serving.pages import pages, unless_known


def test_every_file_has_its_type_and_a_policy():
    found = pages()
    assert found["/"] is found["/index.html"]
    for path, answer in found.items():
        assert answer.status == 200
        assert ("html" in answer.content_type) == (path == "/" or path.endswith(".html"))
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy


def test_what_the_client_has_is_not_sent_again(inside: Inside):
    first = inside.ask("GET", "/")
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    again = inside.ask("GET", "/", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert inside.ask("GET", "/", headers={"If-None-Match": '"x"'}).status == 200
    answer = pages()["/"]
    assert unless_known(answer, "") is answer
