# A server for one exported model: small, without torch, not as root, on a file system that nothing is written to.
#
#   docker build -t fieldmark-serve .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --memory 2g -p 127.0.0.1:8000:8000 \
#     -v "$PWD/model.onnx:/srv/model.onnx:ro" -v "$PWD/token:/run/secrets/fieldmark:ro" fieldmark-serve
#
# It answers requests to localhost and to any IP address; for a name, add -e FIELDMARK_SERVE_ALLOW_HOST=birds.example.org.
# Written without a Docker at hand: it has not been built or run where it was written. The same commands are tested there
# outside a container.
FROM python:3.12-slim AS built
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/fieldmark && /opt/fieldmark/bin/pip install --no-cache-dir --no-compile ".[serve]"

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin fieldmark
COPY --from=built /opt/fieldmark /opt/fieldmark
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/nonexistent \
    ORT_DISABLE_TELEMETRY=1 \
    FIELDMARK_SERVE_HOST=0.0.0.0 \
    FIELDMARK_SERVE_PORT=8000 \
    FIELDMARK_SERVE_TOKEN_FILE=/run/secrets/fieldmark
USER 10001:10001
WORKDIR /srv
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s --retries=3 CMD ["/opt/fieldmark/bin/python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://localhost:8000/readyz', timeout=5)"]
ENTRYPOINT ["/opt/fieldmark/bin/fieldmark", "serve"]
CMD ["/srv/model.onnx"]
