"""What is in ``deploy/`` fits the repository: copied paths exist, and the command line takes every command."""

from __future__ import annotations

import configparser
import json
import re
import runpy
import shlex
import ssl
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from heliograph.cli.main import build_parser
from processes import certificate

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
IMAGES = ("cloud", "device")
CLOUD_WHEEL = ROOT / "packages" / "heliograph-cloud"


def instructions(image: str) -> list[tuple[str, str]]:
    """(instruction, rest) of a Dockerfile, continued lines joined."""
    text = (DEPLOY / f"{image}.Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def parse(words: list[str]) -> None:
    build_parser(words[0])[0].parse_args(words)


@pytest.mark.parametrize("image", IMAGES)
def test_what_an_image_copies_is_there_and_let_through(image: str) -> None:
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert let_through[0] == "*"
    copies = [rest.split() for kind, rest in instructions(image) if kind == "COPY"]
    copied = [path for words in copies if not words[0].startswith("--from=") for path in words[:-1]]
    assert [path for path in copied if not (ROOT / path).exists() or f"!{path}" not in let_through] == []
    needed = {"README.md", "LICENSE", "src"}  # what the wheel is built from
    if image == "cloud":
        wheel = tomllib.loads((CLOUD_WHEEL / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
        sources = wheel["targets"]["wheel"]["force-include"]
        needed |= {source.removeprefix("../../").partition("/")[0] for source in sources} | {"packages"}
        needed |= {"deploy/healthcheck.py"}
        assert "./packages/heliograph-cloud" in " ".join(rest for kind, rest in instructions(image) if kind == "RUN")
    assert needed | {"pyproject.toml"} == set(copied)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_installs_the_extra_of_its_side_and_runs_a_command_that_exists(image: str) -> None:
    found = instructions(image)
    extras = [extra for _, rest in found for extra in re.findall(r'"\.\[(\w+)\]"', rest)]
    assert extras == [{"cloud": "cloud", "device": "edge"}[image]]
    assert json.loads(dict(found)["ENTRYPOINT"]) == ["heliograph"]
    parse(json.loads(dict(found)["CMD"]) if image == "cloud" else json.loads(found[-1][1]))
    versions = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    base = f"python:{versions.removeprefix('>=')}-slim"
    assert [rest for kind, rest in found if kind == "FROM"] == [f"{base} AS build", base]


@pytest.mark.parametrize("image", IMAGES)
def test_the_last_stage_takes_the_installation_alone_and_drops_root(image: str) -> None:
    found = instructions(image)
    last = found[max(place for place, (kind, _) in enumerate(found) if kind == "FROM") :]
    assert next(rest for kind, rest in last if kind == "COPY") == "--from=build /opt/heliograph /opt/heliograph"
    assert not any("pip" in rest for kind, rest in last if kind == "RUN")
    assert dict(last)["USER"] == "heliograph"
    kinds = [kind for kind, _ in last]
    assert kinds.index("RUN") < kinds.index("USER") < kinds.index("ENTRYPOINT")
    assert "RUN" not in kinds[kinds.index("USER") :]
    numbers = {int(number) for _, rest in last for number in re.findall(r"--[ug]id (\d+)", rest)}
    guide = (ROOT / "docs" / "howto" / "deploy.md").read_text(encoding="utf-8")
    assert numbers == {int(number) for number in re.findall(r"chown (\d+)", guide)}


def test_torch_is_the_one_that_make_installs() -> None:
    made = re.search(r"^TORCH \?= (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert made is not None
    assert ("ARG", f"TORCH={made[1]}") in instructions("cloud")


def test_the_compose_file_builds_these_images_and_its_commands_are_taken() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    for image in IMAGES:
        build = services[image]["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
        assert set(services[image]["secrets"]) <= set(yaml.safe_load(text)["secrets"])
        assert services[image]["read_only"] is True
        assert f"{image}:/var/lib/heliograph" in services[image]["volumes"]  # where HELIOGRAPH_STATE is written
    assert set(yaml.safe_load(text)["volumes"]) == set(IMAGES)
    parse(services["cloud"]["command"])
    asked = re.search(r"run --rm device (ask .*)$", text, re.MULTILINE)
    assert asked is not None
    parse(shlex.split(asked[1]))


def test_the_units_command_is_taken_and_its_files_are_handed_over() -> None:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "heliograph.service", encoding="utf-8")
    words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(words[0]).name == "heliograph"
    parse(words[1:])
    text = (DEPLOY / "heliograph.service").read_text(encoding="utf-8")
    handed = set(re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE))
    assert handed == set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\w+)", text))
    assert (unit["Service"]["DynamicUser"], unit["Service"]["ProtectSystem"]) == ("yes", "strict")
    state = f"/var/lib/{unit['Service']['StateDirectory']}"
    assert {f"HOME={state}", f"HELIOGRAPH_STATE={state}"} <= set(unit["Service"]["Environment"].split())


class Answers(BaseHTTPRequestHandler):
    """A server that is well, or is not."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(status: int, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """``host:port`` of a server on loopback."""
    with HTTPServer(("127.0.0.1", 0), type("Handler", (Answers,), {"status": status})) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_health_check_sees_whether_a_server_answers(
    encrypted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):  # nobody listens there
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    tls = None
    if encrypted:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate(tmp_path))
    is_healthy = runpy.run_path(str(DEPLOY / "healthcheck.py"))["is_healthy"]
    for status in (200, 503):
        with listening(status, tls) as place:
            assert is_healthy(place) == (status == 200)
    assert not is_healthy(place)  # nobody listens any more
    health = dict(instructions("cloud"))["HEALTHCHECK"]
    assert health.endswith('CMD ["python", "/opt/heliograph/healthcheck.py"]')
