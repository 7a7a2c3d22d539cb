//! SQLCipher: the server's embedded default and the workstation's cache
