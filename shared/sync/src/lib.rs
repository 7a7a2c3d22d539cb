//! Pure state machines of the sync protocol, both ends
