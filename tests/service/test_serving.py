# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The service as it runs: one process for HTTP, two workers, a token, a watched folder."""

import csv
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from anomalib_adaptclip.service.endpoints import Service
from anomalib_adaptclip_cli.main import main
from tests.inspection.parts import part

TOKEN = "secret-of-the-test"  # noqa: S105
PATIENCE = 300  # seconds; a start takes ten, and more on a machine that is busy


class Running(NamedTuple):
    url: str
    port: int
    pid: int
    folder: Path

    def client(self, token: str = TOKEN) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE, trust_env=False)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.05)


def file_of(seed: int, *, is_scratched: bool = False) -> bytes:
    file = io.BytesIO()
    part(seed, is_scratched=is_scratched).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    for name in ("good", "in"):
        (folder / name).mkdir()
    for seed in range(8):
        part(seed).save(folder / "good" / f"{seed}.png")
    main(["calibrate", str(folder / "good"), "-o", str(folder / "part.ckpt"), "--backbone", "tiny"])
    (folder / "in" / "before.png").write_bytes(file_of(100))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "anomalib_adaptclip_cli.main", "serve", "part.ckpt", "--port", str(port)]
    options = ["--workers", "2", "--max-images", "8", "--max-mib", "1", "--watch", "in"]
    environment = {**os.environ, "ANOMALIB_ADAPTCLIP_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *options], cwd=folder, env=environment, stdout=log, stderr=log)
        running = Running(f"http://127.0.0.1:{port}", port, process.pid, folder)

        def is_ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            return "are judged at" in (folder / "log").read_text() and health(running)["ready"] == 2

        wait_until(is_ready)
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert (folder / "log").read_text().splitlines()[-1] == "The service has ended."


def health(service: Running) -> dict[str, int]:
    try:
        found: dict[str, int] = httpx.get(f"{service.url}/health", timeout=PATIENCE, trust_env=False).json()
    except httpx.TransportError:
        return {"ready": 0}
    return found


def test_many_images_are_judged_in_order_and_one_bad_does_not_spoil_them(service: Running) -> None:
    sent = [("good.png", file_of(100)), ("notes.txt", b"text"), ("scratched.png", file_of(101, is_scratched=True))]
    with service.client() as client:
        answer = client.post("/judge", files=[("images", one) for one in sent], data={"picture": "true"})
    assert answer.status_code == 200
    good, text, scratched = answer.json()["images"]
    assert [good["verdict"], text["reason"], scratched["verdict"]] == ["good", "kind", "abnormal"]
    assert [good["name"], text["name"], scratched["name"]] == [name for name, _ in sent]
    assert good["picture"]
    assert good["map"] is None


@pytest.mark.parametrize(
    ("request_of", "status", "text"),
    [
        ({"files": [("images", ("a.txt", b"text"))]}, 415, "it is no image"),
        ({"files": [("images", ("a.png", file_of(1)[:600]))]}, 422, "image file is truncated"),
        ({"json": {"images": []}}, 415, "files of a form, multipart/form-data; got 'application/json'"),
        ({"files": [("others", ("a.png", b""))]}, 422, "images: Field required"),
        ({"files": [("images", ("a.png", b"x"))] * 9}, 413, "may have 8 images; got 9"),
        ({"files": [("images", ("a.png", bytes(2 * 1024**2)))]}, 413, "may have 1 MiB"),
        ({"files": [("images", ("a.png", b"x"))], "data": {"category": "pill"}}, 422, "has no prompt bank"),
        ({"files": [("images", ("a.png", b"x"))], "data": {"map": "perhaps"}}, 422, "map: Input should be a valid"),
        (
            {"files": [("images", ("a.png", b"x"))], "headers": {"Authorization": "Bearer x"}},
            401,
            "must hold the token",
        ),
        ({"files": [("images", ("a.png", b"x"))], "headers": {"Host": "evil.example"}}, 400, "Invalid host"),
        ({"files": [("images", ("a.png", b"x"))], "headers": {"Origin": "http://evil.example"}}, 403, "Other pages"),
    ],
)
def test_what_is_refused(service: Running, request_of: dict[str, object], status: int, text: str) -> None:
    with service.client() as client:
        answer = client.post("/judge", **request_of)  # type: ignore[arg-type]
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


def test_a_body_that_does_not_say_its_size_is_cut_off_too(service: Running) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
    chunks = iter([head, *[bytes(100_000)] * 20])
    with service.client() as client:
        answer = client.post("/judge", content=chunks, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 413


def test_health_needs_no_token_and_all_else_does(service: Running) -> None:
    with service.client("") as client:
        assert client.get("/health").json() == {"status": "ok", "workers": 2, "ready": 2}
        statuses = {path: client.get(path).status_code for path in ("/metrics", "/openapi.json", "/", "/docs", "/info")}
    assert {*statuses.values()} == {401}
    with service.client() as client:
        assert {client.get(path).status_code for path in ("/", "/docs", "/redoc", "/info", "/shutdown")} == {404}


def test_metrics_count(service: Running) -> None:
    with service.client() as client:

        def good() -> float:
            lines = client.get("/metrics").text.splitlines()
            return sum(
                float(line.split()[1])
                for line in lines
                if line.startswith('anomalib_adaptclip_images_total{verdict="good"}')
            )

        before = good()
        client.post("/judge", files=[("images", ("a.png", file_of(100)))] * 3)
        assert good() == before + 3


def test_it_is_bound_to_loopback_alone(service: Running) -> None:
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", service.port)):
        pass


def test_the_watched_folder_is_judged(service: Running) -> None:
    def rows() -> list[dict[str, str]]:
        path = service.folder / "in-verdicts.csv"
        return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []

    (service.folder / "in" / "new.png").write_bytes(file_of(101, is_scratched=True))
    wait_until(lambda: len(rows()) == 2)
    assert {(row["path"], row["label"]) for row in rows()} == {("before.png", "0"), ("new.png", "1")}


def test_a_killed_worker_loses_no_request(service: Running) -> None:
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    content = file_of(100)
    with service.client() as client, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, "/judge", files=[("images", ("a.png", content))] * 4) for _ in range(24)]
        wait_until(lambda: sum(one.done() for one in asked) >= 4)
        for pid in workers:  # all: those of the spared one would be answered in any case
            os.kill(int(pid), signal.SIGKILL)
        answers = [one.result() for one in asked]
    assert [answer.status_code for answer in answers] == [200] * 24
    assert all(one["verdict"] == "good" for answer in answers for one in answer.json()["images"])
    wait_until(lambda: health(service)["ready"] == 2)


SCHEMA = schemathesis.openapi.from_dict(Service(None, None, None, 1).application().openapi())  # type: ignore[arg-type]


@SCHEMA.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_openapi(case: schemathesis.Case[Any], service: Running) -> None:
    """What is sent is made up, and no image: that it is refused is right, and how is checked."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    case.call_and_validate(base_url=service.url, headers=headers, excluded_checks=[positive_data_acceptance])
