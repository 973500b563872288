"""audit — what happened, provably. Owns the tables `audit_*` and the checkpoint file; has never heard of who calls it.

events.py       the vocabulary: every event, its sentence, its OCSF number
trail.py        record(): one row in the caller's transaction
together.py     record_apart(): events without a change, many requests in one commit
text.py         what may enter (bounds, cleaning, the guard against secrets) and the canonical bytes
chain.py        tables of the chain; the hash of one event
seal.py         numbers new events without gaps and links them, apart from the writers
checkpoints.py  Ed25519-signed statements about the chain's end, also in a file outside of the database
verify.py       names the first event that does not fit
search.py       filters, pages, the growing end;  export.py ocsf.py  taking events out, signed

Two promises: no change without its event (same transaction), and no event altered unnoticed (chain, checkpoints, file).
"""

from idp.audit.checkpoints import public_keys
from idp.audit.events import FAILURE, SUCCESS, Event
from idp.audit.export import Export, export, verify_export
from idp.audit.seal import seal
from idp.audit.search import Entry, Page, Query, follow, has_happened, search, tail
from idp.audit.text import SecretRefused
from idp.audit.trail import beside, record, record_apart
from idp.audit.verify import Report, verify, verify_tail

__all__ = [
    "FAILURE", "SUCCESS", "Entry", "Event", "Export", "Page", "Query", "Report", "SecretRefused", "beside", "export", "follow",
    "has_happened", "public_keys", "record", "record_apart", "seal", "search", "tail", "verify", "verify_export",
    "verify_tail",
]  # fmt: skip
