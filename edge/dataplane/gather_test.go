package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"hedgerow/transport"
)

// destination returns the nth of some underlay addresses.
func destination(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 4000)
}

// TestGather puts packets of given sizes to given destinations and wants the
// trains that leave, as "destination:datagrams x size".
func TestGather(t *testing.T) {
	type packet struct{ to, size int }
	run := func(to, size, n int) (ps []packet) {
		for range n {
			ps = append(ps, packet{to, size})
		}
		return ps
	}
	for _, tt := range []struct {
		name string
		put  []packet
		want []string
	}{
		{"one", run(1, 100, 1), []string{"1:1x100"}},
		{"a train", run(1, 100, 7), []string{"1:7x100"}},
		{"as many datagrams as a train has", run(1, 100, 65), []string{"1:64x100", "1:1x100"}},
		{"as many bytes as a train has", run(1, 1405, 50), []string{"1:46x1405", "1:4x1405"}},
		{"a shorter one is the last", append(run(1, 100, 3), append(run(1, 60, 1), run(1, 100, 2)...)...), []string{"1:4x100", "1:2x100"}},
		{"a longer one is another", append(run(1, 60, 2), run(1, 100, 2)...), []string{"1:2x60", "1:2x100"}},
		{"two in turn", slices.Concat(run(1, 9, 1), run(2, 9, 1), run(1, 9, 1), run(2, 9, 1)), []string{"1:2x9", "2:2x9"}},
		{"more in turn than lanes", slices.Concat(run(1, 9, 1), run(2, 9, 1), run(3, 9, 1), run(4, 9, 1), run(5, 9, 1), run(1, 9, 1)),
			[]string{"1:1x9", "2:1x9", "3:1x9", "4:1x9", "5:1x9", "1:1x9"}},
	} {
		var got []string
		conn := &memoryConn{}
		g := newGather(conn, queueLane, nil)
		var want [][]byte
		for i, p := range tt.put {
			slot := g.slot(destination(p.to), netip.Addr{}, p.size, 0)
			for j := range slot {
				slot[j] = byte(i + j)
			}
			want = append(want, bytes.Clone(slot))
		}
		for _, d := range g.batch {
			size := d.Seg
			if size == 0 {
				size = d.N
			}
			got = append(got, fmt.Sprintf("%d:%dx%d", d.Addr.Addr().As4()[3], (d.N+size-1)/size, size))
		}
		g.flush()
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		// What went to one destination came in order.
		for _, d := range conn.sent {
			for i, p := range tt.put {
				if destination(p.to) == d.to && want[i] != nil {
					if !bytes.Equal(want[i], d.pkt) {
						t.Errorf("%s: a packet is out of order or changed", tt.name)
					}
					want[i] = nil
					break
				}
			}
		}
		if len(conn.sent) != len(tt.put) {
			t.Errorf("%s: %d datagrams of %d", tt.name, len(conn.sent), len(tt.put))
		}
	}
}

// TestGatherTTL checks that a datagram with a TTL of its own is no part of a
// train.
func TestGatherTTL(t *testing.T) {
	g := newGather(&memoryConn{}, controlLane, nil)
	for _, ttl := range []uint8{0, 3, 0, 0} {
		g.slot(destination(1), netip.Addr{}, 50, ttl)
	}
	var got []string
	for _, d := range g.batch {
		got = append(got, fmt.Sprint(d.N, d.Seg, d.TTL))
	}
	if want := []string{"50 0 0", "50 0 3", "100 50 0"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A train leaves from one address of this host: what is to leave from another one is
// another train, in the order in which it came.
func TestGatherLocal(t *testing.T) {
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	g := newGather(&memoryConn{}, controlLane, nil)
	for _, local := range []netip.Addr{one, one, {}, two, two, two} {
		g.slot(destination(1), local, 50, 0)
	}
	var got []string
	for _, d := range g.batch {
		got = append(got, fmt.Sprint(d.N, " ", d.Local))
	}
	if want := []string{"100 192.0.2.1", "50 invalid IP", "150 192.0.2.2"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestGatherRoom fills the room and the batch, which sends what there is.
func TestGatherRoom(t *testing.T) {
	conn := &memoryConn{}
	g := newGather(conn, controlLane, nil)
	for range 30 {
		g.slot(destination(1), netip.Addr{}, 1405, 0)
	}
	if g.flush(); len(conn.sent) != 30 {
		t.Errorf("%d datagrams of 30 for a full lane", len(conn.sent))
	}
	conn.take()
	for i := range 3 * batchDatagrams {
		g.slot(destination(i%7), netip.Addr{}, 10+i, 0)
	}
	if g.flush(); len(conn.sent) != 3*batchDatagrams {
		t.Errorf("%d datagrams of %d for a full batch", len(conn.sent), 3*batchDatagrams)
	}
}

// TestGatherRefused checks that the owner hears of a refusal, and of which batch.
func TestGatherRefused(t *testing.T) {
	refusal := errors.New("refused")
	var heard []netip.AddrPort
	g := newGather(&memoryConn{err: refusal}, controlLane, func(err error, batch []transport.Datagram) {
		if err != refusal {
			t.Errorf("heard %v", err)
		}
		for _, d := range batch {
			heard = append(heard, d.Addr)
		}
	})
	g.slot(destination(1), netip.Addr{}, 10, 0)
	g.slot(destination(2), netip.Addr{}, 10, 0)
	g.flush()
	if want := []netip.AddrPort{destination(1), destination(2)}; !slices.Equal(heard, want) {
		t.Errorf("heard of %v, want %v", heard, want)
	}
	if g.full() || len(g.batch) != 0 {
		t.Error("a batch that was refused is still there")
	}
}

// TestGatherTail puts super-frames that fill a train and leave a few datagrams: those
// leave with the next one, in their order, and the last with the flush.
func TestGatherTail(t *testing.T) {
	const size, segments, supers = 1405, 50, 5
	conn := &memoryConn{}
	g := newGather(conn, queueLane, nil)
	next := byte(0)
	for range supers {
		g.slot(destination(2), netip.Addr{}, 60, 0)[0] = 1
		for range segments {
			slot := g.slot(destination(1), netip.Addr{}, size, 0)
			for j := range slot {
				slot[j] = next
			}
			next++
		}
		if !g.full() {
			t.Fatal("a super-frame does not make it full")
		}
		g.flushTrains()
	}
	g.flush()
	var got []byte
	for _, d := range conn.sent {
		if d.to == destination(1) {
			got = append(got, d.pkt[0])
		}
	}
	for i := range got {
		if got[i] != byte(i) {
			t.Fatalf("datagram %d is %d", i, got[i])
		}
	}
	const whole = transport.MaxTrainBytes / size
	trains := slices.DeleteFunc(conn.trains, func(n int) bool { return n == 1 }) // those to the other
	if want := (supers*segments + whole - 1) / whole; len(got) != supers*segments || len(trains) != want {
		t.Errorf("%d datagrams in trains of %v, want %d trains", len(got), trains, want)
	}
}
