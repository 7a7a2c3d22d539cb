//! The workstation without a window
