// Package backup copies what a supernode keeps into one file, and back into a state
// directory.
//
// A file begins with a line of text that names its version and whether it is sealed:
//
//	hedgerow supernode backup 1 plain\n  | SHA-256 of the line and the content | content
//	hedgerow supernode backup 1 sealed\n | salt 16 | passes u32 | KiB u32 | threads u8 |
//	nonce 24 | content sealed by XChaCha20-Poly1305, with all before it as associated data
//
// The key of a sealed one is Argon2id (RFC 9106) of a passphrase. The content is JSON. It
// holds the private key of the supernode: whoever has a plain file, or a sealed one and its
// passphrase, can be that supernode to every edge.
package backup
