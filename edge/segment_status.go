package edge

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
)

// status says what this edge does on its segment; nil: it is no bridge.
func (s *segment) status(now time.Time) *control.SegmentStatus {
	if s == nil {
		return nil
	}
	state, since := s.machine.State()
	st := &control.SegmentStatus{State: state.String(), SinceS: now.Sub(since).Seconds(), Priority: int(s.machine.Rank().Priority), Bridges: []string{}}
	if n, ok := s.machine.Rival(); ok {
		st.Forwarder = s.name(n)
	}
	for _, n := range s.machine.Neighbours(now) {
		st.Bridges = append(st.Bridges, s.name(n))
	}
	return st
}

// name returns what the user knows another bridge of the segment by.
func (s *segment) name(n bridge.Neighbour) string {
	if p := s.peers.byStatic[n.Static]; p != nil && p.known() {
		return p.title()
	}
	return crypto.ShortID(n.Rank.ID[:])
}

// text says for a line of the log what the bridge does.
func (s *segment) text() string {
	switch state, _ := s.machine.State(); state {
	case bridge.Standby, bridge.Claiming:
		if n, ok := s.machine.Rival(); ok {
			return "standby: " + s.name(n) + " forwards"
		}
		return "standby"
	default:
		return state.String()
	}
}

// notes are the sentences about the segment that the user should read.
func (s *segment) notes(now time.Time) (list []string) {
	if s == nil {
		return nil
	}
	if s.device.unwritable {
		list = append(list, control.DeviceTakesNothing(s.device.name))
	}
	if n, ok := s.machine.Rival(); ok {
		if vlan, alone := s.plane.Gate().Meets(s.plane.Since(now), n.Rank.ID); alone {
			list = append(list, control.SegmentMeets(s.name(n), vlan))
		}
	}
	if at := s.plane.Gate().Reflected(); at != 0 && s.plane.Since(now)-at < int64(reflectedShown) {
		list = append(list, control.SegmentReflects)
	}
	return list
}
