//go:build !linux && !windows && !darwin

package tap

import (
	"fmt"
	"net/netip"
	"runtime"

	"github.com/songgao/water"
)

const (
	maxName         = MaxName
	forbiddenInName = "/:% \t"
)

// openWater fails: water does not support the TAP devices of this system, although it
// has them. So there is never a Device, and nothing calls the rest of this file.
func openWater(cfg Config) (*water.Interface, error) {
	return nil, &OpenError{Sentence: fmt.Sprintf("cannot open %s: TAP devices of %s are not supported yet. A supernode runs here; run the edge on Linux, for instance on the router.", cfg.Name, runtime.GOOS)}
}

func (d *Device) setUp() error { return ErrClosed }

func addressCommand(string, netip.Prefix, bool) []string { return nil }
