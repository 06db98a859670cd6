"""Signatures of models: by one's own key, over every file, and what is refused."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ratchet.adapters import signatures
from ratchet.errors import ConfigError, ModelError


def make_key(folder: Path, name: str, curve: ec.EllipticCurve | None = None) -> tuple[Path, Path]:
    """A private key and its public half, as PEM files."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as a model is one."""
    folder = tmp_path / "model"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / ".gitignore").write_text("*.pyc\n")
    (folder / "artifacts" / "state.json").write_text('{"weights": [1, 2]}')
    return folder


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_what_was_signed_is_accepted(model: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    private, public = make_key(tmp_path, "mine", curve)
    signatures.require_key(private)
    signatures.sign(model, private, tmp_path / "model.sig")
    signatures.verify(model, public, tmp_path / "model.sig")


def test_a_copy_under_another_name_is_accepted(model: Path, tmp_path: Path) -> None:
    private, public = make_key(tmp_path, "mine")
    signatures.sign(model, private, tmp_path / "model.sig")
    signatures.verify(model.rename(tmp_path / "elsewhere"), public, tmp_path / "model.sig")


def test_a_signature_by_another_key_is_refused(model: Path, tmp_path: Path) -> None:
    (theirs, _), (_, mine) = make_key(tmp_path, "theirs"), make_key(tmp_path, "mine")
    signatures.sign(model, theirs, tmp_path / "model.sig")
    with pytest.raises(ModelError, match=r"the signature model.sig does not hold for .*Key mismatch"):
        signatures.verify(model, mine, tmp_path / "model.sig")


def pretend_to_be(mine: Path, signature: Path) -> None:
    """Write the fingerprint of another key into a signature."""
    import hashlib

    said = json.loads(signature.read_text())
    said["verificationMaterial"]["publicKey"]["hint"] = hashlib.sha256(mine.read_bytes()).hexdigest()
    signature.write_text(json.dumps(said))


def test_a_signature_by_another_key_that_pretends_to_be_the_right_one_is_refused(model: Path, tmp_path: Path) -> None:
    (theirs, _), (_, mine) = make_key(tmp_path, "theirs"), make_key(tmp_path, "mine")
    signatures.sign(model, theirs, tmp_path / "model.sig")
    pretend_to_be(mine, tmp_path / "model.sig")
    with pytest.raises(ModelError, match=r"model.sig is not by the key of RATCHET_MODEL_PUBLIC_KEY"):
        signatures.verify(model, mine, tmp_path / "model.sig")


def change(model: Path, signature: Path) -> None:
    (model / "artifacts" / "state.json").write_text('{"weights": [1, 3]}')


def add(model: Path, signature: Path) -> None:
    (model / "artifacts" / "more.py").write_text("")


def remove(model: Path, signature: Path) -> None:
    (model / "MLmodel").unlink()


def change_what_git_reads(model: Path, signature: Path) -> None:
    (model / ".gitignore").write_text("")


def link(model: Path, signature: Path) -> None:
    path = model / "MLmodel"
    path.symlink_to(path.rename(model.parent / "moved"))


def change_what_is_signed(model: Path, signature: Path) -> None:
    change(model, signature)
    said = json.loads(signature.read_text())
    payload = json.loads(base64.b64decode(said["dsseEnvelope"]["payload"]))
    payload["predicate"]["serialization"]["ignore_paths"] = ["artifacts"]
    payload["predicate"]["resources"] = payload["predicate"]["resources"][:2]
    said["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    signature.write_text(json.dumps(said))


def cut_it_short(model: Path, signature: Path) -> None:
    signature.write_text(signature.read_text()[:-20])


def empty_it(model: Path, signature: Path) -> None:
    signature.write_bytes(b"")


def leave_no_signature_in_it(model: Path, signature: Path) -> None:
    said = json.loads(signature.read_text())
    said["dsseEnvelope"]["signatures"] = []
    signature.write_text(json.dumps(said))


def leave_no_key_in_it(model: Path, signature: Path) -> None:
    said = json.loads(signature.read_text())
    said["verificationMaterial"] = {}
    signature.write_text(json.dumps(said))


def make_it_a_list(model: Path, signature: Path) -> None:
    signature.write_text("[]")


TAMPERINGS = [
    change, add, remove, change_what_git_reads, link, change_what_is_signed, cut_it_short, empty_it,
    leave_no_signature_in_it, leave_no_key_in_it, make_it_a_list,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__.replace("_", " "))
def test_a_tampering_is_refused_in_one_line(
    model: Path, tmp_path: Path, tamper: Callable[[Path, Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = make_key(tmp_path, "mine")
    signatures.sign(model, private, tmp_path / "model.sig")
    tamper(model, tmp_path / "model.sig")
    with pytest.raises(ModelError, match=r"the signature model.sig (is not by|does not hold for)") as error:
        signatures.verify(model, public, tmp_path / "model.sig")
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------- keys that are none


def absent(folder: Path) -> Path:
    return folder / "nowhere.pem"


def a_folder(folder: Path) -> Path:
    return folder


def no_pem(folder: Path) -> Path:
    (folder / "key.pem").write_text("secret")
    return folder / "key.pem"


def with_a_password(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
    )
    return folder / "key.pem"


def of_rsa(folder: Path) -> Path:
    key = rsa.generate_private_key(65537, 2048)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "key.pem"


def of_another_curve(folder: Path) -> Path:
    return make_key(folder, "odd", ec.SECP256K1())[0]


def the_public_half(folder: Path) -> Path:
    return make_key(folder, "half")[1]


@pytest.mark.parametrize(
    "key", [absent, a_folder, no_pem, with_a_password, of_rsa, of_another_curve, the_public_half],
    ids=lambda key: key.__name__.replace("_", " "),
)  # fmt: skip
def test_a_key_that_cannot_sign_is_told_with_what_to_name(tmp_path: Path, key: Callable[[Path], Path]) -> None:
    with pytest.raises(ConfigError, match=r"RATCHET_MODEL_KEY \(.*\): .*name a PEM file with a key of the curve"):
        signatures.require_key(key(tmp_path))


def test_a_private_key_where_the_public_one_belongs_is_told(model: Path, tmp_path: Path) -> None:
    private, _ = make_key(tmp_path, "mine")
    signatures.sign(model, private, tmp_path / "model.sig")
    with pytest.raises(ConfigError, match=r"RATCHET_MODEL_PUBLIC_KEY \(.*\): .*name a PEM file"):
        signatures.verify(model, private, tmp_path / "model.sig")


def test_where_model_signing_is_not_installed_the_mend_is_told(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
sys.modules["model_signing"] = None  # as it is where the extra is not installed
from ratchet.adapters import signatures
from ratchet.errors import ConfigError
try:
    signatures.require_key(Path("key.pem"))
except ConfigError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "RATCHET_MODEL_KEY: model_signing" in told.stdout
    assert "is not installed here; pip install 'ratchet[signing]'" in told.stdout


def test_without_a_key_nothing_is_asked() -> None:
    signatures.require_key(None)
