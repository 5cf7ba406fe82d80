"""Who may write where: everybody under the namespace that their token names."""

from __future__ import annotations

from starlette.requests import Request

from helpers.embedded import auth
from helpers.embedded.hub import holdings
from helpers.embedded.hub.errors import refused
from helpers.embedded.hub.holdings import Holding, LearnersHolding
from helpers.embedded.learners import Learners, LearnersRepository, Namespace
from helpers.embedded.wire import WireError


def namespace(request: Request) -> Namespace:
    """Return the client's own namespace.

    Raises:
        WireError: 401 without a token, 403 for a token whose owner has none.
    """
    client_id = request.state.client_id
    if client_id is None:
        missing = auth.AuthenticationError(auth.MISSING)
        raise WireError(401, str(missing), missing.headers())
    learners: Learners = request.app.state.learners
    own = learners.namespace(client_id)
    if own is None:
        raise refused(403, "Forbidden: the owner of this token has no namespace to write in.")
    return own


def require_owner(request: Request, holding: Holding) -> LearnersRepository:
    """Return a repository that the client may write to.

    Raises:
        WireError: 401 without a token, 403 when it is somebody else's.
    """
    own = namespace(request)
    about = holding.about
    if not isinstance(holding, LearnersHolding) or about.owner != own.name:
        raise refused(
            403,
            f'Forbidden: you don\'t have write access to "{about.id}". '
            f'Your own repositories are under "{own.name}/"',
        )
    return holding.repository


def writable(request: Request) -> LearnersRepository:
    """Return the repository that an address names, for its owner to write to.

    Raises:
        WireError: 401 without a token, 404 when it is not there, 403 when it is somebody else's.
    """
    namespace(request)
    return require_owner(request, holdings.named(request))
