"""Who may do what: for each action the least role."""

from __future__ import annotations

import logging
from typing import Literal

from synthstudio.core.errors import Refused
from synthstudio.review.values import ROLES, Role, User

Action = Literal[
    "look",
    "edit",
    "status",
    "comment",
    "add",
    "delete",
    "restore",
    "revert",
    "claim",
    "save_view",
    "assign",
    "adjudicate",
    "generate",
    "save_view_for_all",
    "import",
    "export",
    "members",
]

LOG = logging.getLogger("synthstudio.review.roles")

LEAST: dict[Action, Role] = {
    "look": "viewer",
    **dict.fromkeys(
        ("edit", "status", "comment", "add", "delete", "restore", "revert", "claim", "save_view"),
        "reviewer",
    ),
    **dict.fromkeys(
        ("assign", "adjudicate", "generate", "save_view_for_all", "import", "export"), "lead"
    ),
    "members": "admin",
}
"""Action -> least role."""


def may(role: Role, action: Action) -> bool:
    """Say whether a role may do it; an unknown role may do nothing."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(LEAST[action])


def need(who: User, action: Action) -> None:
    """Raise Refused("role") unless the user may do it; that is logged, whoever calls."""
    if not may(who.role, action):
        LOG.warning("refused %s to %s, role %s", action, ascii(who.name)[:100], who.role)
        raise Refused(
            f"you may not {action.replace('_', ' ')}",
            where=f"role {who.role}",
            expected=f"{LEAST[action]} or higher",
            then="Ask an admin for that role.",
            reason="role",
        )
