package main

import "hedgerow/protocol"

// macText writes a hardware address as 02:5c:1e:9a:40:11.
func macText(mac [6]byte) string { return protocol.MAC(mac).String() }
