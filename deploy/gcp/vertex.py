"""What Vertex AI runs in the image to predict: fetches the passwords, finds the task, and becomes the gateway.

AIP_STORAGE_URI, where the model was uploaded with --artifact-uri, is a folder with the task as task.yaml, in place of
the one in the image. The versions come from the registry there too: whoever promotes uploads nothing. Vertex AI lets in
only whom IAM lets in, so there are no keys of our own.
"""

import os
import sys
from pathlib import Path

from secret import secret

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import gateway


def task(folder: str) -> str:
    """Fetch task.yaml from a folder `gs://…`; return where it is.

    Raises SystemExit if it is not there.
    """
    from ratchet.adapters import buckets
    from ratchet.errors import RatchetError

    tried: list[str] = []
    try:
        found = buckets.fetch(f"{folder.rstrip('/')}/task.yaml", Path(os.environ.get("RATCHET_STATE", "/state")), tried)
    except RatchetError as error:
        raise SystemExit(f"AIP_STORAGE_URI: {error}") from None
    if not found:
        raise SystemExit(f"AIP_STORAGE_URI: {'; '.join(tried)}; put the task there, or upload without --artifact-uri")
    return str(found[0].path)


if __name__ == "__main__":
    os.environ["MLFLOW_TRACKING_PASSWORD"] = secret("MLFLOW_SERVING_PASSWORD")
    if os.environ.get("RATCHET_DATABASE_URL"):
        os.environ["RATCHET_GATEWAY_PASSWORD"] = secret("RATCHET_GATEWAY_PASSWORD")
    if folder := os.environ.get("AIP_STORAGE_URI"):
        os.environ["RATCHET_TASK"] = task(folder)
    gateway.main(["--no-keys", *sys.argv[1:]])
