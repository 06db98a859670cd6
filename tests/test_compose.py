"""The compose file: well-formed, without secrets, and all of it in its documentation."""

import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
DOCUMENTED = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
VARIABLES = set(re.findall(r"\$\{(\w+)", TEXT))
GOOGLES = (ROOT / "deploy" / "gcp" / "deploy.sh").read_text(encoding="utf-8")
PEOPLES = (ROOT / "deploy" / "environment.sh").read_text(encoding="utf-8")
ACCOUNTS = (ROOT / "deploy" / "accounts.py").read_text(encoding="utf-8")
EXAMPLE = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_service_is_pinned_limited_healthy_unprivileged_and_documented(name: str) -> None:
    service = COMPOSE["services"][name]
    assert re.fullmatch(r"\w+:\d+\.[\w.-]+", service["image"]), "a version"
    assert service["mem_limit"]
    assert service["image"] in DOCUMENTED and f"| `{name}` |" in DOCUMENTED
    assert service["mem_limit"] in DOCUMENTED
    assert "healthcheck" in service or service["restart"] == "no"
    assert service.get("user") == "postgres" or service["cap_drop"] == ["ALL"]
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "reached from other machines only by who says so"
        assert f"`{re.findall(r'[A-Z_]+', port)[0]}` ({port.rpartition(':')[2]})" in DOCUMENTED
    for condition in service.get("depends_on", {}).values():
        assert condition["condition"] != "service_started"


@pytest.mark.parametrize("variable", sorted(VARIABLES | set(EXAMPLE)))
def test_each_variable_is_in_the_example_and_documented(variable: str) -> None:
    assert variable in EXAMPLE
    assert f"`{variable}`" in DOCUMENTED
    read = variable in VARIABLES or variable in GOOGLES or f"${variable}" in PEOPLES or f'"{variable}"' in ACCOUNTS
    assert read or variable.startswith("COMPOSE_"), "it is read somewhere"


def test_the_images_of_our_own_are_built_from_the_dockerfile_that_is_named() -> None:
    built = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG PYTHON=(\S+)$", built, re.MULTILINE)
    assert f"`{base}`" in DOCUMENTED
    assert re.search(r"^USER \d+$", built, re.MULTILINE), "no container runs as root"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not here: apt-get install shellcheck")
def test_the_scripts_are_free_of_what_shellcheck_finds() -> None:
    scripts = [*sorted((ROOT / "deploy").rglob("*.sh")), ROOT / ".ci" / "run"]
    done = subprocess.run(["shellcheck", *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_secrets_are_written_once_each_another_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"

    def write() -> dict[str, str]:
        subprocess.run(["bash", ROOT / "deploy" / "secrets.sh", file], check=True)
        return dict(re.findall(r"^(\w+)=(.*)$", file.read_text(), re.MULTILINE))

    first = write()
    generated = {name for name, value in EXAMPLE.items() if value == "generated"}
    assert {name for name in first if name.endswith(("PASSWORD", "KEY"))} == generated
    assert all(re.fullmatch(r"[0-9a-f]{64}", first[name]) for name in generated)
    assert len({first[name] for name in generated}) == len(generated)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert write() == first
    assert not {value for name, value in first.items() if name in generated} & set(re.findall(r"\w+", TEXT))
