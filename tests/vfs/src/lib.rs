//! A recording, fault-injecting SQLite VFS for tests
