package path

import (
	"time"

	"hedgerow/nat/pmtu"
)

// verification sends pings as large as data over an address that answers small
// ones. Small packets often pass where large ones die silently; a path like
// that would connect and then carry nothing. What more the path carries is found
// by its Discovery, once it is in use.
type verification struct {
	remote *remote // nil: none runs
	round  int
	next   time.Time
	best   int // bytes of the largest IP packet that came back
}

// verifyRounds is how often sizes are tried: the full one alone, then twice all
// of them.
const verifyRounds = 3

// verifyFrom begins to verify r, unless another address is at it.
func (p *Machine) verifyFrom(now time.Time, r *remote) {
	if p.verify.remote == nil {
		p.verify = verification{remote: r, next: now}
	}
}

// wantMTU returns the bytes of an IP packet to r that carries the wanted payload.
// No link that matters carries more than Ethernet does.
func (p *Machine) wantMTU(r *remote) int {
	return min(p.policy.WantedPayload()+ipOverhead(r.addr), pmtu.Ethernet)
}

func (p *Machine) pollVerify(now time.Time) {
	v := &p.verify
	if v.remote == nil || now.Before(v.next) {
		return
	}
	r, full := v.remote, p.wantMTU(v.remote)
	if v.round > 1 && v.best > 0 {
		p.declare(now, r, v.best)
		return
	}
	if v.round == verifyRounds {
		r.failed = now
		p.verify = verification{}
		return
	}
	for size := range pmtu.Sizes(full) {
		p.emit(now, r, size, 0)
		if v.round == 0 {
			break
		}
	}
	v.round++
	v.next = now.Add(r.rtt.timeout())
}

// verified takes the answer of r to a padded ping.
func (p *Machine) verified(now time.Time, r *remote, mtu int) {
	if p.verify.remote != r || mtu == 0 {
		return
	}
	p.verify.best = max(p.verify.best, mtu)
	if p.verify.best >= p.wantMTU(r) {
		p.declare(now, r, p.verify.best)
	}
}
