//! The storage traits, MemoryStore, FaultyStore and the one conformance suite
