package transport

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"hedgerow/nat/nat64"
)

// wire is a socket that keeps where datagrams went to, and has some to be read.
type wire struct {
	to   []netip.AddrPort
	from []netip.AddrPort
	fail int // the entry of a batch that is refused; -1: none
}

func (w *wire) ReadBatch(ds []Datagram) (n int, err error) {
	for i := range w.from {
		ds[i].Addr, ds[i].N = w.from[i], 1
	}
	return len(w.from), nil
}

func (w *wire) WriteBatch(ds []Datagram) (n int, err error) {
	for i := range ds {
		w.to = append(w.to, ds[i].Addr)
	}
	if w.fail >= 0 {
		return len(ds) - 1, &WriteError{Index: w.fail, Err: syscall.ENETUNREACH}
	}
	return len(ds), nil
}

func (w *wire) LocalAddr() netip.AddrPort { return netip.AddrPort{} }
func (w *wire) Close() error              { return nil }

func ports(list ...string) (all []netip.AddrPort) {
	for _, s := range list {
		all = append(all, netip.MustParseAddrPort(s))
	}
	return all
}

// What is reached through a NAT64 goes to addresses of its prefix and comes from those, and
// whoever sends and receives sees IPv4 addresses, those of what was refused as well.
func TestNAT64(t *testing.T) {
	p, _ := nat64.NewPrefix(netip.MustParsePrefix("64:ff9b::/96"))
	w := &wire{fail: -1, from: ports("[64:ff9b::198.51.100.7]:9", "[2001:db8::1]:9", "198.51.100.7:9")}
	sides := NewSides()
	conn, n := sides.Writer(w), sides.NAT64()
	side := sides.Add(func([]byte) {})
	list := append(ports("198.51.100.7:9", "192.168.1.2:9", "[2001:db8::1]:9"), side, ports("203.0.113.9:9")[0])
	plain := append(ports("198.51.100.7:9", "192.168.1.2:9", "[2001:db8::1]:9"), ports("203.0.113.9:9")...)
	send := func() (ds []Datagram, err error) {
		w.to = nil
		for _, a := range list {
			ds = append(ds, Datagram{Buf: []byte("x"), N: 1, Addr: a})
		}
		_, err = conn.WriteBatch(ds)
		return ds, err
	}
	if _, err := send(); err != nil || !slices.Equal(w.to, plain) {
		t.Errorf("without a NAT64: %v, %v", w.to, err)
	}
	n.Use(p, func(a netip.Addr) bool { return !a.IsPrivate() })
	through := append(ports("[64:ff9b::198.51.100.7]:9", "192.168.1.2:9", "[2001:db8::1]:9"), ports("[64:ff9b::203.0.113.9]:9")...)
	w.fail = 0
	ds, err := send()
	var refused *WriteError
	if !slices.Equal(w.to, through) || !errors.As(err, &refused) || refused.Index != 0 || len(refused.Others) != 1 || refused.Others[0].Index != 4 {
		t.Errorf("%v, %v", w.to, err)
	}
	for i := range ds {
		if ds[i].Addr != list[i] {
			t.Errorf("%v has become %v", list[i], ds[i].Addr)
		}
	}
	in := make([]Datagram, 4)
	got, err := conn.ReadBatch(in)
	if err != nil || got != 3 || in[0].Addr != plain[0] || in[1].Addr != plain[2] || in[2].Addr != plain[0] {
		t.Errorf("read %d, %v: %v", got, err, in)
	}
	if n.Outward(list[0]) == list[0] || n.Outward(list[1]) != list[1] || n.Outward(list[2]) != list[2] || n.Prefix() != p {
		t.Errorf("what is reached by %v", n.Prefix())
	}
	w.fail = -1
	if a := testing.AllocsPerRun(100, func() { w.to = w.to[:0]; _, _ = conn.WriteBatch(in[:3]); _, _ = conn.ReadBatch(in) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
	n.Use(nat64.Prefix{}, nil)
	if _, err := send(); err != nil || !slices.Equal(w.to, plain) || n.Prefix().IsValid() || n.Outward(list[0]) != list[0] {
		t.Errorf("after the NAT64: %v, %v", w.to, err)
	}
	if none := (*NAT64)(nil); none.Prefix().IsValid() || none.Outward(list[0]) != list[0] || none.Inward(list[0]) != list[0] {
		t.Error("nil translates")
	}
}
