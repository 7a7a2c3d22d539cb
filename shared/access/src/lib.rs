//! Who may do what, and the proof that it was written down
