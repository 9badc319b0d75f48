package main

import (
	"hedgerow/edge"
	"hedgerow/internal/obfs"
)

// obfsVariable has the obfuscation key of the supernodes.
const obfsVariable = "EDGE_OBFS_KEY"

// useObfs gives the obfuscation key to every supernode.
func useObfs(supernodes []edge.Supernode, key obfs.Key) {
	for i := range supernodes {
		if len(key.Bytes) > 0 {
			supernodes[i].ObfsKey = key.Bytes
		}
	}
}
