package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/render"
	"hedgerow/internal/stack"
	"hedgerow/tap"
	"hedgerow/tap/taptest"
)

// memoryTAP is a TAP device without a kernel.
type memoryTAP struct {
	*taptest.Device
	name string
	mac  [6]byte
	mtu  int

	routes []tap.Route
}

func (d *memoryTAP) Name() string { return d.name }
func (d *memoryTAP) MAC() [6]byte { return d.mac }
func (d *memoryTAP) MTU() int     { return d.mtu }

func (d *memoryTAP) Queues() []*tap.Queue  { return nil }
func (d *memoryTAP) SetCarrier(bool) error { return nil }

func (d *memoryTAP) Watch(context.Context, tap.Watching) {}
func (d *memoryTAP) SetRoutes(list []tap.Route) error {
	d.routes = list
	return nil
}

// host is a machine whose devices refuse to be opened for the reason given,
// and which makes every other one.
type host struct {
	refuse map[string]string
	tried  []string
}

func (h *host) open(cfg tap.Config) (tapDevice, error) {
	h.tried = append(h.tried, cfg.Name)
	if code, ok := h.refuse[cfg.Name]; ok {
		return nil, &tap.OpenError{Code: code, Sentence: cfg.Name + " is refused.", Errno: syscall.EBUSY}
	}
	return &memoryTAP{Device: taptest.New(taptest.Options{}), name: cfg.Name, mac: cfg.MAC, mtu: cfg.MTU}, nil
}

func TestOpenDevice(t *testing.T) {
	everything := map[string]string{}
	for _, stem := range []string{"edge", "edge1", "edge2", "edge3"} {
		for d := range 10 {
			everything[stem+string(rune('0'+d))] = "E04"
		}
	}
	for _, tt := range []struct {
		name   string
		asked  string
		refuse map[string]string
		got    string // empty: none
		tried  int
		code   cli.Code
		id     string
	}{
		{name: "the first", got: "edge0", tried: 1},
		{name: "the one asked for", asked: "n2n0", got: "n2n0", tried: 1},
		{name: "the third", refuse: map[string]string{"edge0": "E04", "edge1": "E05"}, got: "edge2", tried: 3},
		{name: "none free", refuse: everything, tried: defaultTries, code: cli.Failure, id: "E04"},
		{name: "asked for and busy", asked: "edge0", refuse: everything, tried: 1, code: cli.Failure, id: "E04"},
		{name: "a bridge", asked: "br0", refuse: map[string]string{"br0": "E05"}, tried: 1, code: cli.Usage, id: "E05"},
		{name: "no module", refuse: map[string]string{"edge0": "E01"}, tried: 1, code: cli.Permission, id: "E01"},
		{name: "no capability", refuse: map[string]string{"edge0": "E02"}, tried: 1, code: cli.Permission, id: "E02"},
		{name: "no permission", refuse: map[string]string{"edge0": "E03"}, tried: 1, code: cli.Permission, id: "E03"},
		{name: "something else", refuse: map[string]string{"edge0": ""}, tried: 1, code: cli.Failure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &host{refuse: tt.refuse}
			d, err := openDevice(h.open, tap.Config{Name: tt.asked})
			if len(h.tried) != tt.tried {
				t.Errorf("tried %q", h.tried)
			}
			if tt.got != "" {
				if err != nil || d.Name() != tt.got {
					t.Errorf("%v, %v", d, err)
				}
				return
			}
			var own *cli.Error
			if !errors.As(err, &own) || own.Code != tt.code || own.ID != tt.id || !errors.Is(err, syscall.EBUSY) {
				t.Errorf("%#v, want code %d and %q", err, tt.code, tt.id)
			}
		})
	}
	if code := cli.CodeOf(deviceError(errors.New("odd"))); code != cli.Failure {
		t.Errorf("an error of another kind: %d", code)
	}
}

func TestOverlap(t *testing.T) {
	ifs, err := net.InterfaceAddrs()
	if err != nil {
		t.Skip(err)
	}
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	if !slices.ContainsFunc(ifs, func(a net.Addr) bool { return strings.HasPrefix(a.String(), "127.0.0.1/") }) {
		t.Skip("no loopback address here")
	}
	var log bytes.Buffer
	l, _ := cli.NewLog(&log, cli.LogChoice{})
	mem := taptest.New(taptest.Options{})
	d := &device{tapDevice: &memoryTAP{Device: mem, name: "edge0"}, stack: stack.New(0), log: l}
	for range 2 { // a renewed lease warns once
		if err := d.SetAddress(netip.MustParsePrefix("127.64.0.7/24")); err != nil {
			t.Fatal(err)
		}
	}
	want := overlapSentence(netip.MustParsePrefix("127.64.0.7/24"), edge.Network{Interface: "lo", Prefix: loopback})
	if n := strings.Count(log.String(), want); n != 1 {
		t.Errorf("%q said %d times in %q", want, n, log.String())
	}
	if !strings.HasSuffix(want, "127.64.0.0/24 overlaps lo (127.0.0.0/8): traffic would go the wrong way. Pick another range with -a or on the supernode. [E59]") {
		t.Error(want)
	}
	if got := mem.Addresses(); !slices.Contains(got, netip.MustParsePrefix("127.64.0.7/24")) {
		t.Errorf("the device has %v", got)
	}
}

func TestEnded(t *testing.T) {
	report := render.NewReporter(render.ReporterConfig{Out: io.Discard, Log: slog.New(slog.DiscardHandler)})
	report.Event(control.Event{Kind: control.EventAddressRefused, Wanted: netip.MustParsePrefix("10.64.0.7/24"), MAC: [6]byte{2, 5: 0x31}})
	report.Close()
	m := &member{report: report, device: &device{tapDevice: &memoryTAP{name: "edge0"}}}
	m.keys.Community = mustCommunity(t)
	for _, tt := range []struct {
		err  error
		code cli.Code
		want string
	}{
		{nil, cli.OK, ""},
		{edge.ErrAddressTaken, cli.Refused, "10.64.0.7 is already used by 02:00:00:00:00:31. Choose another address with -a static:IP/LEN, or leave -a out to be given a free one. [E11]"},
		{edge.ErrScheduleEnded, cli.Failure, `the key schedule of "n" has ended`},
		{tap.ErrDeleted, cli.Failure, "somebody deleted edge0"},
		{errors.New("odd"), cli.Failure, "odd"},
	} {
		err := m.ended(t.Context(), tt.err)
		if cli.CodeOf(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v ended as %v (%d)", tt.err, err, cli.CodeOf(err))
		}
	}
}
