package edge

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/underlay"
)

// keepState writes the state file if something has changed, at most every five seconds. It
// looks half as often while nothing changes.
func (e *Edge) keepState(now time.Time) {
	e.state.remember(e.peers)
	if wall := e.peers.rightClock(now); wall.Sub(e.state.aged).Abs() >= pinLeast {
		e.peers.pins.aged(wall)
	}
	if !e.state.dirty {
		e.chores.storing.Set(e.underlay.Addresses.Policy().Next(now, storeRest))
		return
	}
	e.chores.storing.Set(now.Add(storeEvery))
	e.state.keep()
}

// remember notes how to reach the peers that have a session.
func (s *state) remember(b *peers) {
	var list []storedPeer
	for _, p := range b.byStatic {
		if p.sessions.current == nil || !p.identity.proven || len(list) == storedPeers {
			continue
		}
		stored := storedPeer{Statement: base64.RawURLEncoding.EncodeToString(p.identity.raw), Name: p.about.Name}
		if a := p.view.Route().Direct; a.IsValid() && !underlay.IsSide(a) {
			stored.Addr = a.String()
		}
		list = append(list, stored)
	}
	slices.SortFunc(list, func(a, b storedPeer) int { return strings.Compare(a.Statement, b.Statement) })
	if len(list) > 0 && !slices.Equal(list, s.saved.Peers) {
		s.saved.Peers, s.dirty = list, true
	}
}

// recallPeers meets the peers of the last run, to greet them without having
// to be told of them.
func recallPeers(e *Edge, now time.Time) {
	for _, s := range e.state.saved.Peers {
		raw, err := base64.RawURLEncoding.DecodeString(s.Statement)
		if err != nil {
			continue
		}
		st, err := crypto.VerifyStatement(raw)
		if err != nil || !e.self.other(st) {
			continue
		}
		p := e.peers.meet(now, st.Static)
		if p == nil {
			return
		}
		e.peers.told(now, p, st, raw)
		p.about.Name = s.Name
		p.recalled = true
		if addr, err := netip.ParseAddrPort(s.Addr); err == nil && e.underlay.Addresses.Policy().Probeable(addr) {
			p.sessions.init.to = addr
			e.sessions.initiate(p)
		}
	}
}
