"""The way to a Kubeflow Pipelines server: where it is, who asks, and what went wrong where it does not serve."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components.errors import ClusterError, ConfigError

_CONNECT_S, _ANSWER_S = 3.0, 20.0
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_AWAY = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
# OpenSSL's words for an answer that is plain HTTP.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")
_HEALTH = "/apis/v2beta1/healthz"
_FORWARD = "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80, then --host http://localhost:8080"


class NoAnswerError(ClusterError):
    """Nobody answers just now; a run that is under way goes on, and asking again may help."""


@dataclass(frozen=True)
class Access:
    """A server, and how it is told who asks.

    Attributes:
      host: its address, as `check_host` gives it.
      token: a bearer token; None where there is none.
      token_file: read for every request, since tokens that a cluster hands out are replaced; goes before `token`.
      ca_file: certificates that vouch for the server; None for those that everybody trusts.
      namespace: of the person, where the server serves several; None where it does not.
    """

    host: str
    token: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    namespace: str | None = None

    @property
    def credentials(self) -> str:
        """What the server was shown, for messages."""
        if self.token_file is not None:
            return f"the token in {self.token_file}"
        return "no token" if self.token is None else "the token in KFP_TOKEN"

    def run_url(self, run_id: str) -> str:
        """The page of a run."""
        return f"{self.host}/#/runs/details/{run_id}"


def check_host(host: str) -> str:
    """The address of a server.

    Raises:
      ConfigError: if it is none.
    """
    if "@" in host:  # and what stands before it is not repeated
        raise ConfigError(
            "--host holds a user or a password, which Kubeflow Pipelines does not ask for",
            expected="an address such as http://localhost:8080",
            hint="--token-file FILE or KFP_TOKEN tells who asks",
        )
    if not _is_address(host):
        raise ConfigError(
            f"received --host {host!r}",
            expected="the address of Kubeflow Pipelines without a page of it, such as http://localhost:8080",
            hint=_FORWARD,
        )
    return host.rstrip("/")


def _is_address(host: str) -> bool:
    if re.search(r"[\s\x00-\x1f\x7f?#]", host):  # urlsplit passes over some of them
        return False
    try:
        parts = urlsplit(host)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address; a port that is none
        return False


def read_token(access: Access) -> str | None:
    """The bearer token to show, if any.

    Raises:
      ConfigError: if its file cannot be read, or it is no token; never with a part of it.
    """
    if access.token_file is None:
        return None if access.token is None else _check_token(access.token, "KFP_TOKEN")
    try:
        text = access.token_file.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(f"cannot read --token-file {access.token_file}: {error.strerror}") from error
    return _check_token(text, f"--token-file {access.token_file}")


def _check_token(text: str, source: str) -> str:
    token = text.strip()
    if re.fullmatch("[!-~]+", token) is None:
        raise ConfigError(
            f"{source} " + ("holds what is no bearer token" if token else "is empty"),
            expected="a bearer token: one word of plain characters, without `Bearer` before it",
        )
    return token


def knock(access: Access) -> None:
    """Asks the server how it is, once: takes no second where it is down, is something else, or refuses a token.

    Where no token is given and the server refuses, what kfp itself has for it (a cookie, an IAP client, Google's
    application default credentials) may still open it.

    Raises:
      ClusterError: if it does not answer as Kubeflow Pipelines does.
      ConfigError: if the token cannot be read.
    """
    import kfp_server_api.rest

    configuration = kfp_server_api.Configuration(host=access.host)
    configuration.retries = False
    if access.ca_file is not None:
        configuration.ssl_ca_cert = str(access.ca_file)
    token = read_token(access)
    # Not by way of its HealthzServiceApi, which falls over an error of TLS: that has no body to decode.
    client = kfp_server_api.rest.RESTClientObject(configuration)
    with server_errors(access):
        try:
            answer = client.GET(
                access.host + _HEALTH,
                headers={} if token is None else {"authorization": f"Bearer {token}"},
                _preload_content=False,
                _request_timeout=(_CONNECT_S, _ANSWER_S),
            )
        except kfp_server_api.ApiException as error:
            if token is None and (error.status in _REFUSED or 300 <= error.status < 400):
                return
            raise
    check_object(access, _HEALTH, answer.data)


@contextmanager
def server_errors(access: Access) -> Iterator[None]:
    """Turns what goes wrong between here and the server into one error.

    Raises:
      NoAnswerError: if nobody answers, or the server is not well.
      ClusterError: if it refuses, or is not Kubeflow Pipelines.
    """
    import kfp_server_api
    import urllib3

    try:
        yield
    except kfp_server_api.ApiException as error:
        raise _explain(access, error.status, error.reason, error.body or "") from error
    except urllib3.exceptions.HTTPError as error:
        cause = getattr(error, "reason", None) or error
        raise NoAnswerError(
            f"{access.host} does not answer: {last_words(cause)}",
            expected="the address of Kubeflow Pipelines, such as http://localhost:8080",
            hint=_FORWARD,
        ) from error


def _explain(access: Access, status: int, reason: str | None, body: str | bytes) -> ClusterError:
    message = _message(body)
    if status == 0:
        return _explain_without_status(access, reason or "")
    if status in _REFUSED or 300 <= status < 400:
        asks = "sends to a login page" if status < 400 else "refuses"
        return ClusterError(
            f"{access.host} {asks} ({status} {reason}): {message or f'it was shown {access.credentials}'}",
            expected="a bearer token that the server takes",
            hint="--token-file FILE or KFP_TOKEN; vww also uses what the kfp command keeps in ~/.config/kfp",
        )
    if message is None and status == HTTPStatus.NOT_FOUND:
        return not_pipelines(access, f"{_HEALTH} with 404")
    if status in _AWAY:
        return NoAnswerError(f"{access.host} is not well ({status} {reason})" + (f": {message}" if message else ""))
    return ClusterError(f"{access.host} refuses ({status} {reason}): {message or 'it gives no reason'}")


def _explain_without_status(access: Access, reason: str) -> ClusterError:
    """What kfp_server_api reports without an answer's status: TLS, and a date that is none."""
    if not reason.startswith("SSLError"):
        return not_pipelines(access, f"with what its client cannot read: {reason}")
    if any(sign in reason for sign in _NO_TLS):
        return ClusterError(
            f"{access.host} does not speak TLS",
            expected="https:// only where the server has a certificate",
            hint=f"--host {access.host.replace('https://', 'http://', 1)}",
        )
    return ClusterError(
        f"{access.host} cannot be trusted: {reason.splitlines()[-1]}",
        hint="--ca-cert FILE names the certificates that vouch for it",
    )


def not_pipelines(access: Access, how: str) -> ClusterError:
    """The error for an answer that Kubeflow Pipelines does not give; `how` such as `runs/1 with a page of HTML`."""
    return ClusterError(
        f"{access.host} is not Kubeflow Pipelines: it answers {how}",
        expected="the address below which its API lies, such as http://localhost:8080, or https://HOST/pipeline",
        hint=_FORWARD,
    )


def check_object(access: Access, question: str, body: str | bytes) -> None:
    """Raises ClusterError unless an answer is an object of JSON, as all of Kubeflow Pipelines' are."""
    if _object(body) is None:
        text = body if isinstance(body, str) else body.decode(errors="replace")
        raise not_pipelines(
            access, f"{question} with " + ("a page of HTML" if "<html" in text.lower() else "no object of JSON")
        )


def _object(body: str | bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _message(body: str | bytes) -> str | None:
    """What the API says in an error; None where somebody else speaks."""
    told = _object(body) or {}
    return told.get("message") or told.get("error")


def last_words(error: object) -> str:
    """Such as `Connection refused`, out of `HTTPConnection(…): Failed to …: [Errno 111] Connection refused`."""
    return str(error).rsplit(": ", 1)[-1].rsplit("] ", 1)[-1].rstrip("\"')")
