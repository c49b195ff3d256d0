"""Errors that only HTTP knows; the others come from `daemon.core.errors` through the directory."""

from daemon.core.errors import BlazzError, InvalidInputError


class UnauthorizedError(BlazzError):
    """No bearer token, or a wrong one."""

    code = "unauthorized"
    http_status = 401


class ForbiddenError(BlazzError):
    """The token is good, and may not do that."""

    code = "forbidden"
    http_status = 403


class WorkspaceForbiddenError(ForbiddenError):
    """The token is limited to other workspaces."""

    code = "workspace_forbidden"


class RateLimitedError(BlazzError):
    """More requests than this token, or this address without one, may make."""

    code = "rate_limited"
    http_status = 429
    retryable = True


class TokenInUrlError(InvalidInputError):
    """A token was sent in the address of a request."""

    code = "token_in_url"


class MethodNotAllowedError(BlazzError):
    """The path exists, not with this method; `Allow` names those that do."""

    code = "method_not_allowed"
    http_status = 405


class NotAcceptableError(BlazzError):
    """Nothing that `Accept` asks for can be made."""

    code = "not_acceptable"
    http_status = 406


class BodyTooLargeError(BlazzError):
    """The request body is larger than `MAX_BODY_BYTES`."""

    code = "body_too_large"
    http_status = 413


class BodyTooSlowError(BlazzError):
    """The request body did not arrive in time."""

    code = "body_too_slow"
    http_status = 408
    retryable = True


class InvalidJsonError(InvalidInputError):
    """The request body is not JSON."""

    code = "invalid_json"
