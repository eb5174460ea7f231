"""Task queues of several partitions, for those to whom a queue is one thing."""
