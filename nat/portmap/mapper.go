package portmap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"
)

// The times of a mapping (NAT.md, section 1.1).
const (
	// lifetime is the requested lifetime of a mapping. RFC 6886, section 3.3,
	// and RFC 6887, section 15, recommend two hours and a day at most.
	lifetime = 2 * time.Hour
	// checkEvery is how often the router is asked whether it still has the
	// mapping: a router that is switched off and on forgets it, and the mapping
	// would otherwise be missing until half of the lifetime is over.
	checkEvery = 2 * time.Minute
	// minRenew is the least time between two renewals, whatever lifetime the
	// router grants.
	minRenew = 10 * time.Second
	// releaseTime bounds how long a router is asked to delete a mapping.
	releaseTime = time.Second
	// requestTime bounds a request for a mapping by UPnP, which is several.
	requestTime = 10 * time.Second
)

// pauses are the times until a router is asked again that gave no mapping; the
// last one repeats.
var pauses = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute}

// Config says which port to map, and by which router.
type Config struct {
	// Port is our UDP port. Probe does not need it.
	Port uint16
	// Gateway returns the router to ask, an IPv4 address, and the address of
	// ours from which. It is asked before every attempt and at every Wake. Nil
	// means SystemGateway(nil).
	Gateway func() (gateway, local netip.Addr, err error)
	// Secret is the input of PCP's nonces, by which a router recognises the
	// owner of a mapping. With another secret than before, a router refuses
	// until the mapping of a process that was killed has expired, up to two
	// hours later. Zero means a random one.
	Secret [32]byte
	// Off are the protocols that are not used.
	Off []Protocol
	// Log gets a line for each new mapping and for each new reason why there is
	// none. Nil means slog.Default().
	Log *slog.Logger
}

// A Mapper keeps one port mapped. Its methods may be called from any goroutine.
type Mapper struct {
	port     uint16
	gateway  func() (gateway, local netip.Addr, err error)
	speakers []speaker // the better one first
	log      *slog.Logger
	wake     chan struct{}
}

// New returns a mapper that has not begun; Run does. The error names the fault
// of the configuration.
func New(cfg Config) (*Mapper, error) {
	if cfg.Port == 0 {
		return nil, errors.New("port mapping: no port to map")
	}
	m, err := newMapper(cfg)
	if err == nil && len(m.speakers) == 0 {
		err = errors.New("port mapping: all protocols are off")
	}
	return m, err
}

func newMapper(cfg Config) (*Mapper, error) {
	m := &Mapper{port: cfg.Port, gateway: cfg.Gateway, log: cfg.Log, wake: make(chan struct{}, 1)}
	if m.gateway == nil {
		m.gateway = SystemGateway(nil)
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	if cfg.Secret == ([32]byte{}) {
		_, _ = rand.Read(cfg.Secret[:]) // never fails
	}
	toServer := func(r router) (net.Conn, error) { return r.connect(pcpPort) }
	all := []speaker{pcp{dial: toServer, secret: cfg.Secret}, natpmp{dial: toServer}, upnp{port: ssdpPort, multicast: true}}
	for _, off := range cfg.Off {
		if !slices.ContainsFunc(all, func(s speaker) bool { return s.protocol() == off }) {
			return nil, fmt.Errorf("port mapping: there is no protocol %q", string(off))
		}
	}
	for _, s := range all {
		if !slices.Contains(cfg.Off, s.protocol()) {
			m.speakers = append(m.speakers, s)
		}
	}
	return m, nil
}

// Wake makes Run check at once whether the mapping is still right, and try again
// where there is none: the host's network has changed. It does not block.
func (m *Mapper) Wake() {
	select {
	case m.wake <- struct{}{}:
	default: // the pending one is enough
	}
}

// Run keeps the port mapped until ctx ends, and then deletes the mapping, within
// a second. It calls report when there is a mapping, at every renewal, and when
// there is none for another reason than before. It calls report from its own
// goroutine. All that Run starts has ended when it returns. It is called once.
func (m *Mapper) Run(ctx context.Context, report func(Mapping)) {
	tell := m.reporter(report)
	for failures := 0; ctx.Err() == nil; {
		l, err := m.acquire(ctx)
		switch {
		case err == nil:
			failures = 0
			tell(l.mapping())
			m.hold(ctx, l, tell)
			l.release(ctx)
		case ctx.Err() != nil:
		default:
			tell(Mapping{Problem: err.Error()})
			if m.sleep(ctx, pauses[min(failures, len(pauses)-1)]) {
				failures = 0
			} else {
				failures++
			}
		}
	}
}

// reporter reports changes, and logs them.
func (m *Mapper) reporter(report func(Mapping)) func(Mapping) {
	var last Mapping
	return func(now Mapping) {
		before := last
		if last = now; now == before {
			return
		}
		switch {
		case now.Problem != "":
			m.log.Info("no port mapping", "why", now.Problem)
		case now.External != before.External || now.Protocol != before.Protocol:
			m.log.Info("the router maps our port", "external", now.External, "protocol", now.Protocol)
		}
		report(now)
	}
}

// sleep waits, and reports whether Wake ended it.
func (m *Mapper) sleep(ctx context.Context, d time.Duration) (woken bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return false
	case <-m.wake:
		return true
	}
}

// router returns the router that there is now.
func (m *Mapper) router() (router, error) {
	gateway, local, err := m.gateway()
	if err != nil {
		return router{}, err
	}
	r := router{gateway.Unmap(), local.Unmap()}
	if !r.gateway.Is4() || !r.local.Is4() {
		return router{}, errNoRouter
	}
	return r, nil
}

// hold renews a lease until it is lost, its router is no longer ours, or ctx
// ends.
func (m *Mapper) hold(ctx context.Context, l *lease, tell func(Mapping)) {
	for {
		woken := m.sleep(ctx, time.Until(earlier(l.renew, l.check)))
		if ctx.Err() != nil {
			return
		}
		if woken {
			if r, err := m.router(); err != nil || r != l.router {
				return
			}
		} else if time.Now().Before(l.renew) {
			l.check = time.Now().Add(checkEvery)
			if err := l.inspect(ctx); !errors.Is(err, errLost) {
				continue
			}
		}
		if err := l.extend(ctx, m.port); err != nil {
			return
		}
		tell(l.mapping())
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
