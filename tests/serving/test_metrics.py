"""What is counted."""

from asking import Inside

from fieldmark.serving.metrics import Metrics


def test_counts(inside: Inside):
    metrics = Metrics(inside.engine)
    metrics.request("/v1/predict", 200, 0.02)
    metrics.request("/v1/predict", 503, 0.001)
    metrics.photos(3, 1)
    answer = metrics.page()
    lines = answer.body.decode().splitlines()
    assert answer.content_type.startswith("text/plain")
    for line in (
        'fieldmark_requests_total{path="/v1/predict",status="200"} 1.0',
        'fieldmark_requests_total{path="/v1/predict",status="503"} 1.0',
        'fieldmark_request_seconds_count{path="/v1/predict"} 2.0',
        'fieldmark_photos_total{outcome="answered"} 3.0',
        'fieldmark_photos_total{outcome="unreadable"} 1.0',
        "fieldmark_decoders 1.0",
    ):
        assert line in lines
