package sim

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/supernode/quota"
)

// A community that has used up what may be relayed for it in a month loses what is relayed,
// and nothing else: its direct paths go on, new ones are found, and another community loses
// nothing. Its edges say until when, and are relayed again when the next month begins.
func TestMonthIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 61)
		defer w.Close()
		// Two minutes before January ends.
		time.Sleep(time.Until(time.Date(2000, 1, 31, 23, 58, 0, 0, time.UTC)))
		sn := w.SupernodeWith(Beside{Month: quota.Limits{Community: 2_000_000}}, supernodeAddr)
		var told events
		var all []*Edge
		pair := func(b nattest.Behavior, o Options) *Flow {
			var ends [2]*Edge
			var sink Sink
			for i := range ends {
				if i > 0 {
					o.Report = nil
				}
				all = append(all, nil)
				router := w.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(len(all))}), b)
				o.Name, o.Supernodes, o.Deliver = fmt.Sprint("edge", len(all)), []*Supernode{sn}, sink.Deliver
				ends[i] = w.Edge(router.Host(netip.MustParseAddr("192.168.1.2")), o)
				all[len(all)-1] = ends[i]
			}
			time.Sleep(time.Second)
			f := w.Flow(ends[0], ends[1].MAC, &sink)
			f.size = 900
			return f
		}
		relayed := pair(nattest.Symmetric, Options{Report: told.add})
		direct := pair(nattest.PortRestricted, Options{})
		other := pair(nattest.Symmetric, Options{Community: w.other("others")})
		flows := []*Flow{relayed, direct, other}
		send := func(n int, which ...*Flow) {
			for range n {
				for _, f := range which {
					f.Send()
				}
				time.Sleep(200 * time.Millisecond)
			}
		}
		send(50, flows...) // 10 s, with whatever it takes to find paths
		from := make([]int, len(flows))
		mark := func() {
			for i, f := range flows {
				from[i] = f.Len()
			}
		}
		check := func(when string, lost ...bool) {
			t.Helper()
			time.Sleep(time.Second)
			for i, f := range flows {
				n, sent := len(f.Lost(from[i], f.Len())), f.Len()-from[i]
				if want := 0; lost[i] && n != sent || !lost[i] && n != want {
					t.Errorf("%s: of flow %d %d of %d frames are lost", when, i, n, sent)
				}
			}
		}
		mark()
		send(10, flows...)
		check("in the month", false, false, false)
		relayed.Run(2500, 10*time.Millisecond)
		mark()
		send(50, flows...)
		check("when it is used up", true, false, false)
		for i, want := range []control.Path{control.PathRelay, control.PathDirect} {
			if got := pathTo(t, all[2*i], all[2*i+1]); got != want {
				t.Errorf("the path of pair %d is %s, want %s", i, got, want)
			}
		}
		if e := all[0]; !e.says("for this community this month as it may (2.0MB), and relays again from 1 February 2000 UTC on") || len(told.of(control.EventLimited)) != 1 {
			t.Errorf("%q, told %d times", e.status().Notes, len(told.of(control.EventLimited)))
		}
		if notes := strings.Join(sn.Server.Status().Notes, "|"); !strings.Contains(notes, "--limit community-month") {
			t.Errorf("the supernode says %q", notes)
		}

		late := pair(nattest.PortRestricted, Options{})
		send(25, late)
		if got := pathTo(t, all[6], all[7]); got != control.PathDirect {
			t.Errorf("a pair that came when it was used up has a path that is %s", got)
		}

		time.Sleep(time.Until(time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC)))
		mark()
		send(10, flows...)
		check("in the next month", false, false, false)
		for _, e := range all {
			e.Stop()
		}
		sn.Stop()
	})
}
