package turn

import (
	"net/netip"
	"time"
)

// Times of permissions (RFC 8656, section 9: they last 300 s) and of channels
// (section 12: 600 s, and a number must not name another peer for 300 s more).
const (
	permissionTime  = 300 * time.Second
	permissionRenew = 120 * time.Second
	channelTime     = 600 * time.Second
	channelRenew    = 240 * time.Second
	channelIdle     = 300 * time.Second // without traffic it is not renewed
	channelRest     = channelIdle + channelTime + 300*time.Second

	maxPermissions = 256
)

// peers is the state of one allocation at the server: the addresses that it
// permits, and the channels that it has bound. It has no clock and no lock;
// times come as arguments.
type peers struct {
	permissions map[netip.Addr]*permission
	channels    map[netip.AddrPort]*channel
	numbers     [maxChannels]*channel // by number - firstChannel
}

// permission is for one address, at every port.
type permission struct {
	granted, used time.Time
}

// channel is a channel to one peer, with 4 bytes of overhead. Before it is
// bound, and after the server has refused it, Send indications carry the data.
type channel struct {
	peer    netip.AddrPort
	number  uint16
	bound   time.Time // zero: never
	used    time.Time
	refused time.Time
}

func newPeers() peers {
	return peers{permissions: make(map[netip.Addr]*permission), channels: make(map[netip.AddrPort]*channel)}
}

// touch records that an address is in use, and says whether it is permitted.
func (p *peers) touch(now time.Time, a netip.Addr) bool {
	e := p.permissions[a]
	if e == nil || now.Sub(e.granted) >= permissionTime {
		return false
	}
	e.used = now
	return true
}

// permit notes that the server permits an address.
func (p *peers) permit(now time.Time, a netip.Addr) {
	e := p.permissions[a]
	if e == nil {
		if len(p.permissions) >= maxPermissions {
			p.forbid(p.oldest())
		}
		e = &permission{used: now}
		p.permissions[a] = e
	}
	e.granted = now
}

// forbid removes a permission on our side.
func (p *peers) forbid(a netip.Addr) { delete(p.permissions, a) }

// oldest returns the address that was used least recently.
func (p *peers) oldest() (a netip.Addr) {
	var used time.Time
	for b, e := range p.permissions {
		if !a.IsValid() || e.used.Before(used) {
			a, used = b, e.used
		}
	}
	return a
}

// duePermissions returns those to be renewed.
func (p *peers) duePermissions(now time.Time) (due []netip.Addr) {
	for a, e := range p.permissions {
		if now.Sub(e.granted) >= permissionRenew {
			due = append(due, a)
		}
	}
	return due
}

// framing returns the number of the channel to a peer, 0 if there is none yet;
// ok is false if the peer's address is not permitted. wanted asks for a call of
// dueChannel.
func (p *peers) framing(now time.Time, peer netip.AddrPort) (number uint16, wanted, ok bool) {
	if !p.touch(now, peer.Addr()) {
		return 0, false, false
	}
	ch := p.channels[peer]
	if ch == nil {
		if ch = p.newChannel(now, peer); ch == nil {
			return 0, false, true
		}
	}
	ch.used = now
	if ch.live(now) {
		return ch.number, ch.due(now), true
	}
	return 0, ch.due(now), true
}

// newChannel uses the lowest number that may be used again; nil if there is
// none.
func (p *peers) newChannel(now time.Time, peer netip.AddrPort) *channel {
	for i, old := range p.numbers {
		if old != nil {
			if !old.over(now) {
				continue
			}
			delete(p.channels, old.peer)
		}
		ch := &channel{peer: peer, number: firstChannel + uint16(i)}
		p.numbers[i], p.channels[peer] = ch, ch
		return ch
	}
	return nil
}

// ofChannel returns the peer that a number is bound to. The server may have
// bound it already while its answer is still under way.
func (p *peers) ofChannel(now time.Time, number uint16) (netip.AddrPort, bool) {
	ch := p.numbers[number-firstChannel]
	if ch == nil {
		return netip.AddrPort{}, false
	}
	ch.used = now
	if e := p.permissions[ch.peer.Addr()]; e != nil {
		e.used = now
	}
	return ch.peer, true
}

// dueChannel returns one that is to be bound, for the first time or again.
func (p *peers) dueChannel(now time.Time) (channel, bool) {
	for _, ch := range p.numbers {
		if ch != nil && ch.due(now) && now.Sub(ch.used) < channelIdle && p.permissions[ch.peer.Addr()] != nil {
			return *ch, true
		}
	}
	return channel{}, false
}

// bound records that the server has bound the channel to a peer. That permits
// the peer's address, too (RFC 8656, section 12.2).
func (p *peers) bound(now time.Time, peer netip.AddrPort) {
	if ch := p.channels[peer]; ch != nil {
		ch.bound, ch.refused = now, time.Time{}
	}
	if e := p.permissions[peer.Addr()]; e != nil {
		e.granted = now
	}
}

// refused notes that the server did not.
func (p *peers) refused(now time.Time, peer netip.AddrPort) {
	if ch := p.channels[peer]; ch != nil {
		ch.refused = now
	}
}

// live says whether the channel carries data. It counts as expired a little
// before the server lets it expire.
func (ch *channel) live(now time.Time) bool {
	return !ch.bound.IsZero() && now.Sub(ch.bound) < channelTime-keepEvery
}

// due says whether the channel is to be bound now.
func (ch *channel) due(now time.Time) bool {
	if !ch.refused.IsZero() && now.Sub(ch.refused) < refusedWait {
		return false
	}
	return ch.bound.IsZero() || now.Sub(ch.bound) >= channelRenew
}

// over says whether the number may name another peer. The last request for the
// channel, perhaps without an answer, was at most channelIdle after the last
// use.
func (ch *channel) over(now time.Time) bool { return now.Sub(ch.used) >= channelRest }
