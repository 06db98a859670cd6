"""What can be wrong with the machine, its servers and its disks."""

import time
from http.server import BaseHTTPRequestHandler

from tests.faults.case import Case, columns, csv, data
from tests.web import say

MANY = csv(columns(20_000))
# A model passes its gates, and no column gives the answer away.
CLEAR = csv(columns(20_000, y=[int((i % 50 > 24) != (i % 17 == 0)) for i in range(20_000)]))
SCORE = ("score", "--input", "data.csv", "--output")
SERVED = "ratchet run -c task.yaml >run.log 2>&1 || cat run.log"
WEB = data(sources={"rows": {"uris": ["SERVER/rows.csv"]}})


def small(folder: str, size: str) -> str:
    """A disk of its own for a folder."""
    return f"mkdir -p {folder} && mount -t tmpfs -o size={size} tmpfs {folder}"


def read_only(folder: str) -> str:
    return f'mkdir -p {folder} && mount --bind {folder} {folder} && mount -o remount,ro,bind "$(realpath {folder})"'


def stalls(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    time.sleep(60)


def lies(handler: BaseHTTPRequestHandler) -> None:
    say(handler, 200, csv(), Content_Length=10_000_000)


def redirects(handler: BaseHTTPRequestHandler) -> None:
    say(handler, 302, b"", Location="file:///etc/passwd")


def page(handler: BaseHTTPRequestHandler) -> None:
    say(handler, 200, b"<html>\n<body>\n<p>Please log in</p>\n</body>\n</html>\n")


MACHINE = [
    Case("the tracking server away", r"http://127\.0\.0\.1:1: no answer.*MLFLOW_TRACKING_URI", csv(),
         env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}),
    Case("a tracking address of an unknown kind", r"MLFLOW_TRACKING_URI|tracking", csv(),
         env={"MLFLOW_TRACKING_URI": "ftp://host/x"}),
    Case("a database that is no database", r"(RATCHET_DATABASE_URL|cannot be locked|not a database)", csv(),
         command=("train",), env={"RATCHET_DATABASE_URL": "sqlite:///data.csv"}),
    Case("a database address of an unknown kind", r"RATCHET_DATABASE_URL", csv(), command=("train",),
         env={"RATCHET_DATABASE_URL": "nosuch://host/x"}),
    Case("a GPU where there is none", r"search\.device: cuda, but no NVIDIA GPU is seen here", csv(),
         {"search": {"device": "cuda", "trials": 1}}, ("train",)),
    Case("one database for both", r"RATCHET_DATABASE_URL: the same database", csv(),
         env={"RATCHET_DATABASE_URL": "sqlite:///mlflow.db"}),
    Case("a full disk under the rows", r"rows\.parquet\W+No space left on device; free some space", MANY,
         around=small(".ratchet", "200k")),
    Case("a full disk under the artifacts", r"mlruns.*: the disk is full; free some space", MANY, around=small("mlruns", "64k")),
    Case("a full disk under the tracking store", r"mlflow\.db: .* disk is full; free some space", MANY,
         around=f"{small('store', '940k')}; cp mlflow.db store", env={"MLFLOW_TRACKING_URI": "sqlite:///store/mlflow.db"}),
    Case("a full disk under the search", r"RATCHET_DATABASE_URL.* disk is full; free some space", MANY, command=("train",),
         around=small("search", "100k"), env={"RATCHET_DATABASE_URL": "sqlite:///search/ratchet.db"}),
    Case("a full disk under the answers", r"answers\.csv: the disk is full; free some space", CLEAR,
         command=(*SCORE, "out/answers.csv"), around=f"{SERVED}; {small('out', '100k')}"),
    Case("a read-only folder", r"readonly database; work in a folder", csv(), around=read_only(".")),
    Case("a read-only home", r"\.ratchet.*: nothing can be written here; work in a folder", csv(), around=read_only(".ratchet")),
    Case("too little memory", r"1\.2 GiB of memory addresses \(ulimit -v\), 3\.0 GiB are needed; raise the limit", csv(),
         command=("train",), around="ulimit -v 1300000"),
    Case("a port in use", r"port \d+: Address already in use; name another with --port", CLEAR,
         command=("serve", "--port", "PORT"), around=SERVED, answer=page),
    Case("a web source that stalls", r"SERVER/rows\.csv \(.*Time.*, 4 times\)", task=WEB, answer=stalls, slow=True),
    Case("a web source that lies about its length", r"SERVER/rows\.csv \(.*, 4 times\)", task=WEB, answer=lies),
    Case("a web source that redirects elsewhere", r"it redirects where nothing can be fetched", task=WEB, answer=redirects),
    Case("a web source that answers with a page", r"no column 'y'", task=WEB, answer=page),
]  # fmt: skip
