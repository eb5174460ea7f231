"""Who is alive, who owns what, and who should: the store is the arbiter, nodes only read it.

Theory of operation: a node renews its lease in the store every second and reads all nodes and
shards in the same round trip. From that it makes a `ClusterView`. Rendezvous hashing over the
names of live nodes says who should own a shard or a queue; the shard table says who does.

Rules that hold here:

- A node owns a shard when its view says so *and* its lease is valid. It measures the lease from
  before the renewal was sent, so it stops earlier than anybody may take over.
- A renewal that was answered after the lease had lapsed does not revive ownership: somebody may be
  about to take the shards. They are taken anew first, with new epochs, which defeats any takeover
  that was decided before.
- An epoch fences writes, a lease fences reads from memory. Neither replaces the other.
"""
