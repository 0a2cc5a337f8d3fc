"""The plant: what happens between two decisions. Requests, holds, queues, engines, replicas, nodes."""
