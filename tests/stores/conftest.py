"""Stores of the tests: an S3 server on this machine."""

from s3_server import s3 as s3
from s3_server import s3_endpoint as s3_endpoint
