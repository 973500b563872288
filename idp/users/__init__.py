"""users — people: who they are and how they are called. Knows nothing of passwords, factors or tokens.

names.py        usernames and addresses: canonical form, what may be created (RFC 8265, UTS 39)
npi.py          National Provider Identifiers
checks.py       what the other fields may hold
model.py        the tables
people.py       create, find, disable, enable
facts.py        what may be told of a person, in one read
profile.py      change names, roles, addresses
traits.py       what else is known: the other claims of the scope `profile`
addresses.py    people change their own addresses: links, notices, the time before a new one may recover
contact.py      telephone number and postal address
search.py       pages of people
csv_import.py   many people at once, with a report per line
"""

from idp.users import addresses, facts, traits
from idp.users.checks import checked_text
from idp.users.contact import ADDRESS, set_contact
from idp.users.csv_import import COLUMNS, Line, import_csv
from idp.users.model import ACTIVE, ADMINISTRATOR, DISABLED, SUBJECT_PREFIX, User, UserEmail
from idp.users.names import Name, canonical_username, checked_email, checked_username
from idp.users.npi import valid_npi
from idp.users.people import (
    create,
    disable,
    enable,
    find_by_login,
    find_by_npi,
    find_by_sub,
    get_by_sub,
    hold_active,
    is_active,
    is_active_clause,
    lock,
    read_status,
)
from idp.users.profile import (
    add_email,
    make_primary,
    remove_email,
    rename,
    rename_oneself,
    set_roles,
    update,
    verify_email,
)
from idp.users.search import Page, active_administrators, search

__all__ = [
    "ACTIVE",
    "ADDRESS",
    "ADMINISTRATOR",
    "COLUMNS",
    "DISABLED",
    "SUBJECT_PREFIX",
    "Line",
    "Name",
    "Page",
    "User",
    "UserEmail",
    "active_administrators",
    "add_email",
    "addresses",
    "canonical_username",
    "checked_email",
    "checked_text",
    "checked_username",
    "create",
    "disable",
    "enable",
    "facts",
    "find_by_login",
    "find_by_npi",
    "find_by_sub",
    "get_by_sub",
    "hold_active",
    "import_csv",
    "is_active",
    "is_active_clause",
    "lock",
    "make_primary",
    "read_status",
    "remove_email",
    "rename",
    "rename_oneself",
    "search",
    "set_contact",
    "set_roles",
    "traits",
    "update",
    "valid_npi",
    "verify_email",
]
