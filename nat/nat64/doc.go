// Package nat64 translates between IPv4 addresses and the IPv6 addresses by which hosts
// without IPv4 reach them through a NAT64 (RFC 6146), and finds the prefix that the network
// has for that.
//
// A Prefix embeds addresses as RFC 6052 says, in any of its six lengths. It is known from
// the addresses of ipv4only.arpa that a DNS64 makes up (Find, RFC 7050) or from a router
// advertisement (ParseOption, RFC 8781). Nothing here sends anything.
package nat64
