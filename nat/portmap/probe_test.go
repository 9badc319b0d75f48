package portmap

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// onLoopback returns a mapper whose router is this host.
func onLoopback(speakers ...speaker) *Mapper {
	return &Mapper{
		port: testPort, speakers: speakers, log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1),
		gateway: func() (netip.Addr, netip.Addr, error) { return loopback.gateway, loopback.local, nil },
	}
}

// A router that speaks all three maps by each for a moment, and nothing is left.
func TestProbe(t *testing.T) {
	g, i := newGateway(), newIGD(t, choosesPort)
	dial := g.listen(t.Cleanup)
	m := onLoopback(pcp{dial: dial}, natpmp{dial: dial}, i.speaker())
	// What an edge of this host holds stays.
	g.set(func() { g.mappings[testPort] = testPort })
	report := m.probe(t.Context())
	if report.Problem != "" || report.Gateway != loopback.gateway || report.Local != loopback.local || len(report.Answers) != 3 {
		t.Fatalf("%+v", report)
	}
	var order []Protocol
	for _, a := range report.Answers {
		order = append(order, a.Protocol)
		if !a.Speaks || a.External.Addr() != wan || a.Problem != "" {
			t.Errorf("%+v", a)
		}
	}
	if want := []Protocol{PCP, NATPMP, UPnP}; !slices.Equal(order, want) {
		t.Errorf("%v", order)
	}
	if g.mapped() != testPort || g.deleted() != 2 || len(g.mappings) != 1 || len(i.mapped()) != 0 {
		t.Errorf("left: %v, %v", g.mappings, i.mapped())
	}
}

// What a router refuses is told for each protocol.
func TestProbeRefused(t *testing.T) {
	g, i := newGateway(), newIGD(t, choosesPort)
	g.noPCP, g.refuse = true, 2
	i.wan = "10.0.0.7"
	dial := g.listen(t.Cleanup)
	report := onLoopback(pcp{dial: dial}, natpmp{dial: dial}, i.speaker()).probe(t.Context())
	want := []Answer{
		{Protocol: PCP, Speaks: true, Problem: "router at 127.0.0.1 refuses (unsupported version)"},
		{Protocol: NATPMP, Speaks: true, Problem: "router at 127.0.0.1 refuses (not authorised)"},
		{Protocol: UPnP, Speaks: true, Problem: "double NAT: the router's own address 10.0.0.7 is not public"},
	}
	if !slices.Equal(report.Answers, want) {
		t.Errorf("%+v", report.Answers)
	}
}

func TestProbeNoRouter(t *testing.T) {
	report := Probe(t.Context(), Config{Gateway: func() (g, l netip.Addr, err error) { return g, l, nil }})
	if report.Problem == "" || len(report.Answers) != 0 {
		t.Errorf("%+v", report)
	}
	if report := Probe(t.Context(), Config{Off: []Protocol{"IGD"}}); report.Problem == "" {
		t.Errorf("%+v", report)
	}
}

// The whole by sockets: UPnP maps where the others refuse, and the end deletes.
func TestRun(t *testing.T) {
	g, i := newGateway(), newIGD(t, choosesPort)
	g.refuse = 2
	dial := g.listen(t.Cleanup)
	m := onLoopback(pcp{dial: dial}, natpmp{dial: dial}, i.speaker())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	var reported []Mapping
	m.Run(ctx, func(now Mapping) {
		reported = append(reported, now)
		cancel()
	})
	only(t, reported, Mapping{External: netip.AddrPortFrom(wan, testPort), Protocol: UPnP})
	if len(i.mapped()) != 0 {
		t.Errorf("left: %v", i.mapped())
	}
}

// An answer from another port than that of the protocol is none.
func TestOtherSource(t *testing.T) {
	g := newGateway()
	honest := g.listen(t.Cleanup)
	liar := newGateway()
	liar.wan = netip.MustParseAddr("198.51.100.66")
	asked := make(chan netip.AddrPort, 1)
	dial := func(r router) (net.Conn, error) {
		conn, err := honest(r)
		if err == nil {
			asked <- conn.LocalAddr().(*net.UDPAddr).AddrPort()
		}
		return conn, err
	}
	stray, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	s := &pmpService{natpmp: natpmp{dial: func(r router) (net.Conn, error) {
		conn, err := dial(r)
		// It is there before the request has gone out.
		stray.WriteToUDPAddrPort(liar.answer(appendPMPAddress(nil))[0], <-asked)
		return conn, err
	}}, router: loopback}
	if _, err := s.address(t.Context()); err != nil || s.public != wan {
		t.Errorf("%v, %v", s.public, err)
	}
}
