"""Wire-level stand-ins for brokers: test equipment that the real client libraries connect to."""
