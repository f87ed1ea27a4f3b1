"""What publishes: recordings, simulated phones.  A source is a client like any other: it knows the topic and the message, no more."""
