package portmap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/huin/goupnp/soap"
)

// findIGD returns the service of the router of a test.
func findIGD(t *testing.T, g *igd) service {
	t.Helper()
	s, err := g.speaker().find(t.Context(), loopback)
	if err != nil {
		t.Fatal(err)
	}
	g.called()
	return s
}

var testWant = want{port: testPort, lifetime: lifetime}

// Every kind of service maps, renews, checks and deletes.
func TestUPnP(t *testing.T) {
	for _, kind := range services {
		t.Run(kind, func(t *testing.T) {
			g := newIGD(t, kind)
			s := findIGD(t, g)
			for range 2 {
				got, err := s.request(t.Context(), testWant)
				if want := (grant{netip.AddrPortFrom(wan, testPort), lifetime}); err != nil || got != want {
					t.Errorf("%+v, %v", got, err)
				}
			}
			if m := g.mapped(); len(m) != 1 || m["41641"] != (entry{"127.0.0.1", "41641", "7200"}) {
				t.Errorf("mapped: %v", m)
			}
			if err := s.check(t.Context()); err != nil {
				t.Error(err)
			}
			g.set(func() { g.wan = "198.51.100.9" })
			if err := s.check(t.Context()); err != errLost {
				t.Errorf("another address: %v", err)
			}
			g.set(func() { g.wan = wan.String() })
			if err := s.release(t.Context()); err != nil || len(g.mapped()) != 0 {
				t.Errorf("%v, left: %v", err, g.mapped())
			}
			if err := s.check(t.Context()); err != errLost {
				t.Errorf("after a reboot: %v", err)
			}
			g.set(func() { g.mappings["41641"] = entry{client: "127.0.0.9", port: "41641"} })
			if err := s.check(t.Context()); err != errLost {
				t.Errorf("another's: %v", err)
			}
		})
	}
}

// What a router answers instead of mapping, and what becomes of it.
func TestUPnPFaults(t *testing.T) {
	const first, second = "urn:schemas-upnp-org:service:WANIPConnection:1", choosesPort
	for _, c := range []struct {
		name, kind string
		set        func(g *igd)
		problem    string        // of the answer
		lease      string        // else that of the mapping
		lifetime   time.Duration // and ours
	}{
		{"permanent only", first, func(g *igd) { g.faults["AddPortMapping"] = []int{725} }, "", "0", forEver},
		{"the same port only", first, func(g *igd) { g.faults["AddPortMapping"] = []int{718, 724} }, "", "7200", lifetime},
		{"taken", first, func(g *igd) { g.mappings["41641"] = entry{client: "127.0.0.9"} }, "", "7200", lifetime},
		{"taken, and it chooses", second, func(g *igd) { g.mappings["41641"] = entry{client: "127.0.0.9"} }, "", "7200", lifetime},
		{"it says that it chooses", second, func(g *igd) { g.faults["AddAnyPortMapping"] = []int{401} }, "", "7200", lifetime},
		{"all taken", first, func(g *igd) { g.faults["AddPortMapping"] = []int{718, 718, 718, 718} }, "router at 127.0.0.1 refuses (the port is taken)", "", 0},
		{"not authorised", first, func(g *igd) { g.faults["AddPortMapping"] = []int{606} }, "router at 127.0.0.1 refuses (not authorised)", "", 0},
		{"another error", second, func(g *igd) { g.faults["AddAnyPortMapping"] = []int{501} }, "router at 127.0.0.1 refuses (UPnP error 501)", "", 0},
		{"an error without a number", second, func(g *igd) { g.faults["AddAnyPortMapping"] = []int{-1} }, "router at 127.0.0.1 refuses (UPnP error -1)", "", 0},
		{"carrier", first, func(g *igd) { g.wan = "100.64.0.7" }, "double NAT: the router's own address 100.64.0.7 is not public", "", 0},
		{"no line", first, func(g *igd) { g.wan = "0.0.0.0" }, "router at 127.0.0.1 refuses (it has no connection to the network)", "", 0},
		{"no address", first, func(g *igd) { g.wan = "" }, "router at 127.0.0.1 refuses (it has no connection to the network)", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newIGD(t, c.kind)
			s := findIGD(t, g)
			g.set(func() { c.set(g) })
			got, err := s.request(t.Context(), testWant)
			if c.problem != "" {
				if err == nil || problem(err, loopback.gateway) != c.problem {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := g.mapped()[fmt.Sprint(got.external.Port())]
			if got.lifetime != c.lifetime || m != (entry{"127.0.0.1", "41641", c.lease}) {
				t.Errorf("granted %+v, mapped %+v", got, m)
			}
			if err := s.release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Answers of others than the router are not looked at.
func TestUPnPOtherSource(t *testing.T) {
	g := newIGD(t, choosesPort)
	g.set(func() { g.strayFrom = "127.0.0.2" })
	if _, err := g.speaker().find(t.Context(), loopback); err != nil {
		t.Fatal(err)
	}
	if calls := g.called(); len(calls) == 0 || calls[0] != "/root.xml" || slices.Contains(calls, "/root.xml?from=another") {
		t.Errorf("asked for %v", calls)
	}
}

// A description that leads elsewhere, is none or has no end is not followed.
func TestDescription(t *testing.T) {
	for _, c := range []struct {
		name string
		path string
		set  func(g *igd)
		want error // nil: any
	}{
		{"redirected", "/away", func(*igd) {}, errElsewhere},
		{"a service elsewhere", "/", func(g *igd) { g.control = "http://127.0.0.2/ctl" }, errElsewhere},
		{"a name", "/", func(g *igd) { g.control = "http://router.example/ctl" }, errElsewhere},
		{"no HTTP", "/", func(g *igd) { g.control = "gopher://127.0.0.1/ctl" }, errElsewhere},
		{"a base elsewhere", "/", func(g *igd) { g.base = "http://127.0.0.2/" }, errElsewhere},
		{"no port service", "/", func(g *igd) { g.kind = "urn:schemas-upnp-org:service:Layer3Forwarding:1" }, nil},
		{"no XML", "/", func(g *igd) { g.description = "hello" }, nil},
		{"too long", "/", func(g *igd) { g.description = "<root>" + strings.Repeat("<device>", 1<<20) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newIGD(t, choosesPort)
			g.set(func() { c.set(g) })
			s, err := describe(t.Context(), newWeb(loopback), loopback, g.at(c.path))
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%+v, %v", s, err)
			}
			for _, call := range g.called() {
				if !strings.HasPrefix(call, "/") {
					t.Errorf("called %s", call)
				}
			}
		})
	}
	g := newIGD(t, choosesPort)
	g.set(func() { g.base = g.web.URL + "/deep/" })
	if s, err := describe(t.Context(), newWeb(loopback), loopback, g.at("/root.xml")); err != nil || s.soap.EndpointURL.Host != g.at("/").Host {
		t.Errorf("a base at the router: %v", err)
	}
}

// The client reaches nobody but the router, and reads no more than it wants.
func TestWeb(t *testing.T) {
	g := newIGD(t, choosesPort)
	g.set(func() { g.description = strings.Repeat("x", 2*maxPage) })
	web := newWeb(loopback)
	var n int64
	if err := get(t.Context(), &web, g.web.URL, func(r io.Reader) (err error) {
		n, err = io.Copy(io.Discard, r)
		return err
	}); err != nil || n != maxPage {
		t.Errorf("%d bytes, %v", n, err)
	}
	for _, at := range []string{"http://127.0.0.2/", "http://localhost/", "http://[::1]/", "http://router.example/"} {
		if err := get(t.Context(), &web, at, nil); !errors.Is(err, errElsewhere) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// mute is a web server that never answers.
type mute struct{}

// RoundTrip is http.RoundTripper's.
func (mute) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A router that is slow is silent after four seconds.
func TestSlowWeb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWeb(testHome)
		web.Transport = mute{}
		s := &upnpService{router: testHome, kind: choosesPort, soap: &soap.SOAPClient{HTTPClient: web}}
		began := time.Now()
		if _, err := s.request(t.Context(), testWant); err != errSilent || time.Since(began) != pageTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestSearchAnswer(t *testing.T) {
	home := netip.MustParseAddr("192.168.1.1")
	for location, want := range map[string]bool{
		"http://192.168.1.1:5000/root.xml":     true,
		"http://192.168.1.1/":                  true,
		"http://192.168.1.2:5000/root.xml":     false,
		"http://router.example/root.xml":       false,
		"https://192.168.1.1/root.xml":         false,
		"file:///etc/passwd":                   false,
		"http://user@192.168.1.1/root.xml":     false,
		"http://192.168.1.1@192.168.1.2/":      false,
		"http://[::ffff:192.168.1.1]/root.xml": false,
		"/root.xml":                            false,
		"":                                     false,
	} {
		at, ok := parseSearchAnswer(fmt.Appendf(nil, searchAnswer, location), home)
		if ok != want {
			t.Errorf("%q: %v, %v", location, ok, at)
		}
	}
	for _, b := range []string{"", "HTTP/1.1 200 OK", "NOTIFY * HTTP/1.1\r\n\r\n", "HTTP/1.1 404 no\r\nLOCATION: http://192.168.1.1/\r\n\r\n"} {
		if _, ok := parseSearchAnswer([]byte(b), home); ok {
			t.Errorf("%q is an answer", b)
		}
	}
}

func FuzzSearchAnswer(f *testing.F) {
	f.Add(fmt.Appendf(nil, searchAnswer, "http://192.168.1.1:5000/root.xml"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if at, ok := parseSearchAnswer(b, testHome.gateway); ok && at.Hostname() != "192.168.1.1" {
			t.Errorf("%q leads to %s", b, at)
		}
	})
}

func FuzzDescription(f *testing.F) {
	f.Add(fmt.Appendf(nil, deviceXML, "", choosesPort, "/ctl"))
	f.Add(fmt.Appendf(nil, deviceXML, "http://192.168.1.2/", choosesPort, "ctl"))
	at := &url.URL{Scheme: "http", Host: "192.168.1.1:5000", Path: "/root.xml"}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseDescription(bytes.NewReader(b), at, http.Client{}, testHome)
		if err == nil && (len(list) == 0 || len(list) > maxServices) {
			t.Errorf("%d services", len(list))
		}
		for _, s := range list {
			if s.soap.EndpointURL.Hostname() != "192.168.1.1" {
				t.Errorf("leads to %s", &s.soap.EndpointURL)
			}
		}
	})
}

// canned is a web server that answers everything with the same bytes.
type canned []byte

// RoundTrip is http.RoundTripper's.
func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(c)), ContentLength: -1}, nil
}

func FuzzSOAP(f *testing.F) {
	f.Add(fmt.Appendf(nil, soapAnswer, "A", choosesPort, "<NewExternalIPAddress>203.0.113.7</NewExternalIPAddress><NewReservedPort>7</NewReservedPort>", "A"))
	f.Add(fmt.Appendf(nil, soapFault, 718))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &upnpService{router: testHome, kind: choosesPort, soap: &soap.SOAPClient{HTTPClient: http.Client{Transport: canned(b)}}}
		g, err := s.request(context.Background(), testWant)
		if err == nil && (!public(g.external.Addr()) || g.external.Port() == 0) {
			t.Errorf("granted %+v", g)
		}
		_ = s.check(context.Background())
		_ = s.release(context.Background())
	})
}
