package path

import (
	"fmt"
	"time"

	"hedgerow/nat/address"
)

// Why says in words why traffic does not go directly, empty when it does: what
// stands between, and when it is tried again.
func (p *Machine) Why(now time.Time) string {
	a := &p.attempt
	switch {
	case p.direct != nil:
		return ""
	case p.verify.remote != nil:
		return "an address answers, its way is being measured"
	case a.running():
		return "trying direct"
	case !p.wanted(now):
		return "no traffic, so nothing is tried"
	}
	text := p.obstacle(now)
	if !a.retry.IsZero() {
		text += fmt.Sprintf("; next try in %v", max(a.retry.Sub(now), 0).Round(time.Second))
	}
	return text
}

// obstacle names the most likely reason of the last failure.
func (p *Machine) obstacle(now time.Time) string {
	s := &p.special
	listed, small := 0, false
	for _, r := range p.remotes {
		if r.listed {
			listed++
		}
		small = small || !r.failed.IsZero() && now.Sub(r.failed) < time.Minute
	}
	switch {
	case small:
		return "small packets pass, large ones get lost on the way"
	case listed == 0:
		return "the peer names no address that may be tried"
	case s.told && s.mine != address.PortsStable && s.theirs != address.PortsStable:
		return "both NATs give every destination another port"
	case s.told && s.theirs != address.PortsStable:
		return "the peer's NAT gives every destination another port (" + s.theirs.String() + ")"
	case s.told && s.mine != address.PortsStable:
		return "our NAT gives every destination another port (" + s.mine.String() + ")"
	}
	return fmt.Sprintf("none of the peer's %d addresses answers: a firewall on either side, or UDP is blocked", listed)
}
