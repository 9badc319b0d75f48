package transport

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
)

// train makes a train of count datagrams, each of which has its number in it,
// the last of which is shorter; and the payloads of those.
func train(to netip.AddrPort, count, seg int) (d Datagram, payloads []string) {
	for i := range count {
		payload := fmt.Sprintf("%0*d", seg, i)
		if i == count-1 {
			payload = payload[seg/2:]
		}
		payloads = append(payloads, payload)
	}
	all := strings.Join(payloads, "")
	return Datagram{Buf: []byte(all + "tail"), N: len(all), Seg: seg, Addr: to}, payloads
}

func TestTrainArrivesWhole(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::ffff:127.0.0.1", "::1"} {
		a, b := listen(t, Options{}), listen(t, Options{})
		d, _ := train(at(t, b, loopback), 44, 1400)
		if n, err := a.WriteBatch([]Datagram{d, datagram(d.Addr, "alone")}); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		ds := readInto(t, b, buffers(8))
		if len(ds) != 2 || ds[0].Seg != 1400 || !bytes.Equal(ds[0].Payload(), d.Payload()) || ds[1].Seg != 0 || ds[0].Addr != ds[1].Addr {
			t.Fatalf("%s: %d read, the first of %d bytes, seg %d", loopback, len(ds), ds[0].N, ds[0].Seg)
		}
		if c := a.Counters(); c != (Counters{Writes: 1, MessagesOut: 2, DatagramsOut: 45, TrainsOut: 1}) {
			t.Errorf("%s: %v", loopback, c)
		}
		c := b.Counters()
		if c.Reads = 1; c != (Counters{Reads: 1, Messages: 2, Datagrams: 45, Trains: 1}) {
			t.Errorf("%s: %v", loopback, c)
		}
	}
}

// TestForcedFallbacks checks that the same datagrams arrive without what the
// kernel could do.
func TestForcedFallbacks(t *testing.T) {
	for i := range 8 {
		opts := Options{NoGSO: i&1 != 0, NoGRO: i&2 != 0, NoBatch: i&4 != 0}
		t.Run(fmt.Sprintf("%+v", opts), func(t *testing.T) {
			a, b := listen(t, opts), listen(t, opts)
			to := at(t, b, "127.0.0.1")
			first, want := train(to, 100, 1000) // more than one message
			second, more := train(to, 3, 30000) // more bytes than one message
			want = append(append(append(want, "alone"), more...), "last")
			if n, err := a.WriteBatch([]Datagram{first, datagram(to, "alone"), second, datagram(to, "last")}); n != 4 || err != nil {
				t.Fatal(n, err)
			}
			if got := readPayloads(t, b, len(want)); !slices.Equal(got, want) {
				t.Errorf("got %d payloads, the last %q", len(got), got[len(got)-1])
			}
			sent, got := a.Counters(), b.Counters()
			if sent.DatagramsOut != 105 || got.Datagrams != 105 {
				t.Errorf("sent %v, received %v", sent, got)
			}
			if opts.NoGSO != (sent.TrainsOut == 0) || !opts.NoGSO && sent.MessagesOut != 6 {
				t.Errorf("sent %v", sent)
			}
			if trains := got.Trains > 0; trains != (!opts.NoGSO && !opts.NoGRO) {
				t.Errorf("received %v", got)
			}
			if opts.NoBatch && (sent.Writes != sent.MessagesOut || got.Reads != got.Messages) {
				t.Errorf("batches: sent %v, received %v", sent, got)
			}
			if !opts.NoBatch && sent.Writes > 2 {
				t.Errorf("no batches: sent %v", sent)
			}
		})
	}
}

// TestMixedFamilies has one batch for many destinations, back and forth.
func TestMixedFamilies(t *testing.T) {
	a, b, c := listen(t, Options{}), listen(t, Options{}), listen(t, Options{})
	var ds []Datagram
	want := map[*UDP][]string{}
	for i := range 3 * maxWrite {
		to, loopback := b, "127.0.0.1"
		if i%3 == 1 {
			to = c
		}
		if i%2 == 1 {
			loopback = "::1"
		}
		payload := fmt.Sprint(i)
		ds = append(ds, datagram(at(t, to, loopback), payload))
		want[to] = append(want[to], loopback+" "+payload)
	}
	if n, err := a.WriteBatch(ds); n != len(ds) || err != nil {
		t.Fatal(n, err)
	}
	for u, want := range want {
		var got []string
		for len(got) < len(want) {
			for _, d := range readInto(t, u, buffers(5)) {
				got = append(got, d.Addr.Addr().String()+" "+string(d.Payload()))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	}
}

// TestTTLOfATrain has TTL and segment size in one message.
func TestTTLOfATrain(t *testing.T) {
	a, b := listen(t, Options{}), listen(t, Options{NoGRO: true})
	setOption(t, b, unix.IPPROTO_IP, unix.IP_RECVTTL, 1)
	d, want := train(at(t, b, "127.0.0.1"), 5, 100)
	d.TTL = 3
	if n, err := a.WriteBatch([]Datagram{d}); n != 1 || err != nil || a.Counters().TrainsOut != 1 {
		t.Fatal(n, err, a.Counters())
	}
	for i := range want {
		if d := read(t, b); string(d.Payload()) != want[i] {
			t.Errorf("got %q", d.Payload())
		}
		messages, err := unix.ParseSocketControlMessage(b.in.controls[0].bytes()[:b.in.messages[0].Hdr.Controllen])
		ttl := slices.IndexFunc(messages, func(m unix.SocketControlMessage) bool {
			return m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL
		})
		if err != nil || ttl < 0 || messages[ttl].Data[0] != 3 {
			t.Errorf("%v, %v", messages, err)
		}
	}
}

func TestTrainAllocations(t *testing.T) {
	a, b := listen(t, Options{}), listen(t, Options{})
	one, _ := train(at(t, b, "127.0.0.1"), 20, 1400)
	primer := datagram(one.Addr, "primer")
	primer.TTL = 9
	six, _ := train(at(t, b, "::1"), 20, 1400)
	if n := allocations(t, a, b, []Datagram{one, primer, six}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	slow := listen(t, Options{NoGSO: true, NoBatch: true})
	if n := allocations(t, slow, b, []Datagram{primer}); n != 0 {
		t.Errorf("%v allocations one by one", n)
	}
}

// TestKernelRefusesTrains has the kernel answer EINVAL, as it does for sockets
// without checksums, to trains whose datagrams it takes.
func TestKernelRefusesTrains(t *testing.T) {
	var log bytes.Buffer
	a, b := listen(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}), listen(t, Options{})
	setOption(t, a, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
	d, want := train(at(t, b, "127.0.0.1"), 4, 100)
	send := func(refused uint64, gso bool) {
		t.Helper()
		if n, err := a.WriteBatch([]Datagram{d}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if got := readPayloads(t, b, 4); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		if c := a.Counters(); c.GSORefused != refused || a.out.gso != gso {
			t.Errorf("%v, GSO %v", c, a.out.gso)
		}
	}
	send(1, true)
	setOption(t, a, unix.SOL_SOCKET, unix.SO_NO_CHECK, 0)
	send(1, true) // a train that goes clears the doubt
	setOption(t, a, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
	send(2, true)
	if log.Len() != 0 {
		t.Errorf("said too early: %s", &log)
	}
	send(3, false)
	send(3, false)
	if n := strings.Count(log.String(), "UDP_SEGMENT"); n != 1 {
		t.Errorf("said %d times: %s", n, &log)
	}
}

// refuse has a train refused as if by the kernel.
func refuse(u *UDP, d Datagram, errno syscall.Errno) result {
	w := &u.out
	w.waits, w.result = 0, result{lastLost: -1, lastRefused: -1}
	u.put(0, &d)
	u.failed(0, errno)
	w.n = 0
	return w.result
}

// TestOldRefusals plays kernels that this one is not.
func TestOldRefusals(t *testing.T) {
	a, b := listen(t, Options{}), listen(t, Options{})
	d, want := train(at(t, b, "127.0.0.1"), 4, 100)
	if r := refuse(a, d, unix.EIO); r.refused != nil || r.lost != 0 || a.out.gso {
		t.Errorf("EIO: %+v, GSO %v", r, a.out.gso)
	}
	if got := readPayloads(t, b, 4); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	enterNamespace(t)
	setMTU(t, "lo", 1400)
	u := listen(t, Options{})
	for range 2 * maxDoubts {
		d, _ := train(at(t, u, "127.0.0.1"), 3, 1401-28)
		if r := refuse(u, d, unix.EINVAL); r.lost != 1 || r.refused == nil || !errors.Is(r.refused, unix.EMSGSIZE) || len(r.refused.Others) != 0 {
			t.Errorf("too long: %+v", r)
		}
	}
	if !u.out.gso || u.Counters().GSORefused != 0 {
		t.Errorf("GSO %v, %v", u.out.gso, u.Counters())
	}
}

// TestTrainsOverLinks sends trains across a router, and too long ones.
func TestTrainsOverLinks(t *testing.T) {
	l := lab.ForTest(t)
	ends := map[string]*UDP{}
	hosts := map[string]*lab.Host{
		"a": lab.Must(l.Host("a", "203.0.113.1", "2001:db8:1::1")),
		"b": lab.Must(l.Host("b", "203.0.113.2", "2001:db8:1::2")),
	}
	for name, h := range hosts {
		if err := h.Do(func() (err error) {
			ends[name], err = ListenUDP(7654, Options{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer ends[name].Close()
	}
	a, b := ends["a"], ends["b"]
	for addr, headers := range map[netip.Addr]int{hosts["b"].Addr(): 28, hosts["b"].Addr6(): 48} {
		to, before := netip.AddrPortFrom(addr, 7654), a.Counters()
		full, _ := train(to, 40, 1500-headers)
		long, _ := train(to, 40, 1501-headers)
		n, err := a.WriteBatch([]Datagram{full, long, full, long, long, datagram(to, "end")})
		var refused *WriteError
		if n != 3 || !errors.As(err, &refused) || !errors.Is(err, unix.EMSGSIZE) || refused.Index != 1 || len(refused.Others) != 2 {
			t.Fatalf("%v: %d, %v", to, n, err)
		}
		whole := 0
		for got := 0; got < 2*full.N+3; {
			for _, d := range readInto(t, b, buffers(8)) {
				if got += d.N; d.Seg == 1500-headers && bytes.Equal(d.Payload(), full.Payload()) {
					whole++
				}
			}
		}
		if c := a.Counters(); whole != 2 || c.TrainsOut-before.TrainsOut != 2 || c.GSORefused != 0 || !a.out.gso {
			t.Errorf("%v: %d trains arrived whole; %v", to, whole, c)
		}
	}
}
