"""A stand-in for BigQuery on 127.0.0.1: its REST API for jobs, its gRPC API for rows, with DuckDB behind both."""

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import duckdb
import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

KINDS = {"int64": "INTEGER", "double": "FLOAT", "string": "STRING", "bool": "BOOLEAN", "date32[day]": "DATE"}
SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"


class StandIn:
    """What it holds, and what it was asked. jobs: id -> rows; scans: the bytes that each query is said to scan."""

    def __init__(self, scans: int) -> None:
        self.scans, self.jobs, self.asked = scans, dict[str, pa.Table](), list[str]()
        self.tables = duckdb.connect()

    def insert(self, job: dict[str, Any]) -> dict[str, Any]:
        """POST …/jobs: run a query, or only say what it would scan."""
        wanted = job["configuration"]
        name, sql = job["jobReference"]["jobId"], wanted["query"]["query"]
        if wanted.get("dryRun"):
            self.asked.append("dry run")
            self.tables.sql(f"EXPLAIN {sql}")
        else:
            self.asked.append(sql)
            self.jobs[name] = self.tables.sql(sql).to_arrow_table()
            wanted["query"]["destinationTable"] = {"projectId": "p", "datasetId": "d", "tableId": name}
        return self.job(name) | {"configuration": wanted}

    def job(self, name: str) -> dict[str, Any]:
        """GET …/jobs/NAME."""
        destination = {"projectId": "p", "datasetId": "d", "tableId": name}
        return {
            "jobReference": {"projectId": "p", "jobId": name, "location": "EU"},
            "configuration": {"jobType": "QUERY", "query": {"destinationTable": destination}},
            "status": {"state": "DONE"},
            "statistics": {"totalBytesProcessed": str(self.scans), "query": {"totalBytesProcessed": str(self.scans)}},
        }

    def results(self, name: str) -> dict[str, Any]:
        """GET …/queries/NAME: the columns and how many rows; the rows themselves come by the other API."""
        rows = self.jobs[name]
        fields = [{"name": field.name, "type": KINDS[str(field.type)]} for field in rows.schema]
        return {"jobReference": {"projectId": "p", "jobId": name, "location": "EU"}, "jobComplete": True,
                "schema": {"fields": fields}, "totalRows": str(rows.num_rows)}  # fmt: skip

    def session(self, request: types.CreateReadSessionRequest, context: grpc.ServicerContext) -> types.ReadSession:
        """CreateReadSession: one stream of the table that a query made."""
        name = request.read_session.table.rpartition("/")[2]
        return types.ReadSession(
            name=uuid.uuid4().hex, table=request.read_session.table, data_format=types.DataFormat.ARROW,
            arrow_schema=_schema(self.jobs[name]), streams=[types.ReadStream(name=name)],
        )  # fmt: skip

    def rows(self, request: types.ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[types.ReadRowsResponse]:
        """ReadRows: the rows of a stream, a few at once."""
        table = self.jobs[request.read_stream].slice(request.offset)
        for batch in table.to_batches(max_chunksize=50):
            record = types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield types.ReadRowsResponse(
                arrow_schema=_schema(table), arrow_record_batch=record, row_count=batch.num_rows
            )


def _schema(table: pa.Table) -> types.ArrowSchema:
    return types.ArrowSchema(serialized_schema=table.schema.serialize().to_pybytes())


def _rest(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *said: Any) -> None:
            pass

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self._answer(200, stand_in.insert(asked))
            except duckdb.Error as error:
                self._answer(
                    400, {"error": {"code": 400, "message": str(error), "errors": [{"reason": "invalidQuery"}]}}
                )

        def do_GET(self) -> None:
            kind, name = self.path.partition("?")[0].split("/")[-2:]
            self._answer(200, stand_in.results(name) if kind == "queries" else stand_in.job(name))

        def _answer(self, code: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


@contextmanager
def running(scans: int = 1_000_000) -> Iterator[tuple[StandIn, dict[str, str]]]:
    """Yield the stand-in, and the environment in which Google's clients find it."""
    stand_in = StandIn(scans)
    methods = {
        "CreateReadSession": grpc.unary_unary_rpc_method_handler(
            stand_in.session, types.CreateReadSessionRequest.deserialize, types.ReadSession.serialize),
        "ReadRows": grpc.unary_stream_rpc_method_handler(
            stand_in.rows, types.ReadRowsRequest.deserialize, types.ReadRowsResponse.serialize),
    }  # fmt: skip
    reads = grpc.server(ThreadPoolExecutor(2))
    reads.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, methods)])
    port = reads.add_insecure_port("127.0.0.1:0")
    reads.start()
    jobs = ThreadingHTTPServer(("127.0.0.1", 0), _rest(stand_in))
    threading.Thread(target=jobs.serve_forever, daemon=True).start()
    try:
        yield (
            stand_in,
            {
                "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{jobs.server_port}",
                "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{port}",
            },
        )
    finally:
        jobs.shutdown()
        jobs.server_close()
        reads.stop(0)
