"""What travels: topics, messages, codec, errors, settings, consumer and producer, dead letters, metrics, the embedded broker."""
