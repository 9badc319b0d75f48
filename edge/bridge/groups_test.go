package bridge

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"hedgerow/protocol"
)

// view parses a valid frame.
func view(b protocol.Frame) *Parsed {
	f := new(Parsed)
	if !f.Parse(b) {
		panic("not valid")
	}
	return f
}

// hear has a frame come from an edge, and say one from our own side.
func hear(g *Groups[*listening], now int64, b protocol.Frame, from *listening) bool {
	return g.Received(now, view(b), from, true)
}

func say(g *Groups[*listening], now int64, b protocol.Frame) (Members[*listening], Family, bool) {
	return g.Sent(now, view(b))
}

// listening is an edge with members behind it.
type listening struct {
	name     string
	retired  bool
	listener Listener
}

func (l *listening) Retired() bool       { return l.retired }
func (l *listening) Listener() *Listener { return &l.listener }
func (l *listening) String() string      { return l.name }

var (
	hostMAC = protocol.MAC{0x52, 0x54, 0, 0, 0, 9}
	video   = [4]byte{239, 1, 2, 3}
	video6  = [16]byte{0: 0xff, 1: 0x0e, 15: 9}
)

// groupFrame makes the frame of an IPv4 packet to a group, without options.
func groupFrame(vlan uint16, src, dst [4]byte, proto byte, body []byte) protocol.Frame {
	p := append(make([]byte, 20), body...)
	p[0], p[8], p[9] = 0x45, 1, proto
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p[:20], 0)))
	return append(appendHeader(nil, protocol.MAC{1, 0, 0x5e, dst[1] & 0x7f, dst[2], dst[3]}, hostMAC, vlan, protocol.EtherTypeIPv4), p...)
}

// igmp makes the frame of an IGMP message with its checksum.
func igmp(src, dst [4]byte, b []byte) protocol.Frame {
	b = bytes.Clone(b)
	binary.BigEndian.PutUint16(b[2:], ^fold(sum(b, 0)))
	return groupFrame(0, src, dst, protoIGMP, b)
}

// mld makes the frame of an MLD message with its checksum and a router alert.
func mld(dst [16]byte, b []byte) protocol.Frame {
	return appendMLD(nil, Group{IP: dst}, hostMAC, bytes.Clone(b))
}

// group8 makes a message with one group.
func group8(typ, code byte, g [4]byte) []byte { return append([]byte{typ, code, 0, 0}, g[:]...) }

func group24(typ byte, ms uint16, g [16]byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{typ, 0, 0, 0}, ms), append([]byte{0, 0}, g[:]...)...)
}

// record4 makes a report of IGMPv3 with one record of some sources.
func record4(typ byte, g [4]byte, sources int) []byte {
	b := append([]byte{igmpReportV3, 0, 0, 0, 0, 0, 0, 1, typ, 0, 0, byte(sources)}, g[:]...)
	return append(b, make([]byte, 4*sources)...)
}

func record6(typ byte, g [16]byte, sources int) []byte {
	b := append([]byte{mldReportV2, 0, 0, 0, 0, 0, 0, 1, typ, 0, 0, byte(sources)}, g[:]...)
	return append(b, make([]byte, 16*sources)...)
}

func v3query(code byte, g [4]byte, flags byte, sources int) []byte {
	b := append(group8(igmpQuery, code, g), flags, 125, 0, byte(sources))
	return append(b, make([]byte, 4*sources)...)
}

func v2query6(ms uint16, g [16]byte, flags byte, sources int) []byte {
	b := append(group24(mldQuery, ms, g), flags, 125, 0, byte(sources))
	return append(b, make([]byte, 16*sources)...)
}

// TestMessages reads each kind of message, and each way in which one is none.
func TestMessages(t *testing.T) {
	host, router, none := [4]byte{10, 0, 0, 9}, [4]byte{10, 0, 0, 1}, [4]byte{}
	all, all6 := [4]byte{224, 0, 0, 1}, link6(allHosts)
	v := group4(0, video)
	v6 := Group{IP: video6}
	spoiled := igmp(host, video, group8(igmpReportV2, 0, video))
	spoiled[len(spoiled)-1]++
	header := igmp(host, video, group8(igmpReportV2, 0, video))
	header[protocol.EthernetLen+8]++
	fragment := igmp(host, video, group8(igmpReportV2, 0, video))
	fragment[protocol.EthernetLen+6] |= 0x20
	far := mld(video6, group24(mldReportV1, 0, video6))
	far[protocol.EthernetLen+7] = 64
	calm := mld(all6, group24(mldQuery, 1000, [16]byte{}))
	calm[protocol.EthernetLen+ipv6Len+2] = 1 // PadN
	for name, c := range map[string]struct {
		frame protocol.Frame
		want  message
	}{
		"IGMPv1 report (RFC 1112, appendix I)":                 {igmp(host, video, group8(igmpReportV1, 0, video)), message{kind: joined, subject: v}},
		"IGMPv2 report (RFC 2236, 2)":                          {igmp(host, video, group8(igmpReportV2, 0, video)), message{kind: joined, subject: v}},
		"a report to another group":                            {igmp(host, [4]byte{239, 1, 2, 4}, group8(igmpReportV2, 0, video)), message{}},
		"IGMPv2 leave":                                         {igmp(host, [4]byte{224, 0, 0, 2}, group8(igmpLeave, 0, video)), message{kind: left, subject: v}},
		"IGMPv2 leave of no group":                             {igmp(host, [4]byte{224, 0, 0, 2}, group8(igmpLeave, 0, host)), message{}},
		"IGMPv1 query":                                         {igmp(router, all, group8(igmpQuery, 0, none)), message{kind: asks, respond: 10e9}},
		"IGMPv2 query":                                         {igmp(router, all, group8(igmpQuery, 100, none)), message{kind: asks, respond: 10e9}},
		"IGMPv2 query for a group":                             {igmp(router, video, group8(igmpQuery, 10, video)), message{kind: asks, respond: 1e9, subject: v}},
		"a query that hosts do not take (RFC 3376, 4.1.12)":    {igmp(router, [4]byte{224, 0, 0, 5}, group8(igmpQuery, 10, none)), message{}},
		"a query for a group, to all":                          {igmp(router, all, group8(igmpQuery, 10, video)), message{}},
		"IGMPv3 query":                                         {igmp(router, all, v3query(100, none, 2, 0)), message{kind: asks, respond: 10e9}},
		"IGMPv3 query with a long time (RFC 3376, 4.1.1)":      {igmp(router, all, v3query(0x8f, none, 2, 0)), message{kind: asks, respond: (31 << 3) * 1e8}},
		"IGMPv3 query, not to be acted upon (RFC 3376, 6.6.1)": {igmp(router, video, v3query(10, video, 8, 0)), message{kind: asks, respond: 1e9, subject: v, lingering: true}},
		"IGMPv3 query for sources":                             {igmp(router, video, v3query(10, video, 0, 2)), message{kind: asks, respond: 1e9, subject: v, lingering: true}},
		"a query of a switch (RFC 4541, 2.1.1)":                {igmp(none, all, v3query(100, none, 2, 0)), message{kind: asks, respond: 10e9, nameless: true}},
		"a router's advertisement (RFC 4286)":                  {igmp(router, [4]byte{224, 0, 0, 106}, group8(igmpRouter, 20, none)), message{kind: routes}},
		"the same to others":                                   {igmp(router, all, group8(igmpRouter, 20, none)), message{}},
		"DVMRP":                                                {igmp(router, [4]byte{224, 0, 0, 4}, group8(igmpDVMRP, 1, none)), message{kind: routes}},
		"PIM (RFC 7761)":                                       {groupFrame(0, router, [4]byte{224, 0, 0, 13}, protoPIM, []byte{0x20, 0, 0, 0, 0, 1, 0, 2, 0, 105}), message{kind: routes}},
		"PIM of version 1":                                     {groupFrame(0, router, [4]byte{224, 0, 0, 13}, protoPIM, []byte{0x10, 0, 0, 0, 0, 1, 0, 2, 0, 105}), message{}},
		"OSPF":                                                 {groupFrame(0, router, [4]byte{224, 0, 0, 5}, 89, make([]byte, 44)), message{}},
		"a wrong checksum (RFC 4541, 2.1.2 (6))":               {spoiled, message{}},
		"a wrong checksum of the header":                       {header, message{}},
		"a fragment":                                           {fragment, message{}},
		"MLDv1 report (RFC 2710, 3)":                           {mld(video6, group24(mldReportV1, 0, video6)), message{kind: joined, subject: v6}},
		"MLDv1 done":                                           {mld(link6(2), group24(mldDone, 0, video6)), message{kind: left, subject: v6}},
		"MLDv1 query":                                          {mld(all6, group24(mldQuery, 1000, [16]byte{})), message{kind: asks, respond: 1e9}},
		"MLDv2 query":                                          {mld(all6, v2query6(10000, [16]byte{}, 2, 0)), message{kind: asks, respond: 10e9}},
		"MLDv2 query with a long time (RFC 3810, 5.1.3)":       {mld(all6, v2query6(0x8001, [16]byte{}, 2, 0)), message{kind: asks, respond: (0x1001 << 3) * 1e6}},
		"MLDv2 query for a group":                              {mld(video6, v2query6(1000, video6, 2, 0)), message{kind: asks, respond: 1e9, subject: v6}},
		"MLD from beyond the link (RFC 3810, 6.2)":             {far, message{}},
		"MLD without a router alert":                           {calm, message{}},
		"IGMPv3 query of sources for all":                      {igmp(router, all, v3query(10, none, 0, 2)), message{}},
		"a query of neither length":                            {igmp(router, all, v3query(10, none, 0, 0)[:10]), message{}},
		"MLDv2 query of sources for all":                       {mld(all6, v2query6(1000, [16]byte{}, 0, 1)), message{}},
		"MLD of neither length":                                {mld(all6, v2query6(1000, [16]byte{}, 0, 0)[:26]), message{}},
		"a router's advertisement of IPv6":                     {mld(link6(allSnoopers), group24(mldRouter, 0, [16]byte{})[:8]), message{kind: routes}},
		"neighbour discovery":                                  {mld(link6(1), make([]byte, 24)), message{}},
	} {
		t.Run(name, func(t *testing.T) {
			m, ok := multicastOf(view(c.frame))
			if !ok {
				t.Fatal("no multicast")
			}
			got := message{}
			if m.speaks() {
				got = m.read()
			}
			if got.kind != c.want.kind || got.subject != c.want.subject || got.respond != c.want.respond ||
				got.nameless != c.want.nameless || got.lingering != c.want.lingering {
				t.Errorf("read %+v, want %+v", got, c.want)
			}
			if c.want.kind != silent && c.want.kind != routes && view(c.frame).Class() != Control {
				t.Error("its class is not Control")
			}
		})
	}
}

// TestRecords reads each type of record (RFC 3376, section 4.2.12; RFC 3810, section
// 5.2.12): a group is joined unless nothing of it is wanted.
func TestRecords(t *testing.T) {
	type result struct{ in, out bool }
	for _, c := range []struct {
		typ     byte
		sources int
		want    result
	}{
		{recordIsInclude, 1, result{in: true}}, {recordIsInclude, 0, result{}},
		{recordIsExclude, 0, result{in: true}}, {recordIsExclude, 2, result{in: true}},
		{recordToInclude, 1, result{in: true}}, {recordToInclude, 0, result{out: true}},
		{recordToExclude, 0, result{in: true}}, {recordAllow, 1, result{in: true}},
		{6, 1, result{}}, {7, 1, result{}},
	} {
		for f, frame := range []protocol.Frame{
			igmp([4]byte{}, [4]byte{224, 0, 0, 22}, record4(c.typ, video, c.sources)), mld(link6(22), record6(c.typ, video6, c.sources)),
		} {
			m, _ := multicastOf(view(frame))
			s := m.read()
			g, in, out, ok := s.nextRecord(0, Family(f))
			if !ok || (result{in, out}) != c.want || g != [families]Group{group4(0, video), {IP: video6}}[f] {
				t.Errorf("type %d with %d sources of family %d: %v in=%v out=%v ok=%v", c.typ, c.sources, f, g, in, out, ok)
			}
			if _, _, _, more := s.nextRecord(0, Family(f)); more {
				t.Error("a record more than there are")
			}
		}
	}
}

// TestWhatIsSnooped holds which frames go to everybody: RFC 4541, sections 2.1.2 and 3.
func TestWhatIsSnooped(t *testing.T) {
	udp := make([]byte, 100)
	odd := groupFrame(0, [4]byte{}, video, protoUDP, udp)
	odd[5]++ // the hardware address is that of another group
	tagged := append(append(bytes.Clone(odd[:12]), 0x81, 0, 0, 5, 0x81, 0, 0, 6), odd[12:]...)
	tagged[5]--
	for name, c := range map[string]struct {
		frame protocol.Frame
		some  bool
	}{
		"239.1.2.3":              {groupFrame(0, [4]byte{}, video, protoUDP, udp), true},
		"in a priority tag":      {append(append(bytes.Clone(groupFrame(0, [4]byte{}, video, protoUDP, udp)[:12]), 0x81, 0, 0xe0, 0), groupFrame(0, [4]byte{}, video, protoUDP, udp)[12:]...), true},
		"SSDP":                   {groupFrame(0, [4]byte{}, [4]byte{239, 255, 255, 250}, protoUDP, udp), true},
		"NTP":                    {groupFrame(0, [4]byte{}, [4]byte{224, 0, 1, 1}, protoUDP, udp), true},
		"mDNS":                   {groupFrame(0, [4]byte{}, [4]byte{224, 0, 0, 251}, protoUDP, udp), false},
		"OSPF":                   {groupFrame(0, [4]byte{}, [4]byte{224, 0, 0, 5}, 89, udp), false},
		"a VLAN without reports": {groupFrame(7, [4]byte{}, video, protoUDP, udp), false},
		"another group's MAC":    {odd, false},
		"two tags":               {tagged, false},
		"ff0e::9":                {append(appendHeader(nil, protocol.MAC{0x33, 0x33, 0, 0, 0, 9}, hostMAC, 0, protocol.EtherTypeIPv6), mld(video6, make([]byte, 24))[14:]...), true},
		"ff02::fb":               {mld(link6(0xfb), make([]byte, 24)), false},
		"a solicited node":       {mld([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 15: 9}, make([]byte, 24)), false},
	} {
		if !Snooped(c.frame.Dst()) {
			t.Errorf("%s: not looked at", name)
		}
		g := NewGroups[*listening]()
		if _, _, some := say(g, 1, c.frame); some != c.some {
			t.Errorf("%s: to some alone is %v", name, some)
		}
	}
	for _, dst := range []protocol.MAC{protocol.Broadcast, {1, 0x80, 0xc2}, {1, 0, 0x5e, 0x80}, {2, 0, 0x5e}} {
		if Snooped(dst) {
			t.Errorf("%v is looked at", dst)
		}
	}
}

// receives reports whether frames of our own side to a group go to an edge.
func receives(g *Groups[*listening], now time.Duration, e *listening, frame protocol.Frame) bool {
	members, f, some := say(g, int64(now), frame)
	return !some || members.Has(int64(now), e) || e.listener.All(int64(now), f)
}

// settled returns edges whose memberships are known.
func settled(names ...string) (list []*listening) {
	for _, n := range names {
		e := &listening{name: n}
		e.listener.SettleAt(1)
		list = append(list, e)
	}
	return list
}

// TestMembersGetTheirGroup has hosts join and leave: frames go where a member is, until
// nothing is heard of it for the Group Membership Interval (RFC 3376, section 8.4).
func TestMembersGetTheirGroup(t *testing.T) {
	udp := make([]byte, 100)
	for name, c := range map[string]struct{ data, join, leave protocol.Frame }{
		"IGMPv2": {groupFrame(0, [4]byte{}, video, protoUDP, udp), igmp([4]byte{}, video, group8(igmpReportV2, 0, video)), igmp([4]byte{}, [4]byte{224, 0, 0, 2}, group8(igmpLeave, 0, video))},
		"IGMPv3": {groupFrame(0, [4]byte{}, video, protoUDP, udp), igmp([4]byte{}, [4]byte{224, 0, 0, 22}, record4(recordToExclude, video, 0)), igmp([4]byte{}, [4]byte{224, 0, 0, 22}, record4(recordToInclude, video, 0))},
		"MLDv1":  {mld(video6, make([]byte, 24)), mld(video6, group24(mldReportV1, 0, video6)), mld(link6(2), group24(mldDone, 0, video6))},
		"MLDv2":  {mld(video6, make([]byte, 24)), mld(link6(22), record6(recordIsExclude, video6, 0)), mld(link6(22), record6(recordToInclude, video6, 0))},
	} {
		t.Run(name, func(t *testing.T) {
			g, list := NewGroups[*listening](), settled("a", "b")
			a, b := list[0], list[1]
			expect := func(now time.Duration, wantA, wantB bool) {
				t.Helper()
				if gotA, gotB := receives(g, now, a, c.data), receives(g, now, b, c.data); gotA != wantA || gotB != wantB {
					t.Errorf("at %v: a %v, b %v", now, gotA, gotB)
				}
			}
			expect(time.Second, false, false)
			hear(g, int64(time.Second), c.join, a)
			expect(time.Second, true, false)
			expect(time.Second+MemberAge-1, true, false)
			expect(time.Second+MemberAge, false, false)
			hear(g, int64(300*time.Second), c.join, a)
			hear(g, int64(300*time.Second), c.join, b)
			hear(g, int64(301*time.Second), c.leave, a)
			expect(301*time.Second, true, true) // somebody else may be behind it
			expect(304*time.Second, true, true)
			expect(306*time.Second, false, true)
			hear(g, int64(310*time.Second), c.join, a)
			hear(g, int64(311*time.Second), c.leave, a)
			hear(g, int64(312*time.Second), c.join, a) // somebody is
			expect(330*time.Second, true, true)
		})
	}
}

// TestLeaveWithAQuerier has a querier ask who is left (RFC 3376, section 6.6.1): only edges
// where somebody left have to answer. Without its question nothing ends early.
func TestLeaveWithAQuerier(t *testing.T) {
	g, list := NewGroups[*listening](), settled("a", "b", "router")
	data := groupFrame(0, [4]byte{}, video, protoUDP, make([]byte, 100))
	join, leave := igmp([4]byte{}, video, group8(igmpReportV2, 0, video)), igmp([4]byte{}, [4]byte{224, 0, 0, 2}, group8(igmpLeave, 0, video))
	router := [4]byte{10, 0, 0, 1}
	at := func(s int64) int64 { return s * int64(time.Second) }
	hear(g, at(1), igmp(router, [4]byte{224, 0, 0, 1}, v3query(100, [4]byte{}, 2, 0)), list[2])
	if !receives(g, 2*time.Second, list[2], data) || !receives(g, MemberAge, list[2], data) || receives(g, MemberAge+time.Second, list[2], data) {
		t.Error("the multicast router does not get all groups for as long as one query lasts")
	}
	for _, e := range list[:2] {
		hear(g, at(1), join, e)
	}
	hear(g, at(2), leave, list[0])
	if !receives(g, 20*time.Second, list[0], data) {
		t.Error("the membership ended without a question")
	}
	hear(g, at(20), leave, list[0])
	hear(g, at(21), igmp(router, video, v3query(10, video, 8, 0)), list[2])
	if !receives(g, 30*time.Second, list[0], data) {
		t.Error("a question that is not to be acted upon was")
	}
	hear(g, at(31), leave, list[0])
	hear(g, at(31), igmp(router, video, v3query(10, video, 0, 0)), list[2])
	if receives(g, 36*time.Second, list[0], data) || !receives(g, 36*time.Second, list[1], data) {
		t.Error("not the one whose host has left, and he alone, is out of the group")
	}
	if list, _ := g.Due(at(40)); len(list) != 1 || list[0].Family != IPv6 {
		t.Errorf("asked %v beside the querier of IPv4", list)
	}
}

// TestUnknownEdgesGetAll has everything go to an edge whose memberships are not known, or
// that has more than are kept.
func TestUnknownEdgesGetAll(t *testing.T) {
	g, data := NewGroups[*listening](), groupFrame(0, [4]byte{}, video, protoUDP, make([]byte, 100))
	old, fresh, many, other := &listening{}, &listening{}, settled("many")[0], settled("other")[0]
	fresh.listener.SettleAt(int64(SettleTime))
	if !receives(g, time.Hour, old, data) || !receives(g, SettleTime-1, fresh, data) || receives(g, SettleTime, fresh, data) {
		t.Error("not until the memberships are known")
	}
	for i := range membersBehind {
		ip := [4]byte{239, 9, byte(i >> 8), byte(i)}
		hear(g, 1, igmp([4]byte{}, ip, group8(igmpReportV2, 0, ip)), many)
	}
	if receives(g, time.Second, many, data) || g.Counters().Refused != 0 {
		t.Error("the bound is reached too early")
	}
	hear(g, 2, igmp([4]byte{}, video, group8(igmpReportV2, 0, video)), many)
	hear(g, 2, igmp([4]byte{}, video, group8(igmpReportV2, 0, video)), other)
	if c := g.Counters(); !receives(g, time.Second, many, data) || c.Refused != 1 || c.Count != membersBehind+1 {
		t.Errorf("an edge with too many memberships does not get all: %+v", c)
	}
	if !receives(g, time.Second, other, data) {
		t.Error("the bound of one is that of another")
	}
	many.retired = true
	g.Sweep(int64(time.Second))
	if c := g.Counters(); c.Count != 1 || many.listener.count != 0 {
		t.Errorf("after it is gone: %+v", c)
	}
	g.Sweep(int64(time.Second + MemberAge))
	if c := g.Counters(); c.Count != 0 || len(g.groups) != 0 || len(g.List(1)) != 0 {
		t.Errorf("after their age: %+v", c)
	}
}

// TestReportsOfOldHosts has the reports of IGMPv1, IGMPv2 and MLDv1 be heard on our side
// only where a querier is (RFC 4541, section 2.1.1 (1)), and all others everywhere.
func TestReportsOfOldHosts(t *testing.T) {
	query, query6 := igmp([4]byte{}, [4]byte{224, 0, 0, 1}, v3query(100, [4]byte{}, 2, 0)), mld(link6(allHosts), v2query6(10000, [16]byte{}, 2, 0))
	for name, c := range map[string]struct {
		report, query protocol.Frame
		held          bool
	}{
		"IGMPv1": {igmp([4]byte{}, video, group8(igmpReportV1, 0, video)), query, true},
		"IGMPv2": {igmp([4]byte{}, video, group8(igmpReportV2, 0, video)), query, true},
		"IGMPv3": {igmp([4]byte{}, [4]byte{224, 0, 0, 22}, record4(recordToExclude, video, 0)), query, false},
		"MLDv1":  {mld(video6, group24(mldReportV1, 0, video6)), query6, true},
		"MLDv2":  {mld(link6(22), record6(recordIsExclude, video6, 0)), query6, false},
		"data":   {groupFrame(0, [4]byte{}, video, protoUDP, make([]byte, 100)), query, false},
	} {
		g, e := NewGroups[*listening](), settled("e")[0]
		if got := hear(g, 1, c.report, e); got == c.held {
			t.Errorf("%s without a querier: heard %v", name, got)
		}
		hear(g, 1, c.query, e) // the querier is elsewhere
		if got := hear(g, 2, c.report, e); got == c.held {
			t.Errorf("%s with a querier elsewhere: heard %v", name, got)
		}
		say(g, 3, c.query)
		if !hear(g, 4, c.report, e) || !hear(g, int64(MemberAge), c.report, e) || hear(g, 4+int64(MemberAge), c.report, e) == c.held {
			t.Errorf("%s with a querier on our side: not heard for as long as it is there", name)
		}
	}
}

// TestForgedReports has nothing be learned from whom nobody vouches for.
func TestForgedReports(t *testing.T) {
	g, e := NewGroups[*listening](), settled("e")[0]
	report := igmp([4]byte{}, video, group8(igmpReportV2, 0, video))
	if g.Received(1, view(report), e, false) || g.Counters().Count != 0 {
		t.Error("a forged report counts, or silences our hosts")
	}
	hear(g, 2, report, e)
	g.Received(3, view(igmp([4]byte{}, [4]byte{224, 0, 0, 2}, group8(igmpLeave, 0, video))), e, false)
	if !receives(g, time.Minute, e, groupFrame(0, [4]byte{}, video, protoUDP, make([]byte, 64))) {
		t.Error("a forged leave counts")
	}
}

// TestQuerier has our hosts asked at once and twice, then whenever nobody else has for a
// query interval, and after a leave who is left.
func TestQuerier(t *testing.T) {
	g, e := NewGroups[*listening](), settled("e")[0]
	at := func(s int64) int64 { return s * int64(time.Second) }
	asked := func(s int64, want ...Query) {
		t.Helper()
		list, next := g.Due(at(s))
		if len(list) != len(want) || next <= at(s) {
			t.Fatalf("at %d s: %+v, next in %v", s, list, time.Duration(next-at(s)))
		}
		for i, q := range want {
			if list[i] != q {
				t.Errorf("at %d s: %+v", s, list[i])
			}
		}
	}
	quick, quick6 := Query{Respond: quickResponse}, Query{Family: IPv6, Respond: quickResponse}
	slow, slow6 := Query{Respond: queryResponse}, Query{Family: IPv6, Respond: queryResponse}
	g.Ask()
	asked(0, quick, quick6)
	asked(5)
	asked(10, quick, quick6)
	asked(139)
	asked(140, slow, slow6)
	asked(269)
	hear(g, at(269), igmp([4]byte{10, 0, 0, 1}, [4]byte{224, 0, 0, 1}, v3query(100, [4]byte{}, 2, 0)), e)
	asked(270, slow6)
	asked(398)
	asked(399, slow)
	asked(400, slow6)
	// Nobody waits for a querier that gives hosts minutes to answer.
	hear(g, at(500), igmp([4]byte{10, 0, 0, 1}, [4]byte{224, 0, 0, 1}, v3query(0xff, [4]byte{}, 2, 0)), e)
	asked(529, slow)
	asked(530, slow6)
	// The querier was heard last at 269 s: a host that leaves has us ask.
	say(g, at(540), igmp([4]byte{}, video, group8(igmpReportV2, 0, video)))
	g.Woken()
	say(g, at(541), igmp([4]byte{}, [4]byte{224, 0, 0, 2}, group8(igmpLeave, 0, video)))
	last := Query{Group: group4(0, video), Respond: time.Second}
	if !g.Woken() || g.Woken() {
		t.Error("the control loop is not woken once")
	}
	asked(541, last)
	asked(542, last)
	asked(543)
	// A VLAN is asked in from its first report on, and for as long as there are any.
	tagged := igmp([4]byte{}, video, group8(igmpReportV2, 0, video))
	tagged = append(append(bytes.Clone(tagged[:12]), 0x81, 0, 0, 5), tagged[12:]...)
	data := groupFrame(5, [4]byte{}, video, protoUDP, make([]byte, 64))
	other := settled("other")[0]
	hear(g, at(550), tagged, e)
	asked(550, Query{Group: Group{VLAN: 5}, Respond: quickResponse}, Query{Group: Group{VLAN: 5}, Family: IPv6, Respond: quickResponse})
	if !receives(g, 560*time.Second, other, data) || receives(g, 581*time.Second, other, data) || !receives(g, 581*time.Second, e, data) {
		t.Error("the VLAN is not snooped when everybody had time to answer")
	}
	g.Sweep(at(811))
	if !receives(g, 811*time.Second, other, data) {
		t.Error("a VLAN without reports is snooped")
	}
}

// TestQueriesAreRead has what we ask be what others read, with right checksums and
// lengths, and in IPv4 such that it is in no election.
func TestQueriesAreRead(t *testing.T) {
	for _, q := range []Query{
		{Respond: queryResponse}, {Family: IPv6, Respond: queryResponse}, {Group: group4(0, video), Respond: time.Second},
		{Group: Group{VLAN: 10, IP: video6}, Family: IPv6, Respond: time.Second}, {Group: Group{VLAN: 10}, Respond: quickResponse},
	} {
		frame := protocol.Frame(q.Append(nil, hostMAC))
		m, ok := multicastOf(view(frame))
		s := m.read()
		want := message{kind: asks, respond: int64(q.Respond), nameless: q.Family == IPv4}
		if q.IP != [16]byte{} {
			want.subject = q.Group
		}
		if !ok || !Snooped(frame.Dst()) || s.kind != want.kind || s.respond != want.respond || s.subject != want.subject || s.nameless != want.nameless ||
			m.group.VLAN != q.VLAN || frame.Src() != hostMAC {
			t.Errorf("%+v is read as %+v in %+v", q, s, m.group)
		}
		frame = q.AppendRouter(nil, hostMAC)
		if m, ok = multicastOf(view(frame)); !ok || m.read().kind != routes {
			t.Errorf("the router of %+v is none", q)
		}
	}
}

// TestHandover has members stay with their group when another bridge forwards for them.
func TestHandover(t *testing.T) {
	g, list := NewGroups[*listening](), settled("a", "b")
	hear(g, 1, igmp([4]byte{}, video, group8(igmpReportV2, 0, video)), list[0])
	g.Handover(2, list[0], list[1])
	if !receives(g, time.Second, list[1], groupFrame(0, [4]byte{}, video, protoUDP, make([]byte, 64))) {
		t.Error("the new forwarder does not get the group")
	}
}

// FuzzGroups feeds frames of anybody: nothing panics, bounds hold, and no frame is looked
// at without an end.
func FuzzGroups(f *testing.F) {
	f.Add([]byte(igmp([4]byte{}, video, group8(igmpReportV2, 0, video))), true)
	f.Add([]byte(igmp([4]byte{}, [4]byte{224, 0, 0, 22}, record4(recordToExclude, video, 2))), false)
	f.Add([]byte(igmp([4]byte{}, [4]byte{224, 0, 0, 1}, v3query(100, [4]byte{}, 2, 0))), true)
	f.Add([]byte(mld(link6(22), record6(recordIsExclude, video6, 1))), false)
	f.Add([]byte(mld(video6, group24(mldReportV1, 0, video6))), true)
	f.Add([]byte(mld(link6(allHosts), v2query6(10000, [16]byte{}, 2, 0))), false)
	f.Fuzz(func(t *testing.T, b []byte, here bool) {
		frame := protocol.Frame(b)
		if frame.Valid() != nil || !Snooped(frame.Dst()) {
			return
		}
		seen := view(frame)
		seen.Class()
		m, ok := multicastOf(seen)
		if ok && !here { // checksums as the fuzzer cannot find them
			m.mend()
		}
		g, e := NewGroups[*listening](), settled("e")[0]
		hear(g, 1, frame, e)
		say(g, 2, frame)
		g.Due(int64(time.Hour))
		g.Sweep(int64(time.Minute))
		c := g.Counters()
		if c.Count > membersAll || c.Count != len(g.List(0)) {
			t.Errorf("%+v, listed %d", c, len(g.List(0)))
		}
	})
}

// mend makes the checksums of a packet right, if they have a place.
func (m *multicast) mend() {
	header, more := int(m.ip[0]&15)*4, uint32(0)
	if m.group.Family() == IPv6 {
		more = m.pseudoHeader()
	} else if header >= ipv4Len && header <= len(m.ip) {
		binary.BigEndian.PutUint16(m.ip[10:], 0)
		binary.BigEndian.PutUint16(m.ip[10:], ^fold(sum(m.ip[:header], 0)))
	}
	if len(m.body) >= 4 {
		binary.BigEndian.PutUint16(m.body[2:], 0)
		binary.BigEndian.PutUint16(m.body[2:], ^fold(sum(m.body, more)))
	}
}
