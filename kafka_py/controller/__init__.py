"""The KRaft controller: a sans-IO raft replica, pure decisions over the image, and their host."""
