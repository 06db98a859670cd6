"""BigQuery: what a query would scan is known, told and bounded before it runs; its rows come by the Storage read API.

Not run against the real service: the tests speak to a stand-in on 127.0.0.1.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa

from ratchet.adapters import warehouse
from ratchet.adapters.warehouse import Question, Result
from ratchet.errors import DataError

if TYPE_CHECKING:
    from google.cloud.bigquery import Client
    from google.cloud.bigquery_storage import BigQueryReadClient

# Where a stand-in listens: Google's own variable for queries, and one of ours for the rows.
ANSWER_S = 60  # Google's own client would try for ten minutes before it says that nothing answers
QUERIES, ROWS = "BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST"


def query(uri: str, question: Question, folder: Path, place: str) -> Result:
    """Run a query of `bigquery://PROJECT`, after telling what it will scan.

    place: what an error names. Raises DataError, also where it would scan more than question.max_gb.
    """
    try:
        from google.cloud import bigquery
    except ImportError:
        raise DataError(f"{place}: {uri}: BigQuery's client is not here: pip install 'ratchet[bigquery]'") from None
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        client = _client(urlsplit(uri).netloc)
        once = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
        dry = client.query(question.sql, once, retry=bigquery.DEFAULT_RETRY.with_timeout(ANSWER_S), job_retry=None)
        scans = f"{uri}: the query scans {dry.total_bytes_processed / 1e9:.3f} GB"
        if not dry.total_bytes_processed / 1e9 <= question.max_gb:
            raise DataError(f"{place}: {scans}, data.max_gb is {question.max_gb:g}; name fewer columns, bound the"
                            " partition in WHERE, or raise it")  # fmt: skip
        question.tell(scans)
        return warehouse.written(_parts(client, question), folder)
    except GoogleAuthError:
        mend = "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS"
        raise DataError(f"{place}: {uri}: no credentials of Google Cloud here: {mend}") from None
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(f"{place}: a column holds no number, text or time; cast it in data.query: {reason}") from None
    except (GoogleAPIError, OSError) as error:
        reason = str(getattr(error, "message", error)).splitlines()[0][:300]
        raise DataError(f"{place}: {uri}: {reason}") from None


def _parts(client: "Client", question: Question) -> Iterator[pa.Table]:
    from google.cloud import bigquery

    # BigQuery holds to it too, should the table have grown meanwhile.
    bound = None if math.isinf(question.max_gb) else math.ceil(question.max_gb * 1e9)
    rows = client.query(question.sql, bigquery.QueryJobConfig(maximum_bytes_billed=bound)).result()
    yield pa.table({field.name: pa.array([], pa.null()) for field in rows.schema})
    for batch in rows.to_arrow_iterable(bqstorage_client=_reader()):
        yield pa.Table.from_batches([batch])


def _client(project: str) -> "Client":
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    return bigquery.Client(project=project, credentials=AnonymousCredentials() if QUERIES in os.environ else None)


def _reader() -> "BigQueryReadClient":
    from google.cloud import bigquery_storage

    if ROWS not in os.environ:
        return bigquery_storage.BigQueryReadClient()
    import grpc
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    channel = grpc.insecure_channel(os.environ[ROWS])
    return bigquery_storage.BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
