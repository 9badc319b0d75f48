package bridge

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"hedgerow/protocol"
)

// Hosts report their memberships when they are asked, and forget nothing else would.
// Where a multicast router asks, its queries pass the overlay as all control frames do.
// Where none does each edge asks the hosts behind it alone, as the edges of batman-adv
// meshes do. It takes no part in the election of a querier: in IPv4 its query has the
// source 0.0.0.0 (RFC 4541, section 2.1.1 (4)), and it is silent while others ask.

// Times of asking.
const (
	queryInterval = int64(125 * time.Second) // RFC 3376, section 8.2
	queryWait     = int64(130 * time.Second) // for somebody else to ask
	queryResponse = 10 * time.Second         // RFC 3376, section 8.3
	querySoon     = int64(10 * time.Second)  // between two when something has changed
	quickResponse = 2 * time.Second          // for these
	quickQueries  = 2                        // of these (RFC 3376, section 8.7)
	slowResponse  = int64(26 * time.Second)  // in longer than that we do not wait for answers

	// quietFor is how long after a querier was heard last there is none (RFC 3376,
	// section 8.5).
	quietFor = int64(255 * time.Second)

	leftQueries  = 2 // RFC 3376, section 8.8, and the time between them
	leftInterval = int64(time.Second)
	mostLeaving  = 64
)

// vlan is what is known of asking in a VLAN.
type vlan struct {
	settles atomic.Int64           // from when on all edges have asked in it
	spoken  atomic.Int64           // when a report was heard, or a query
	asked   [families]atomic.Int64 // when hosts were last asked, by whomever
	querier [families]atomic.Int64 // until when somebody is known who asks for those who are left

	own   int64 // when we asked last; the control loop's, as is quick
	quick int   // how often we still ask soon
}

// leaving is a group that a host of ours has left.
type leaving struct {
	next int64
	left int // questions
}

// spoken notes that somebody reports in a VLAN, so that it is snooped.
func (g *Groups[E]) spoken(now int64, id uint16) *vlan {
	g.mu.RLock()
	v := g.vlans[id]
	g.mu.RUnlock()
	if v == nil {
		if v = g.addVLAN(now, id); v == nil {
			return nil
		}
	}
	v.spoken.Store(now)
	return v
}

// addVLAN has a VLAN be snooped from now on, nil at the bound.
func (g *Groups[E]) addVLAN(now int64, id uint16) *vlan {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.vlans[id]; v != nil || len(g.vlans) >= snoopedVLANs {
		return v
	}
	v := &vlan{quick: quickQueries, own: now - querySoon}
	v.settles.Store(now + int64(SettleTime))
	g.vlans[id] = v
	g.wake.Store(true)
	return v
}

// asked notes a query that our hosts hear as well.
func (g *Groups[E]) asked(now int64, id uint16, f Family, q message) {
	v := g.spoken(now, id)
	if v == nil || q.respond > slowResponse {
		return
	}
	if q.subject == (Group{}) {
		v.asked[f].Store(max(now, 1))
		v.querier[f].Store(now + quietFor)
	} else if !q.lingering {
		g.askedFor(now, q.subject)
	}
}

// askLeft has those asked who are left in a group behind us. With too many groups at once
// all are asked for all.
func (g *Groups[E]) askLeft(now int64, group Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch v := g.vlans[group.VLAN]; {
	case len(g.leaving) < mostLeaving:
		g.leaving[group] = leaving{next: now, left: leftQueries}
	case v.quick == 0:
		v.quick = 1
	}
	g.wake.Store(true)
}

// Ask has our hosts asked soon: an edge that knows nothing of them was met, or others are
// behind us now.
func (g *Groups[E]) Ask() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range g.vlans {
		v.quick = quickQueries
	}
	g.wake.Store(true)
}

// Woken reports whether Due is worth a call before the time that it returned last, once.
func (g *Groups[E]) Woken() bool { return g != nil && g.wake.Load() && g.wake.Swap(false) }

// Wake has Woken report true once more.
func (g *Groups[E]) Wake() { g.wake.Store(true) }

// A Query asks hosts in a VLAN for their memberships: in a group, or in all.
type Query struct {
	Group   // IP is zero for all groups
	Family  Family
	Respond time.Duration // within which hosts answer
}

// Due returns the queries that are to be sent to our own side now, and when there may be
// some again.
func (g *Groups[E]) Due(now int64) (list []Query, next int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	next = now + queryInterval
	for id, v := range g.vlans {
		respond := queryResponse
		quick := v.quick > 0 && now-v.own >= querySoon
		if quick {
			v.quick--
			v.own, respond = now, quickResponse
		}
		if v.quick > 0 {
			next = min(next, v.own+querySoon)
		}
		for f := range families {
			if at := v.asked[f].Load(); quick || at == 0 || now-at >= queryWait {
				v.asked[f].Store(max(now, 1))
				list = append(list, Query{Group: Group{VLAN: id}, Family: f, Respond: respond})
			}
			next = min(next, v.asked[f].Load()+queryWait)
		}
	}
	for group, l := range g.leaving {
		if now >= l.next {
			l.left, l.next = l.left-1, now+leftInterval
			list = append(list, Query{Group: group, Family: group.Family(), Respond: time.Duration(leftInterval)})
		}
		if g.leaving[group] = l; l.left == 0 {
			delete(g.leaving, group)
		} else {
			next = min(next, l.next)
		}
	}
	if g.others.Load() > mostAsked {
		list = nil
	}
	return list, next
}

// robustness is how often hosts say a change (RFC 3376, section 8.1).
const robustness = 2

// Append appends the frame of a query, with a source other than the device's own address,
// which the kernel's bridge complains about. Hosts of older versions take it, too: it is
// longer than theirs and otherwise the same.
func (q Query) Append(dst []byte, source protocol.MAC) []byte {
	at := len(dst)
	if q.Family == IPv4 {
		igmp := make([]byte, igmpV3QueryLen)
		igmp[0], igmp[1] = igmpQuery, byte(q.Respond/(100*time.Millisecond))
		copy(igmp[4:8], q.IP[12:])
		igmp[8], igmp[9] = robustness, byte(queryInterval/int64(time.Second))
		to := q.to(group4(q.VLAN, [4]byte{224, 0, 0, allHosts}))
		return pad(appendIGMP(dst, to, source, igmp), at)
	}
	mld := make([]byte, mldV2QueryLen)
	mld[0] = mldQuery
	binary.BigEndian.PutUint16(mld[4:], uint16(q.Respond/time.Millisecond))
	copy(mld[8:], q.IP[:])
	mld[24], mld[25] = robustness, byte(queryInterval/int64(time.Second))
	return appendMLD(dst, q.to(Group{VLAN: q.VLAN, IP: link6(allHosts)}), source, mld)
}

// to returns where the query goes, all being for one about all groups.
func (q Query) to(all Group) Group {
	if q.IP == ([16]byte{}) {
		return all
	}
	return q.Group
}

// link6 returns a well-known group of the link, ff02::x.
func link6(last byte) [16]byte { return [16]byte{0: 0xff, 1: 2, 15: last} }

// AppendRouter appends the frame that tells the switches behind us that the frames of all
// groups, and all reports, go to us, where they are needed for the other edges: the
// advertisement of a multicast router (RFC 4286). A query from 0.0.0.0 does not say so.
func (q Query) AppendRouter(dst []byte, source protocol.MAC) []byte {
	at := len(dst)
	const interval = 20 // seconds, which nobody looks at
	if q.Family == IPv4 {
		b := []byte{igmpRouter, interval, 0, 0, 0, byte(queryInterval / int64(time.Second)), 0, robustness}
		return pad(appendIGMP(dst, group4(q.VLAN, [4]byte{224, 0, 0, allSnoopers}), source, b), at)
	}
	b := []byte{mldRouter, interval, 0, 0, 0, byte(queryInterval / int64(time.Second)), 0, robustness}
	return appendMLD(dst, Group{VLAN: q.VLAN, IP: link6(allSnoopers)}, source, b)
}

// appendIGMP appends a message in a packet with the router alert option (RFC 2113), from
// 0.0.0.0.
func appendIGMP(dst []byte, to Group, source protocol.MAC, igmp []byte) []byte {
	binary.BigEndian.PutUint16(igmp[2:], ^fold(sum(igmp, 0)))
	p := []byte{
		0x46, 0xc0, 0, byte(24 + len(igmp)), 0, 0, 0x40, 0, 1, protoIGMP, 0, 0, 0, 0, 0, 0,
		to.IP[12], to.IP[13], to.IP[14], to.IP[15], 148, 4, 0, 0,
	}
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p, 0)))
	mac := protocol.MAC{1, 0, 0x5e, to.IP[13] & 0x7f, to.IP[14], to.IP[15]}
	dst = appendHeader(dst, mac, source, to.VLAN, protocol.EtherTypeIPv4)
	return append(append(dst, p...), igmp...)
}

// appendMLD appends a message in a packet with the router alert option (RFC 2711), from
// the link-local address that belongs to the source.
func appendMLD(dst []byte, to Group, source protocol.MAC, mld []byte) []byte {
	p := make([]byte, ipv6Len, ipv6Len+8+len(mld))
	p[0], p[5], p[6], p[7] = 0x60, byte(8+len(mld)), extHopByHop, 1
	copy(p[8:], linkLocal(source))
	copy(p[24:], to.IP[:])
	binary.BigEndian.PutUint16(mld[2:], ^fold(sum(mld, sum(p[8:], uint32(len(mld))+protoICMPv6))))
	p = append(append(p, protoICMPv6, 0, 5, 2, 0, 0, 1, 0), mld...)
	dst = appendHeader(dst, protocol.MAC{0x33, 0x33, to.IP[12], to.IP[13], to.IP[14], to.IP[15]}, source, to.VLAN, protocol.EtherTypeIPv6)
	return append(dst, p...)
}
