package supernode

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"hedgerow/internal/durable"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
)

const (
	// RedirectFile is the name of the file with the place that edges are sent to, in the
	// state directory: serial, host and port in one line.
	RedirectFile = "redirect"
	// redirectAgain is after which time edges are told once more that have not answered, four
	// times longer with each round, and redirectRounds how often they are. A new session is
	// told with its ACK in any case.
	redirectAgain  = 2 * time.Second
	redirectRounds = 4
	// redirectRun is how many registrations are looked at in one go, while nothing else is
	// done.
	redirectRun = 256
)

// redirects tell edges where this supernode is found from now on. Whoever is here is told in
// rounds, at the pace of notices, and whoever comes with its ACK.
type redirects struct {
	registry *registry
	sender   *controlSender
	out      *outbox // of the timers' goroutine
	alarm    alarm
	next     timer.Timer
	path     string // of the file; empty: nothing is kept
	disk     durable.Disk

	moving sync.Mutex // held for one Move

	now   protocol.Redirect // a serial of 0: there is none
	left  int               // of registry.all: those before it are told next
	round int               // of redirectRounds
}

// load reads the redirect of before from a state directory; empty: nothing is kept.
func (d *redirects) load(dir string, key [32]byte, log *slog.Logger) {
	if dir == "" {
		return
	}
	d.path = filepath.Join(dir, RedirectFile)
	b, err := os.ReadFile(d.path)
	if err == nil {
		d.now, err = parseRedirectFile(b, key)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("edges are not told where this supernode has moved: type 'supernode move PLACE' again", "file", d.path, "err", err)
	}
}

// parseRedirectFile reads what keep wrote.
func parseRedirectFile(b []byte, key [32]byte) (m protocol.Redirect, err error) {
	m.Key = key
	if n, _ := fmt.Sscanf(string(b), "%d %s %d\n", &m.Serial, &m.Host, &m.Port); n != 3 || m.Serial == 0 {
		return protocol.Redirect{}, errors.New("it is damaged")
	}
	if m.Host == stays {
		m.Host, m.Port = "", 0
	}
	return m, nil
}

// stays stands in the file for the host of a redirect that was taken back.
const stays = "-"

// keep writes a redirect to the disk.
func (d *redirects) keep(m *protocol.Redirect) error {
	if d.path == "" {
		return nil
	}
	host := m.Host
	if host == "" {
		host = stays
	}
	return durable.ReplaceOn(d.disk, d.path, fmt.Appendf(nil, "%d %s %d\n", m.Serial, host, m.Port), 0o600)
}

// set begins to tell edges of a redirect.
func (d *redirects) set(now time.Time, m protocol.Redirect) {
	d.now, d.round = m, 0
	d.begin(now)
}

// begin begins a round.
func (d *redirects) begin(now time.Time) {
	if d.now.Serial == 0 {
		return
	}
	d.left = len(d.registry.all)
	d.next.Set(now)
	d.alarm.ring()
}

// step tells some edges.
func (d *redirects) step(now time.Time) {
	told := 0
	for range redirectRun {
		all := d.registry.all
		if d.left = min(d.left, len(all)); d.left == 0 || told == packetsAPace {
			break
		}
		d.left--
		if r := all[d.left]; r.index() != 0 && r.hop.others.noted != d.now.Serial {
			d.sender.message(d.out, r.hop, &d.now)
			told++
		}
	}
	switch {
	case d.left > 0 && told > 0:
		d.next.Set(now.Add(pace))
	case d.left > 0:
		d.next.Set(now.Add(time.Millisecond))
	case d.round < redirectRounds-1:
		d.left = len(d.registry.all)
		d.next.Set(now.Add(redirectAgain << (2 * d.round)))
		d.round++
	}
}

// greet tells whoever registers.
func (d *redirects) greet(x *exchange) {
	if d.now.Serial != 0 && x.hop.others.noted != d.now.Serial {
		x.add(&d.now)
	}
}

// handle notes that an edge has noted a redirect.
func (d *redirects) handle(x *exchange, value []byte) {
	m, err := protocol.ParseRedirect(value)
	switch {
	case err != nil:
		x.refuse(dropControl)
	case m.Key == [32]byte{} && m.Serial == d.now.Serial:
		x.hop.others.noted = m.Serial
	}
}

// status says where edges are sent, and how many know it; nil: nowhere. The caller does not
// hold the mutex.
func (d *redirects) status(w *walker) *admin.Redirect {
	w.tables.Lock()
	now := d.now
	w.tables.Unlock()
	if now.Host == "" {
		return nil
	}
	st := &admin.Redirect{Place: placeText(now.Host, now.Port)}
	all := func() []*registration { return d.registry.all }
	look := func(r *registration) (noted, ok bool) {
		return r.index() != 0 && r.hop.others.noted == now.Serial, r.index() != 0
	}
	tell := func(noted bool) {
		st.Edges++
		if noted {
			st.Noted++
		}
	}
	for from := walk(w, all, 0, look, tell); from > 0; {
		from = walk(w, all, from, look, tell)
	}
	return st
}

// placeText returns a host with its port, as it is typed.
func placeText(host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s:%d", host, port)
}
