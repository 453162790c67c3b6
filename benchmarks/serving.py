"""What serving costs: ``fieldmark serve`` beside onnxruntime alone and other servers, and under pressure.

    python benchmarks/serving.py throughput MODEL PHOTOS     photos per CPU second: alone, ours, and with --peers others
    python benchmarks/serving.py overhead MODEL PHOTOS       one photo at a time: milliseconds beyond onnxruntime alone
    python benchmarks/serving.py latency MODEL PHOTOS        p50 and p99 at 60 % of the most it serves
    python benchmarks/serving.py overload MODEL PHOTOS       three times as many requests as it serves, for a minute
    python benchmarks/serving.py slow MODEL PHOTOS           others' p99 beside 500 senders that hardly send
    python benchmarks/serving.py memory MODEL PHOTOS         growth over 50,000 requests, one in twenty of them damaged

MODEL is what ``fieldmark export`` wrote, PHOTOS a folder. The load comes from a process of its own (``load.py``), whose
time is not counted; the server's is that of all its processes. Runs take turns, ``--rounds`` times, and medians are
printed; ``--seconds`` shortens them, ``--json FILE`` keeps all of it. For ``memory`` a small model will do.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from asking_slowly import slow_senders
from fieldmark.ship.model import open_model
from server_process import Running, running

HERE = Path(__file__).resolve().parent
UNLIMITED = {"FIELDMARK_SERVE_RATE": "0"}
Found = dict[str, Any]


def ours(options: argparse.Namespace) -> contextlib.AbstractContextManager[Running]:
    """The server of this library, with its own settings but for the rate of a client."""
    command = ["-m", "fieldmark", "serve", str(options.model), "--port", "0"]
    return running(command, extra=UNLIMITED)


def peer(name: str, options: argparse.Namespace) -> contextlib.AbstractContextManager[Running]:
    """Another server."""
    return running([str(HERE / f"serving_{name}.py"), str(options.model)])


def load(server: Running, options: argparse.Namespace, **more: object) -> Found:
    """What a client saw in so many seconds, by default on eight connections, and what that cost the server."""
    words = {"connections": 8, "seconds": options.seconds} | more
    flags = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, str(HERE / "load.py"), server.url, str(options.photos), *flags]
    before = server.cpu
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    seen = json.loads(done.stdout)
    answered = seen["statuses"].get("200", {"n": 0})
    cost = server.cpu - before
    return seen | {"cost": cost, "per_second": answered["n"] / seen["wall"], "per_cpu_second": answered["n"] / cost}


def alone(options: argparse.Namespace, batch: int) -> Iterator[float]:
    """Seconds of the processor for each photo, decoded and computed in this process, one thread, in batches."""
    model = open_model(options.model, device="cpu", threads=1)
    files = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[::7]
    content = [path.read_bytes() for path in files[:400]]
    at = 0
    while True:
        part = [content[(at + number) % len(content)] for number in range(batch)]
        begun = time.process_time()
        pictures = np.stack([model.prepared(data) for data in part])
        model.probabilities(model.outputs(pictures, "logits")["logits"])
        yield (time.process_time() - begun) / batch
        at += batch


def throughput(options: argparse.Namespace) -> Found:
    """Photos per CPU second at saturation, taken in turn."""
    sides: dict[str, Callable[[], float]] = {}
    with contextlib.ExitStack() as stack:
        for batch in (1, 8):
            source = alone(options, batch)
            next(source)
            sides[f"onnxruntime alone, batches of {batch}"] = lambda source=source, batch=batch: _rate_alone(
                source, batch, options.seconds
            )
        servers = {"fieldmark serve": stack.enter_context(ours(options))}
        servers |= {name: stack.enter_context(peer(name, options)) for name in options.peers}
        for name, server in servers.items():
            load(server, options, seconds=2)
            sides[name] = lambda server=server: load(server, options)["per_cpu_second"]
        rounds = [{name: side() for name, side in sides.items()} for _ in range(options.rounds)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in sides}
    best = max(value for name, value in medians.items() if "alone" in name)
    return {"per_cpu_second": medians, "share": medians["fieldmark serve"] / best, "rounds": rounds}


def _rate_alone(source: Iterator[float], batch: int, seconds: float) -> float:
    begun, costs = time.perf_counter(), list[float]()
    while time.perf_counter() - begun < seconds:
        costs.append(next(source))
    return 1 / statistics.mean(costs)


def overhead(options: argparse.Namespace) -> Found:
    """Milliseconds of one photo at a time: alone in this process, and asked of the server; in turn."""
    model = open_model(options.model, device="cpu", threads=1)
    rounds = []
    with ours(options) as server:
        load(server, options, seconds=2, connections=1)
        for _ in range(options.rounds):
            seen = load(server, options, connections=1)["statuses"]["200"]
            rounds.append((_median_alone(model, options), 1000 * seen["p50"]))
    inside, asked = (statistics.median(values) for values in zip(*rounds, strict=True))
    return {"alone_ms": inside, "served_ms": asked, "overhead_ms": asked - inside, "rounds": rounds}


def _median_alone(model: Any, options: argparse.Namespace) -> float:
    files = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[::7]
    content, times = [path.read_bytes() for path in files[:400]], list[float]()
    until = time.perf_counter() + options.seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        picture = model.prepared(content[13 * len(times) % len(content)])
        model.probabilities(model.outputs(picture[None], "logits")["logits"])
        times.append(time.perf_counter() - begun)
    return 1000 * statistics.median(times)


def latency(options: argparse.Namespace) -> Found:
    """At 60 % of the most that it serves."""
    with ours(options) as server:
        load(server, options, seconds=2)
        most = load(server, options)["per_second"]
        seen = [load(server, options, rate=0.6 * most)["statuses"]["200"] for _ in range(options.rounds)]
    p50, p99 = (statistics.median(each[name] for each in seen) for name in ("p50", "p99"))
    return {"most_per_second": most, "p50_ms": 1000 * p50, "p99_ms": 1000 * p99, "ratio": p99 / p50, "rounds": seen}


def overload(options: argparse.Namespace) -> Found:
    """Three times as many requests as are answered at most; then a single client again."""
    with ours(options) as server:
        load(server, options, seconds=2)
        peak = load(server, options, connections=16)
        before = load(server, options, seconds=2, connections=1)["statuses"]["200"]
        seen = load(server, options, rate=3 * peak["per_second"])
        time.sleep(2)
        after = load(server, options, seconds=2, connections=1)["statuses"]["200"]
    refused = {status: spread for status, spread in seen["statuses"].items() if status in ("429", "503")}
    return {
        "most_per_second": peak["per_second"],
        "goodput": seen["per_second"] / peak["per_second"],
        "per_cpu_second": seen["per_cpu_second"] / peak["per_cpu_second"],
        "refusals_p99_ms": {status: 1000 * spread["p99"] for status, spread in refused.items()},
        "p50_before_and_after_ms": [1000 * before["p50"], 1000 * after["p50"]],
        "seen": seen,
    }


def slow(options: argparse.Namespace) -> Found:
    """The p99 of others, at 30 % of the most, without and with 500 connections that send a byte a second."""
    with ours(options) as server:
        load(server, options, seconds=2)
        rate = 0.3 * load(server, options)["per_second"]
        without = load(server, options, rate=rate)["statuses"]["200"]
        with slow_senders(server.url, options.senders):
            beside = load(server, options, rate=rate)
    told = beside["statuses"]["200"]
    return {
        "p99_ms": [1000 * without["p99"], 1000 * told["p99"]],
        "ratio": told["p99"] / without["p99"],
        "seen": beside,
    }


def memory(options: argparse.Namespace) -> Found:
    """Megabytes of all processes after each tenth of the requests."""
    held, count, seen = list[float](), 0, dict[str, Any]()
    with ours(options) as server:
        load(server, options, seconds=2, garbage=0.05)
        while count < options.requests:
            held.append(server.megabytes)
            seen = load(server, options, seconds=0, requests=options.requests // 10, garbage=0.05)
            count += sum(spread["n"] for spread in seen["statuses"].values())
        held.append(server.megabytes)
    return {"requests": count, "megabytes": held, "growth": held[-1] - held[0], "last": seen["statuses"]}


COMMANDS: Mapping[str, Callable[[argparse.Namespace], Found]] = {
    "throughput": throughput, "overhead": overhead, "latency": latency, "overload": overload, "slow": slow,
    "memory": memory,
}  # fmt: skip
_SECONDS = {"overload": 60.0}


def main(words: list[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--senders", type=int, default=500)
    parser.add_argument("--peers", nargs="*", default=[], choices=["fastapi", "litserve"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    options.seconds = options.seconds or _SECONDS.get(options.command, 15.0)
    found = COMMANDS[options.command](options)
    print(json.dumps({name: value for name, value in found.items() if name not in ("rounds", "seen")}, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
