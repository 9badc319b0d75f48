package path

import (
	"fmt"
	"time"

	"hedgerow/nat/address"
)

// Why says in words why traffic does not go directly, and when that is tried again;
// it is empty when traffic does.
func (p *Machine) Why(now time.Time) string {
	a := &p.attempt
	switch {
	case p.selection.exists():
		return ""
	case p.nomination.runs():
		return "an address answers; whether it carries data is being measured"
	case a.running():
		return "trying direct"
	case !p.usage.wanted(now):
		return "no traffic, so nothing is tried"
	}
	text := obstacle(now, p.remotes.list, p.prober.policy, &p.hardNAT)
	if !a.retry.IsZero() {
		text += fmt.Sprintf("; next try in %v", max(a.retry.Sub(now), 0).Round(time.Second))
	}
	return text
}

// WithRefusals adds refusals so far to a text, if there are any.
func WithRefusals(text string, l Refusals) string {
	if refused := l.String(); refused != "" {
		text += "; refused so far: " + refused
	}
	return text
}

// Why a peer whose addresses are all of one IP version is not reached directly.
const (
	NoIPv4 = "the peer has IPv4 addresses alone, and this host has no IPv4, its network no NAT64"
	NoIPv6 = "the peer has IPv6 addresses alone, and this host has no IPv6"
)

// obstacle names the most likely reason of the last failure.
func obstacle(now time.Time, list []*remote, policy *address.Policy, h *hardNAT) string {
	listed, small := 0, false
	for _, r := range list {
		if r.listed {
			listed++
		}
		small = small || !r.failed.IsZero() && now.Sub(r.failed) < time.Minute
	}
	switch {
	case small:
		return "small packets pass, large ones get lost on the path"
	case listed == 0:
		return "the peer names no address that may be tried"
	case ofMissing(list, policy) && policy.Missing == 4:
		return NoIPv4
	case ofMissing(list, policy):
		return NoIPv6
	case h.told && h.ours != address.PortsStable && h.theirs != address.PortsStable:
		return "both NATs give every destination another port"
	case h.told && h.theirs != address.PortsStable:
		return "the peer's NAT gives every destination another port (" + h.theirs.String() + ")"
	case h.told && h.ours != address.PortsStable:
		return "our NAT gives every destination another port (" + h.ours.String() + ")"
	}
	return fmt.Sprintf("none of the peer's %d addresses answers: a firewall on either side, or UDP is blocked", listed)
}
