// Package stun asks a server which address it sees, and answers others who ask:
// the Binding method of STUN (RFC 8489) and no other.
//
// codec.go is the only file of hedgerow that imports github.com/pion/stun. That
// major version is frozen and can be crashed from the network by an address
// attribute that is too short (GHSA-34rh-wp3j-6cxc). So every decode goes
// through Guard first, which reads the bytes without that library and passes
// only messages in which each address attribute has the length of its family.
//
// STUN travels in clear between an edge and a server, so nothing here is
// authenticated. A caller therefore accepts a response only for a transaction
// that is outstanding, and only from the address that it asked, and uses the
// address in it as a candidate, never as proof.
package stun
