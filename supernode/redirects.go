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
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
)

const (
	// RedirectFile is the name of the file with the place that edges are sent to, in the
	// state directory: serial, host and port in one line.
	RedirectFile = "redirect"
)

// redirects tell edges where this supernode is found from now on. Whoever is here is told in
// rounds, at the pace of notices, and whoever comes with its ACK.
type redirects struct {
	rounds
	path string // of the file; empty: nothing is kept
	disk durable.Disk

	moving sync.Mutex // held for one Move

	now protocol.Redirect // without a key; a serial of 0: there is none
}

// told returns what an edge is told: the redirect, for the key that it knows us by.
func (d *redirects) told(h *hop) message {
	if d.now.Serial == 0 || h.others.noted == d.now.Serial {
		return nil
	}
	m := d.now
	m.Key = h.us.key.identity.Static
	return &m
}

// load reads the redirect of before from a state directory; empty: nothing is kept.
func (d *redirects) load(dir string, log *slog.Logger) {
	if dir == "" {
		return
	}
	d.path = filepath.Join(dir, RedirectFile)
	b, err := os.ReadFile(d.path)
	if err == nil {
		d.now, err = parseRedirectFile(b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("edges are not told where this supernode has moved: type 'supernode move PLACE' again", "file", d.path, "err", err)
	}
}

// parseRedirectFile reads what keep wrote.
func parseRedirectFile(b []byte) (m protocol.Redirect, err error) {
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
	d.now = m
	d.begin(now)
}

// begin begins to tell edges, if there is something to tell.
func (d *redirects) begin(now time.Time) {
	if d.now.Serial != 0 {
		d.rounds.begin(now)
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
