package underlay

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// LAN sends to, and hears, whoever is on the same LAN. *lan.Conn is one.
type LAN interface {
	// Announce sends a packet by every interface and returns by how many.
	Announce(pkt []byte) (n int, err error)
	// Serve calls heard with what others announce, until ctx ends. heard keeps
	// nothing.
	Serve(ctx context.Context, heard func(from netip.AddrPort, pkt []byte)) error
}

// LANPackets makes and reads the packets that announcements travel in. Its methods
// are called by the control loop. It counts what it refuses, as only it knows why;
// its errors are for the log.
type LANPackets interface {
	// Seal returns the control message body as a packet that every member of the
	// community can open.
	Seal(now time.Time, body []byte) (pkt []byte, err error)
	// Check reports at little cost whether a packet seems to be of our community.
	// It may change the packet, which Open then gets.
	Check(pkt []byte) error
	// Open returns the control messages in a packet that Check let pass, and that
	// came from an address. They are borrowed until the next call.
	Open(now time.Time, from netip.AddrPort, pkt []byte) (body []byte, err error)
}

// Times of announcements (docs/NAT.md).
const (
	announceEvery = 30 * time.Second // +-20 %
	// answerSpan is within which a newcomer is answered, so that not all of a LAN
	// speak at once; answerPause is the least time between two announcements of
	// which the later one is an answer.
	answerSpan  = 500 * time.Millisecond
	answerPause = 2 * time.Second
)

// Announcements of others that are listened to a second: from one source, which
// sends one in two seconds at most, and from all that are members, each of which
// costs a signature. Only what a member has sealed takes from either: whoever is none
// may send packets that he has recorded, from any source, and has a limit of his own.
const (
	sourceRate, sourceBurst     = 5, 20
	memberRate, memberBurst     = 20, 100
	strangerRate, strangerBurst = 1000, 2000
	sourceBuckets               = 256
)

// LANDiscovery announces us to members on the same LAN, and hears them.
type LANDiscovery struct {
	cfg       *Config
	addresses *Addresses
	statement []byte
	announced time.Time   // the last time
	next      timer.Timer // stopped: never
	sources   *bucket.Sources
	members   bucket.Bucket
	strangers bucket.Bucket // packets that did not open
}

func newLANDiscovery(cfg *Config, a *Addresses) *LANDiscovery {
	l := &LANDiscovery{cfg: cfg, addresses: a, sources: bucket.NewSources(sourceBuckets)}
	l.next = timer.New(cfg.Timers, "lan: announce", l.announce)
	return l
}

// start begins to announce and to listen.
func (l *LANDiscovery) start(now time.Time, statement []byte) {
	lan := l.cfg.Network.LAN
	if lan == nil {
		return
	}
	l.statement = statement
	l.next.Set(now)
	l.cfg.Loop.Go(func(ctx context.Context) {
		err := lan.Serve(ctx, func(from netip.AddrPort, pkt []byte) {
			if len(pkt) > protocol.MaxDatagram {
				l.cfg.refuse(RefusedAnnouncementLong, from, nil)
				return
			}
			pkt = bytes.Clone(pkt)
			l.cfg.Loop.Do(func(now time.Time) { l.heard(now, from, pkt) })
		})
		if err != nil && ctx.Err() == nil {
			l.cfg.Log.Warn("members on the same LAN will be found by the supernode only", "err", err)
		}
	})
}

// announceBy has us announced at a time at the latest, if we are announced at all.
func (l *LANDiscovery) announceBy(at time.Time) {
	if l.next.IsSet() {
		l.next.NotAfter(at)
	}
}

// answer announces us soon: somebody new is on the LAN.
func (l *LANDiscovery) answer(now time.Time) {
	soon := now.Add(l.cfg.Jitter(answerSpan))
	if least := l.announced.Add(answerPause); soon.Before(least) {
		soon = least
	}
	l.announceBy(soon)
}

// announce tells the LAN who we are and which port we have.
func (l *LANDiscovery) announce(now time.Time) {
	l.announced = now
	l.next.Set(now.Add(announceEvery*4/5 + l.cfg.Jitter(announceEvery*2/5)))
	m := protocol.Announce{Statement: l.statement, Port: l.cfg.Own.Port}
	pkt, err := l.cfg.Network.Packets.Seal(now, m.Append(nil))
	if err != nil {
		l.cfg.Log.Debug("could not seal an announcement", "err", err)
		return
	}
	l.cfg.Loop.Go(func(context.Context) {
		if _, err := l.cfg.Network.LAN.Announce(pkt); err != nil {
			l.cfg.Log.Debug("could not announce on the LAN", "err", err)
		}
	})
}

// heard reads what somebody on the same LAN announced. It is a member, or it would
// not open; who it is, its own signature says, which the observer verifies.
func (l *LANDiscovery) heard(now time.Time, from netip.AddrPort, pkt []byte) {
	packets := l.cfg.Network.Packets
	if err := packets.Check(pkt); err != nil {
		l.cfg.debugFrom("an announcement is not of our community", from, err)
		return
	}
	source := sourceKey(from.Addr())
	switch {
	case !l.sources.Has(now, source, sourceRate, sourceBurst):
		l.cfg.refuse(RefusedAnnouncementSource, from, nil)
		return
	case !l.strangers.Has(now, 1, strangerRate, strangerBurst):
		l.cfg.refuse(RefusedAnnouncementStranger, from, nil)
		return
	}
	body, err := packets.Open(now, from, pkt)
	if err != nil { // our own comes back, and every copy but the first
		l.strangers.Take(now, 1, strangerRate, strangerBurst)
		l.cfg.debugFrom("an announcement was not opened", from, err)
		return
	}
	l.sources.Take(now, source, sourceRate, sourceBurst)
	m, err := parseAnnounce(body)
	if err != nil {
		l.cfg.refuse(RefusedAnnouncementForm, from, err)
		return
	}
	at := netip.AddrPortFrom(from.Addr(), m.Port)
	if !l.addresses.policy.Probeable(at) {
		l.cfg.refuse(RefusedAnnouncementAddress, at, nil)
		return
	}
	if !l.members.Take(now, 1, memberRate, memberBurst) {
		l.cfg.refuse(RefusedAnnouncementRate, from, nil)
		return
	}
	if l.cfg.Observer.MetOnLAN(now, m.Statement, at) {
		l.answer(now)
	}
}

// parseAnnounce reads the ANNOUNCE that a body begins with.
func parseAnnounce(body []byte) (protocol.Announce, error) {
	typ, value, _, err := protocol.NextTLV(body)
	if err != nil {
		return protocol.Announce{}, err
	}
	if protocol.MsgType(typ) != protocol.MsgAnnounce {
		return protocol.Announce{}, fmt.Errorf("message type %d is no ANNOUNCE", typ)
	}
	return protocol.ParseAnnounce(value)
}

// sourceKey returns the address that a source's bucket is chosen by. Buckets are
// those of a /64, but all link-local addresses are of one (RFC 4291, section
// 2.5.6): there the interface identifier tells hosts apart.
func sourceKey(a netip.Addr) netip.Addr {
	if a.Is4() || !a.IsLinkLocalUnicast() {
		return a
	}
	b := a.As16()
	copy(b[:8], b[8:])
	return netip.AddrFrom16(b)
}
