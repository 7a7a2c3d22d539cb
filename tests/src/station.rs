//! Workstations of the harness: a profile folder, enrolled by the real one-time code.
