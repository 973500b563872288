"""The servers that are compared. A new one is a file here and a line in PEERS."""

from __future__ import annotations

from benchmarks.peers.base import Peer
from benchmarks.peers.canaille import Canaille
from benchmarks.peers.django_oauth_toolkit import Toolkit
from benchmarks.peers.node_oidc_provider import Node
from benchmarks.peers.ours import Ours

PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Ours, Node, Toolkit, Canaille)}
