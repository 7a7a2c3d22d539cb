//! Formatters, once.
