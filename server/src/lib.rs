//! The companion server
