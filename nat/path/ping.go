package path

import (
	"encoding/binary"
	"time"
)

const (
	pingLife = 5 * time.Second // after which a PONG is too late to count
	maxPings = 256             // outstanding at once; the oldest goes first
)

// ping is one that was sent and not yet answered.
type ping struct {
	nonce  [8]byte
	remote *remote
	sent   time.Time
	size   int  // bytes of its IP packet when it was padded, else 0
	beat   bool // a heartbeat, whose loss counts
	missed bool // it was counted as lost
}

// pings are the outstanding ones, oldest first. A nonce counts once.
type pings []ping

func (l *pings) add(p ping) {
	l.expire(p.sent)
	if len(*l) == maxPings {
		*l = append((*l)[:0], (*l)[1:]...)
	}
	*l = append(*l, p)
}

func (l *pings) expire(now time.Time) {
	dead := 0
	for dead < len(*l) && now.Sub((*l)[dead].sent) >= pingLife {
		dead++
	}
	if dead > 0 {
		*l = append((*l)[:0], (*l)[dead:]...)
	}
}

// take removes the ping with the nonce and returns it, if it is outstanding and
// went to the address that from answers for.
func (l *pings) take(now time.Time, nonce [8]byte, r *remote) (ping, bool) {
	l.expire(now)
	for i, p := range *l {
		if p.nonce == nonce {
			if p.remote != r {
				return ping{}, false
			}
			*l = append((*l)[:i], (*l)[i+1:]...)
			return p, true
		}
	}
	return ping{}, false
}

// emit is send for a PING that is no heartbeat.
func (p *Machine) emit(now time.Time, r *remote, mtu int, ttl uint8) {
	p.send(now, ping{remote: r, size: mtu}, ttl)
}

// send adds a PING to the output. An address that has not answered within the
// last verifiedLife costs budget, and gets nothing when that is used up.
func (p *Machine) send(now time.Time, one ping, ttl uint8) {
	r, mtu := one.remote, one.size
	if !p.policy.Reachable(r.addr) {
		return
	}
	overhead := ipOverhead(r.addr)
	pad := max(0, mtu-overhead-pingLen)
	if r.ponged.IsZero() || now.Sub(r.ponged) >= verifiedLife {
		claimed := r.ponged.IsZero() && r.addr.Addr() != p.special.seen.addr.Addr()
		if !p.budget.Allow(now, r.addr.Addr(), overhead+pingLen+pad, claimed) {
			return
		}
	}
	probe := Probe{To: r.addr, Gen: p.gen, Path: r.id, Pad: pad, TTL: ttl}
	binary.BigEndian.PutUint64(probe.Nonce[:], p.random.Uint64())
	one.nonce, one.sent = probe.Nonce, now
	p.pings.add(one)
	p.probes = append(p.probes, probe)
}
