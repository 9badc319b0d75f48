package crypto

// stampsMax bounds each half of the stamp table.
const stampsMax = 65536

// stampTable holds the highest stamp of each of the most recent keys. It has two
// halves: when the recent half is full it becomes the old one, and the previous
// old half is forgotten.
type stampTable struct {
	recent, old map[[32]byte]uint64
	forgot      bool // keys have been forgotten
}

// fresh is Guard.FreshStamp. Once keys have been forgotten an unknown one may be
// one of them, so it is not called fresh but has to answer a challenge.
func (t *stampTable) fresh(static [32]byte, stamp uint64) bool {
	last, known := t.recent[static]
	if !known {
		last, known = t.old[static]
		t.makeRoom()
	}
	t.recent[static] = max(last, stamp)
	if !known {
		return !t.forgot
	}
	return stamp > last
}

// makeRoom prepares the recent half for one more key.
func (t *stampTable) makeRoom() {
	if t.recent != nil && len(t.recent) < stampsMax {
		return
	}
	t.forgot = t.forgot || len(t.old) > 0
	t.old, t.recent = t.recent, make(map[[32]byte]uint64)
}
