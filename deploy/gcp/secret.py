"""secret.py NAME: prints the newest value in Secret Manager of PROJECT, read as this machine's own account.

For Vertex AI, which, unlike Cloud Run, gives a container no secrets.
"""

import base64
import json
import os
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

METADATA = os.environ.get("METADATA", "http://metadata.google.internal/computeMetadata/v1")
SECRETS = os.environ.get("SECRETS", "https://secretmanager.googleapis.com/v1")


def secret(name: str) -> str:
    """Return the value.

    Raises SystemExit if it cannot be read.
    """
    account = Request(f"{METADATA}/instance/service-accounts/default/token", headers={"Metadata-Flavor": "Google"})
    place = f"{SECRETS}/projects/{os.environ['PROJECT']}/secrets/{name}/versions/latest:access"
    try:
        token = json.load(urlopen(account, timeout=30))["access_token"]
        answer = json.load(urlopen(Request(place, headers={"Authorization": f"Bearer {token}"}), timeout=30))
    except HTTPError as error:
        raise SystemExit(
            f"{error.url}: {error}; the secret is made, and this account may read it, by deploy/gcp/deploy.sh secrets"
        ) from None
    except OSError as error:
        raise SystemExit(f"{place}: {error}") from None
    return base64.b64decode(answer["payload"]["data"]).decode()


if __name__ == "__main__":
    sys.stdout.write(secret(sys.argv[1]) + "\n")
