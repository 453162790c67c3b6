"""``fieldmark serve``; imports are heavy only inside, as in ``cli``."""

import os
from pathlib import Path

from fieldmark.bench.commands import Speaking
from fieldmark.console import tell, working
from fieldmark.errors import UserError, printable


def serve(
    model: Path,
    *,
    host: str | None = None,
    port: int | None = None,
    token_file: Path | None = None,
    allow_host: tuple[str, ...] = (),
    workers: int | None = None,
    config: Path | None = None,
    console: Speaking,
) -> None:
    """Serve an exported model: a page for people at /, and /v1/predict for programs; /openapi.json describes it.

    Only this machine can connect, unless --host opens the server to others, which needs a token. Ctrl-C or SIGTERM
    stops it once pending requests are answered. Every setting (docs/serving.md lists them) can also be an environment
    variable, such as FIELDMARK_SERVE_PORT=8080, or stand in the --config file, such as port = 8080; the command line
    takes precedence.

    Args:
        model: the .onnx file that fieldmark export wrote.
        host: the address to listen on; 0.0.0.0 for all of this machine.
        port: the port to listen on; 0 takes a free one.
        token_file: a file with the token that clients must send.
        allow_host: another name that the server goes by, as behind a load balancer; repeat for several. With --host
            0.0.0.0 it goes by localhost and all IP addresses anyway.
        workers: the number of processes that decode photos; by default one per processor.
        config: a TOML file of settings.
    """
    if not model.is_file():
        raise UserError(f"{printable(str(model))}: no such file; name the .onnx file that fieldmark export wrote")
    with working(console, "starting"):
        try:
            from fieldmark.serving.running import serve as run
        except ImportError as error:
            raise UserError(f"serving needs {error.name}: pip install 'fieldmark[serve]'") from None
        from fieldmark.serving.gate import hosts_in_words
        from fieldmark.serving.logs import Log
        from fieldmark.serving.settings import settings_of
    given = {"host": host, "port": port, "token_file": token_file, "allow_host": allow_host, "workers": workers}
    settings = settings_of(given, environment=os.environ, config=config)
    hosts = f" for requests to {hosts_in_words(settings)}; --allow-host adds names"
    said = "" if settings.is_loopback else hosts
    run(model, settings, log=Log(), ready=lambda url: tell(console, f"serving at {url}{said}"))
