# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the service costs beside its predictor: images a second, waiting times, memory, and a worker that is killed.

Photos are generated. The predictor judges the same files at batch 8 in this process while the service idles, in turn
with clients that send one image a request, and others that send eight; ratios of one round can be compared between
machines. Linux alone: memory and processes are read in /proc.

    python benchmarks/serve.py                             # tiny: the worst case, for its model costs little
    python benchmarks/serve.py --requests 10000            # and memory over 10,000 requests
    python benchmarks/serve.py --backbone ViT-B-16-plus-240 --pretrained FILE --device cuda
    python benchmarks/serve.py --kill --workers 2          # and a worker killed under load
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import httpx
import torch

from anomalib_adaptclip import AdaptCLIPPredictor, SyntheticDefects

COMMAND = (sys.executable, "-m", "anomalib_adaptclip_cli.main")
BATCH, IMAGES = 8, 64


def photos_in(folder: Path, size: int) -> tuple[Path, list[Path]]:
    """A folder of good photos, and files to judge."""
    few = {"num_normal_test_images": IMAGES // 2, "num_images_per_defect": IMAGES // 8, "image_size": size}
    SyntheticDefects(folder, "gear", num_train_images=8, **few).prepare_data()
    return folder / "gear" / "train" / "good", sorted((folder / "gear" / "test").rglob("*.png"))[:IMAGES]


def children_of(pid: int) -> list[int]:
    """All processes below one."""
    own = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*own, *(below for child in own for below in children_of(child))]


def workers_of(pid: int) -> list[int]:
    """The processes that judge, which are the largest of those that are spawned."""
    spawned = [child for child in children_of(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return [child for child in spawned if mib_of([child]) > 200]


def mib_of(pids: Sequence[int]) -> float:
    """Memory of processes, what they share counted once."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@contextmanager
def service(part: Path, port: int, options: Sequence[str]) -> Iterator[int]:
    """Run the service for the while, and give its process."""
    process = subprocess.Popen([*COMMAND, "serve", str(part), "--port", str(port), *options], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None  # noqa: S101
        while b"are judged at" not in process.stdout.readline():
            if process.poll() is not None:
                msg = "The service ended before it was ready."
                raise SystemExit(msg)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


class Load:
    """Clients that send images, each its next one when the last is answered."""

    def __init__(self, port: int, files: Sequence[Path]) -> None:
        self._url = f"http://127.0.0.1:{port}/judge"
        self._contents = [(file.name, file.read_bytes()) for file in files]
        self.waits: list[float] = []
        self.failures: list[str] = []

    def send(self, client: httpx.Client, images: Sequence[tuple[str, bytes]]) -> None:
        """Send a request, and remember how long it took."""
        start = time.perf_counter()
        response = client.post(self._url, files=[("images", image) for image in images])
        self.waits.append(time.perf_counter() - start)
        if response.status_code != 200 or any("error" in answer for answer in response.json()["images"]):
            self.failures.append(response.text[:200])

    def run(self, requests: int, images: int, clients: int) -> float:
        """Images a second of so many requests with so many images each."""
        self.waits = []
        contents = cycle(self._contents)
        work = iter([list(islice(contents, images)) for _ in range(requests)])
        pool = ThreadPoolExecutor(clients)

        def client() -> None:
            with httpx.Client(timeout=300, trust_env=False) as session:
                for one in work:  # a list's iterator is safe to share between threads
                    self.send(session, one)

        start = time.perf_counter()
        for done in [pool.submit(client) for _ in range(clients)]:
            done.result()
        return requests * images / (time.perf_counter() - start)


def own_speed(predictor: AdaptCLIPPredictor, files: Sequence[Path]) -> float:
    start = time.perf_counter()
    for _ in predictor.stream([str(file) for file in files], BATCH):
        pass
    return len(files) / (time.perf_counter() - start)


def report_speed(args: argparse.Namespace, predictor: AdaptCLIPPredictor, load: Load, files: Sequence[Path]) -> float:
    own_speed(predictor, files)
    load.run(BATCH, BATCH, 2)
    rounds: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(args.rounds):
        own = own_speed(predictor, files)
        for images, clients in ((1, 2 * BATCH), (BATCH, 3)):
            speed = load.run(2 * IMAGES // images, images, clients)
            p95 = statistics.quantiles(load.waits, n=20)[-1]
            rounds.setdefault(f"{images} a request, {clients} clients", []).append((speed / own, speed, p95))
    for name, found in rounds.items():
        ratio, speed, p95 = (statistics.median(column) for column in zip(*found, strict=True))
        batches = p95 * speed / BATCH
        print(
            f"{name:26} {ratio:5.2f} of the predictor ({speed:6.1f} images/s), p95 {batches:5.2f} batches ({p95:.3f} s)"
        )
    return max(statistics.median(ratio for ratio, _, _ in found) for found in rounds.values())


def report_memory(load: Load, pid: int, requests: int) -> None:
    load.run(max(200, requests // 10), 1, 2 * BATCH)  # what grows at first is no leak
    before = mib_of([pid, *children_of(pid)])
    load.run(requests, 1, 2 * BATCH)
    after = mib_of([pid, *children_of(pid)])
    grown = f"{after / before:.3f} of the memory before ({before:.0f} MiB to {after:.0f} MiB)"
    print(f"memory after {requests} requests: {grown}, {len(load.failures)} failures")


def report_kill(load: Load, pid: int, requests: int) -> None:
    victim = workers_of(pid)[0]
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(load.run, requests, 1, 2 * BATCH)
        while len(load.waits) < requests // 4 and not done.done():
            time.sleep(0.01)
        os.kill(victim, signal.SIGKILL)
        done.result()
    longest = max(load.waits)
    print(f"a worker killed under load: {requests} requests, {len(load.failures)} failures, longest {longest:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--pretrained", help="weights of the backbone")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--size", type=int, default=256, help="pixels of a photo's side")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=0, help="requests over which memory is watched")
    parser.add_argument("--kill", action="store_true", help="kill a worker under load")
    parser.add_argument("--least", type=float, default=0, help="fails if the better ratio is below it")
    args = parser.parse_args()

    weights = ["--pretrained", args.pretrained] if args.pretrained else []
    with tempfile.TemporaryDirectory() as name:
        good, files = photos_in(Path(name), args.size)
        part = Path(name, "part.ckpt")
        options = ["--backbone", args.backbone, *weights]
        subprocess.run([*COMMAND, "calibrate", good, "--out", part, *options], check=True, stdout=subprocess.DEVNULL)
        place = ["--device", args.device, "--workers", str(args.workers), "--batch-size", str(BATCH), *weights]
        with service(part, args.port, place) as pid:
            load = Load(args.port, files)
            where = torch.cuda.get_device_name() if args.device.startswith("cuda") else f"{os.cpu_count()} cores"
            print(f"{args.backbone}, {where}, load {os.getloadavg()[0]:.1f}, {args.workers} workers, batch {BATCH}")
            given = {"pretrained": args.pretrained} if args.pretrained else {}
            ratio = report_speed(args, AdaptCLIPPredictor.from_checkpoint(part, args.device, **given), load, files)
            if args.requests:
                report_memory(load, pid, args.requests)
            if args.kill:
                report_kill(load, pid, 200)
    if load.failures:
        msg = f"{len(load.failures)} requests failed: {load.failures[0]}"
        raise SystemExit(msg)
    if ratio < args.least:
        msg = f"The service reaches {ratio:.2f} of the predictor's speed, less than {args.least:g}"
        raise SystemExit(msg)


if __name__ == "__main__":
    main()
