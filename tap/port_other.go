//go:build !linux

package tap

import (
	"context"
	"runtime"
)

// MTU refuses: bridges of this system are not known.
func (p Port) MTU(_, _ int) (int, error) {
	if err := p.validate(); err != nil {
		return 0, err
	}
	return 0, refusal("--bridge is not there on %s: an edge joins bridges of Linux only. Run the edge in front of your LAN on Linux, for instance on the router.", runtime.GOOS)
}

// Watch does nothing here: nothing tells of changes that others make.
func (d *Device) Watch(context.Context, Watching) {}
