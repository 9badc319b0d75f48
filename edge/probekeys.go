package edge

import (
	"time"
)

// probeKeys are the keys of the MACs on probes, of the epochs that are received under.
// Deriving one costs as much as a signature, so that they are kept.
type probeKeys struct {
	keys  *keyring
	known map[uint8]probeKey
	array *[256]*[32]byte // what was made of known
}

type probeKey struct {
	epoch, key [32]byte
}

// all returns the keys by key index. The array never changes: another one is made when
// the epochs change.
func (k *probeKeys) all(now time.Time) *[256]*[32]byte {
	wall := k.keys.plane.Wall(now)
	acceptable := k.keys.schedule.Acceptable(wall)
	changed := k.array == nil || len(acceptable) != len(k.known)
	known := make(map[uint8]probeKey, len(acceptable))
	for _, ki := range acceptable {
		e, ok := k.keys.schedule.CanReceive(wall, ki)
		if !ok {
			continue
		}
		old, had := k.known[ki]
		if !had || old.epoch != e.Key {
			old, changed = probeKey{epoch: e.Key, key: k.keys.community.ProbeKey(e)}, true
		}
		known[ki] = old
	}
	if changed {
		k.known, k.array = known, new([256]*[32]byte)
		for ki, p := range known {
			k.array[ki] = &p.key
		}
	}
	return k.array
}

// sending returns the key to send under, false when nothing may be sent.
func (k *probeKeys) sending(now time.Time) (ki uint8, key [32]byte, ok bool) {
	e, ok := k.keys.schedule.Transmit(k.keys.plane.Wall(now))
	if !ok {
		return 0, key, false
	}
	if p, had := k.known[e.Index]; had && p.epoch == e.Key {
		return e.Index, p.key, true
	}
	return e.Index, k.keys.community.ProbeKey(e), true
}
