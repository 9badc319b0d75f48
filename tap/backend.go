package tap

import (
	"fmt"
	"strings"
)

// Backend is how frames get between the kernel and this process.
type Backend uint8

const (
	// BackendAuto is BackendNative where that can be opened, and BackendWater
	// otherwise.
	BackendAuto Backend = iota
	// BackendNative is Linux's own interface, with vnet headers (super-frames,
	// checksum offload) and several queues. It exists on Linux only.
	BackendNative
	// BackendWater is songgao/water: one queue, plain frames.
	BackendWater
)

// backendNames are the words of the --tap-backend option, by value.
var backendNames = [...]string{"auto", "native", "water"}

// String returns the name that ParseBackend accepts: auto, native or water.
func (b Backend) String() string {
	if int(b) < len(backendNames) {
		return backendNames[b]
	}
	return fmt.Sprintf("backend(%d)", uint8(b))
}

// ParseBackend reads the name of a backend: auto, native or water.
func ParseBackend(name string) (Backend, error) {
	for i, n := range backendNames {
		if name == n {
			return Backend(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no TAP backend: use %s", name, strings.Join(backendNames[:], ", "))
}

// Features is a set of what a device does for its owner beyond moving plain
// frames. Each needs those before it, but for FeatureUSO, which needs
// FeatureCsum only.
type Features uint8

const (
	// FeatureVnet is a vnet header at every frame (Frame.Offload). A device with
	// it accepts frames whose checksum is still to be computed.
	FeatureVnet Features = 1 << iota
	// FeatureCsum says that the device also delivers such frames.
	FeatureCsum
	// FeatureTSO says that the device delivers and accepts super-frames of TCP,
	// over IPv4 and IPv6, also those with the congestion mark (RFC 3168) on
	// them.
	FeatureTSO
	// FeatureUSO says that the device delivers and accepts super-frames of UDP,
	// over IPv4 and IPv6 (Linux 6.2).
	FeatureUSO
)

// allFeatures is the set of all of them.
const allFeatures = FeatureVnet | FeatureCsum | FeatureTSO | FeatureUSO

// featureNames are the words for the features, from the lowest bit up.
var featureNames = [...]string{"vnet", "csum", "tso", "uso"}

// Has reports whether all features of g are in f.
func (f Features) Has(g Features) bool { return f&g == g }

// String lists the features, "vnet,csum,tso,uso" or a part of it; "none" is the
// empty set.
func (f Features) String() string {
	var names []string
	for i, name := range featureNames {
		if f.Has(1 << i) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

// closed removes the features that lack one they build on.
func (f Features) closed() Features {
	if !f.Has(FeatureVnet) {
		return 0
	}
	if !f.Has(FeatureCsum) {
		return FeatureVnet
	}
	return f & allFeatures
}
