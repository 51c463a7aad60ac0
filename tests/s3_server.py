"""Fixtures: an S3 server on this machine (moto's), and faults between it and its clients."""

import logging
import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from benchmarks.local_s3 import download, proxied
from synthstudio.core.places import Url, parse_place


@dataclass
class S3:
    """The server; `url(name)` is a place in a bucket of one test."""

    endpoint: str
    bucket: str
    settings: dict[str, str]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def url(self, name="set"):
        return f"s3://{self.bucket}/{name}"

    def objects(self, prefix="set/"):
        """Every object below a prefix, asked of the server itself."""
        client = _client(self.endpoint)
        listed = client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {
            one["Key"].removeprefix(prefix): client.get_object(Bucket=self.bucket, Key=one["Key"])[
                "Body"
            ].read()
            for one in listed
        }

    def put(self, name, data):
        _client(self.endpoint).put_object(Bucket=self.bucket, Key=name, Body=data)

    def delete(self, name):
        _client(self.endpoint).delete_object(Bucket=self.bucket, Key=name)


def at(s3, name="set"):
    return parse_place(s3.url(name))


def downloaded(s3, folder, name="set"):
    place = at(s3, name)
    assert isinstance(place, Url)
    download(place, folder)
    return folder


def _client(endpoint):
    import boto3

    return boto3.client("s3", endpoint_url=endpoint)


@pytest.fixture(scope="session")
def s3_endpoint():
    pytest.importorskip("moto")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint, monkeypatch, tmp_path):
    """A new bucket; this process and its children find it, and a cache of their own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    settings = {
        "AWS_ACCESS_KEY_ID": "key-of-the-tests",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_ENDPOINT_URL": s3_endpoint,
        "SYNTHSTUDIO_CACHE": str(tmp_path / "cache"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    bucket = f"b-{uuid.uuid4().hex}"
    _client(s3_endpoint).create_bucket(Bucket=bucket)
    with fresh_clients():
        yield S3(endpoint=s3_endpoint, bucket=bucket, settings=settings)


@contextmanager
def fresh_clients():
    """Clients made now see the environment as it is now."""
    from synthstudio.dataset import store

    kept = dict(store._systems)
    store._systems.clear()
    yield
    store._systems.clear()
    store._systems.update(kept)


@contextmanager
def faults(s3, fault, monkeypatch):
    with (
        proxied(s3.endpoint, s3.bucket, fault, s3.asked) as endpoint,
        monkeypatch.context() as patched,
        fresh_clients(),
    ):
        patched.setenv("AWS_ENDPOINT_URL", endpoint)
        yield
