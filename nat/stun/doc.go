// Package stun asks a server which address it sees, and answers others who ask:
// the Binding method of STUN (RFC 8489) and nothing else of it.
//
// codec.go is the only file of hedgerow that imports github.com/pion/stun. That
// major version is frozen and can be crashed from the network by an address
// attribute that is too short (GHSA-34rh-wp3j-6cxc). So every decode goes
// through Guard first, which looks at the bytes without that library and lets
// through only messages in which each address attribute has the one length that
// its family has.
//
// Nothing here is authenticated: STUN travels in clear between an edge and a
// server. A caller therefore accepts a response only for a transaction that it
// has outstanding, and only from the address that it asked, and uses what it
// learns as a candidate, never as proof.
package stun
