"""Objects below a URL: read, write, create if absent, list, delete.

Access by fsspec. Transient errors (a 500 or 503, a time-out, a lost connection) are retried
with rising delays; a final failure is one message. A PUT whose response is lost may
have succeeded: writing the same bytes twice is harmless, and after a conditional write the
content is compared.
"""

import errno
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from synthstudio.core.errors import DatasetError, DiskError, SynthStudioError, import_extra
from synthstudio.core.places import Url, without_secrets

T = TypeVar("T")


TRIES = 6
FIRST_S = 0.5
"""Delay before the second try, doubled before each further one."""
CONNECT_S, READ_S = 10.0, 30.0
_LIBRARIES = {"s3": ("s3fs", "synthstudio[stores]"), "gs": ("gcsfs",) * 2, "az": ("adlfs",) * 2}
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "TokenRetrievalError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "DefaultCredentialsError",
    "ClientAuthenticationError",
)
_NO_ACCESS = (
    *("InvalidToken", "TokenRefreshRequired", "AuthorizationHeaderMalformed"),
    *("AuthenticationFailed", "AuthorizationFailure", "AuthorizationPermissionMismatch"),
)
"""Codes that s3fs and adlfs do not turn into PermissionError."""
_WHERE_CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a public bucket "
    "FSSPEC_S3_ANON=true.",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY.",
}
_SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
)
_MAX_PUT_BYTES = 5 << 30
_FOREVER = (
    errno.EINVAL,
    errno.ENOSYS,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.EMSGSIZE,
    getattr(errno, "EREMCHG", errno.EINVAL),  # s3fs: the bucket lies in another region
)
_IS_THERE = ("PreconditionFailed", "412")
_systems: dict[tuple[str, int], Any] = {}


class Store:
    """The objects below a URL. Can be pickled and forked."""

    def __init__(self, url: Url) -> None:
        """Open the store of a URL; DatasetError if its library is not installed."""
        self.url = url
        _system(url.scheme)

    def read(self, name: str, *, part: tuple[int, int] | None = None) -> bytes | None:
        """The bytes of an object, or its `part` [start, stop); None if missing. DatasetError."""
        limits = {} if part is None else {"start": part[0], "end": part[1]}
        data = self._found(name, lambda system, path: system.cat_file(path, **limits))
        return None if data is None else bytes(data)

    def write(self, name: str, data: bytes, **how: Any) -> None:
        """Write or replace an object atomically; `how`: options of fsspec's `pipe_file`."""
        if self.url.scheme == "s3":
            how["chunksize"] = _MAX_PUT_BYTES  # parts can fail separately
        try:
            self._try(name, lambda system, path: system.pipe_file(path, data, **how))
        except FileNotFoundError as error:
            if _code(error) in ("NoSuchBucket", ""):  # gs and az give no code
                raise self._no_bucket() from error
            raise DiskError(
                "the store refused the operation", where=str(self.url / name), got=_words(error)
            ) from error

    def create(self, name: str, data: bytes) -> bool:
        """Create an object if absent; return whether it now exists with these bytes."""
        try:
            self.write(name, data, mode="create")
        except FileExistsError:
            return self.read(name) == data
        return True

    def names(self, folder: str) -> list[str]:
        return list(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """The bytes of all objects below a folder, by their names relative to it, sorted."""
        found = self._listed(folder, lambda system, path: system.find(path, detail=True))
        return {name: int(info.get("size") or 0) for name, info in found.items()}

    def level(self) -> list[str]:
        """The direct children of the URL, objects and folders, sorted."""
        return list(
            self._listed("", lambda system, path: dict.fromkeys(system.ls(path, detail=False)))
        )

    def _listed(self, folder: str, action: Callable[[Any, str], dict[str, T]]) -> dict[str, T]:
        found = self._found(folder, action) or {}
        prefix = f"{self._place(folder).path}/"
        inside = sorted(path for path in found if path.startswith(prefix))
        return {path.removeprefix(prefix): found[path] for path in inside}

    def delete(self, name: str) -> None:
        """Delete an object; a missing one is no error."""
        with suppress(FileNotFoundError):
            self._try(name, lambda system, path: system.rm_file(path))

    def move(self, name: str, target: str) -> None:
        other = (self.url / target).path
        self._try(name, lambda system, path: system.cp_file(path, other))
        self.delete(name)

    def _place(self, name: str) -> Url:
        return self.url / name if name else self.url

    def _no_bucket(self) -> DatasetError:
        return DatasetError(
            "no such bucket",
            where=str(self.url),
            got=self.url.path.partition("/")[0],
            then="Create it, or use the URL of an existing one.",
        )

    def _found(self, name: str, action: Callable[[Any, str], T]) -> T | None:
        """As `_try`; None for a missing object. DatasetError for a missing bucket."""
        try:
            return self._try(name, action)
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise self._no_bucket() from error
            return None

    def _try(self, name: str, action: Callable[[Any, str], T]) -> T:
        """The result of `action(system, path)`, with retries of transient errors.

        Passes on FileNotFoundError and FileExistsError; all others become one message.
        """
        place, wait = self._place(name), FIRST_S
        for left in reversed(range(TRIES)):
            try:
                return action(_system(self.url.scheme), place.path)
            except (FileNotFoundError, FileExistsError, SynthStudioError):
                raise
            except Exception as error:
                if _code(error) in _IS_THERE:  # MinIO omits the condition
                    raise FileExistsError(place.path) from error
                if _code(error) == "ContainerNotFound":  # adlfs
                    raise self._no_bucket() from error
                final = _final(error, place)
                if final is not None:
                    raise final from error
                if not left:
                    raise DiskError(
                        f"the store failed {TRIES} times",
                        where=str(place),
                        got=_words(error),
                        then="Try again later; what is complete stays (generate: --resume).",
                    ) from error
            time.sleep(wait * (0.5 + secrets.randbelow(1000) / 1000))
            wait *= 2
        raise AssertionError("unreachable")


def _final(error: Exception, place: Url) -> SynthStudioError | None:
    """The error to raise for a permanent failure; None for a transient one."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    code = _code(error)
    got = ", ".join(filter(None, (code, _words(error))))
    if kinds & set(_NO_CREDENTIALS):
        return DatasetError(
            "no credentials for this store",
            where=str(place),
            then=_WHERE_CREDENTIALS[place.scheme],
        )
    if code == "RequestTimeTooSkewed":
        return DatasetError(
            "this machine's clock is wrong, so the store refuses requests",
            where=str(place),
            then="Set the clock (timedatectl set-ntp true), then run it again.",
        )
    if isinstance(error, PermissionError) or code in _NO_ACCESS:
        return DiskError(
            "the store denied access",
            where=str(place),
            expected="credentials with permission",
            got=got,
            then=f"Ask the bucket's owner, or use others. {_WHERE_CREDENTIALS[place.scheme]}",
        )
    stays = isinstance(error, OSError) and error.errno in _FOREVER
    if stays or isinstance(error, TypeError | ValueError) or "ParamValidationError" in kinds:
        return DiskError("the store refused the operation", where=str(place), got=got)
    return None


def _code(error: BaseException) -> str:
    """The store's own code of an error, such as NoSuchBucket; "" if none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    code = getattr(error, "error_code", None) or ""  # Azure's
    return str(getattr(code, "value", code))


def _words(error: BaseException) -> str:
    """An error's message in one line, without secrets."""
    lines = f"{type(error).__name__}: {error}".strip().splitlines()
    text = without_secrets(lines[0])
    for name in _SECRETS:
        if value := os.environ.get(name):
            text = text.replace(value, "***")
    return text[:300]


def _system(scheme: str) -> Any:
    """The fsspec file system of a scheme; each process has its own."""
    key = (scheme, os.getpid())
    if key not in _systems:
        _systems[key] = _opened(scheme)
    return _systems[key]


def _opened(scheme: str) -> Any:
    module, package = _LIBRARIES[scheme]
    fsspec = import_extra("fsspec", extra="stores", error=DatasetError)
    if scheme == "s3":
        import_extra(module, extra="stores", error=DatasetError)
        system = fsspec.filesystem(
            scheme,
            skip_instance_cache=True,
            use_listings_cache=False,
            max_concurrency=1,  # reads without a HEAD request
            config_kwargs={
                "retries": {"total_max_attempts": 1, "mode": "standard"},
                "connect_timeout": CONNECT_S,
                "read_timeout": READ_S,
            },
        )
        system.retries = 1  # only our retries
        return system
    try:
        return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    except ImportError as error:
        raise DatasetError(
            f"{module} is not installed, which {scheme}:// needs",
            then=f"Install it: pip install {package}",
        ) from error
    except ValueError as error:  # adlfs without an account
        raise DatasetError(
            "this store cannot be opened",
            where=f"{scheme}://",
            got=_words(error),
            then=_WHERE_CREDENTIALS[scheme],
        ) from error
