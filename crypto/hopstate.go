package crypto

import (
	"encoding/binary"
	"errors"
	"time"
)

// handOverSkip is how many counters of a key are skipped when it is handed over, at both
// ends of the hand-over: no number that was reserved before, and perhaps not used, is ever
// near one that is used after it. It is far less than what a window distinguishes, so that
// packets in flight are still taken.
const handOverSkip = 16

var (
	errHopState    = errors.New("crypto: handed over hop session is damaged")
	errWindowState = errors.New("crypto: handed over window is damaged")
)

// A handed over hop session is
//
//	local index u32 | remote index u32 | static key 32 | send key 32 | receive key 32 |
//	initiator u8 | confirmed u8 | failed opens u32 | next hop counter u64 |
//	next relay counter u64 | packets u32 and window, of hop control and of RELAY
//
// and a window is
//
//	words u16, 0 if it is empty | highest counter u64 | the words from the one of the
//	highest counter down, u64 each
const (
	hopStateLen    = 4 + 4 + 3*32 + 1 + 1 + 4 + 8 + 8
	windowStateLen = 2 + 8
)

// AppendState appends all that another process needs to go on with the session, its keys
// among it, and skips some counters of it. The caller makes sure that nobody uses the
// session meanwhile, and that only one of the two uses it afterwards.
func (s *HopSession) AppendState(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, s.cfg.Local)
	dst = binary.BigEndian.AppendUint32(dst, s.cfg.Remote)
	dst = append(dst, s.cfg.Static[:]...)
	dst = append(dst, s.cfg.Keys.Send[:]...)
	dst = append(dst, s.cfg.Keys.Recv[:]...)
	dst = append(dst, bit(s.cfg.Initiator), bit(s.confirmed.Load()))
	dst = binary.BigEndian.AppendUint32(dst, s.failed.Load())
	dst = binary.BigEndian.AppendUint64(dst, s.sentCtl.skip(handOverSkip))
	dst = binary.BigEndian.AppendUint64(dst, s.sentRelay.skip(handOverSkip))
	return s.relay.appendState(s.ctl.appendState(dst))
}

// RestoreHopSession makes a session of the beginning of b, which AppendState has written,
// and returns what is behind it. created is when its handshake ended.
func RestoreHopSession(b []byte, created time.Time) (s *HopSession, rest []byte, err error) {
	if len(b) < hopStateLen {
		return nil, nil, errHopState
	}
	cfg := SessionConfig{
		XF: xfHop, KI: kiNone, Local: binary.BigEndian.Uint32(b), Remote: binary.BigEndian.Uint32(b[4:]),
		Static: [32]byte(b[8:40]), Keys: SplitKeys{Send: [32]byte(b[40:72]), Recv: [32]byte(b[72:104])},
		Initiator: b[104] != 0, Created: created,
	}
	if s, err = NewHopSession(cfg); err != nil {
		return nil, nil, err
	}
	s.confirmed.Store(b[105] != 0)
	s.failed.Store(min(binary.BigEndian.Uint32(b[106:]), failedLimit))
	s.sentCtl.next.Store(min(binary.BigEndian.Uint64(b[110:]), refuseChaCha))
	s.sentRelay.next.Store(min(binary.BigEndian.Uint64(b[118:]), refuseRelay))
	if rest, err = s.ctl.restore(b[hopStateLen:]); err == nil {
		rest, err = s.relay.restore(rest)
	}
	return s, rest, err
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// skip leaves n counters out and returns the next one.
func (c *numbers) skip(n uint64) uint64 { return c.next.Add(n) }

// appendState appends the window as it is now.
func (r *replayGuard) appendState(dst []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.window.appendState(binary.BigEndian.AppendUint32(dst, r.count))
}

// restore reads what appendState has written and returns what is behind it.
func (r *replayGuard) restore(b []byte) (rest []byte, err error) {
	if len(b) < 4 {
		return nil, errWindowState
	}
	r.count = binary.BigEndian.Uint32(b)
	return r.window.restore(b[4:])
}

// appendState appends the window.
func (w *Window) appendState(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(w.ring)))
	dst = binary.BigEndian.AppendUint64(dst, w.last)
	for i := range w.ring {
		dst = binary.BigEndian.AppendUint64(dst, w.ring[(w.head-i+len(w.ring))%len(w.ring)])
	}
	return dst
}

// restore reads what appendState has written, of a window of the same size, and returns what
// is behind it.
func (w *Window) restore(b []byte) (rest []byte, err error) {
	if len(b) < windowStateLen {
		return nil, errWindowState
	}
	words := int(binary.BigEndian.Uint16(b))
	w.last = binary.BigEndian.Uint64(b[2:])
	b = b[windowStateLen:]
	if words == 0 {
		w.last = 0
		return b, nil
	}
	if words != int(w.size/64+1) || len(b) < 8*words {
		return nil, errWindowState
	}
	w.ring, w.head, w.empty = make([]uint64, words), words-1, false
	for i := range w.ring {
		w.ring[w.head-i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return b[8*words:], nil
}
