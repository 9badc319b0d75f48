package supernode

import (
	"sync"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
)

// rotationsAPace is how many edges are told of a rotation in a pace: each costs an agreement.
const rotationsAPace = 8

// rotation tells edges that know us by the former key of the one that has taken its place.
// Whoever is here is told in rounds, and whoever comes with its ACK.
type rotation struct {
	rounds
	keys     *serverKeys
	files    stateFiles
	changing sync.Mutex   // held for one Rotate or EndRotation
	file     rotationFile // as it is on the disk
}

// told returns what an edge is told: the key that takes the place of the one that it knows
// us by.
func (d *rotation) told(h *hop) message {
	next := h.us.key.successor.Load()
	if next == nil || h.others.rotated == next.rotation.Serial {
		return nil
	}
	if h.others.rotate == nil {
		h.others.rotate = h.us.key.rotation(h.static)
	}
	if h.others.rotate == nil {
		return nil
	}
	return h.others.rotate
}

// handle notes that an edge has noted a rotation.
func (d *rotation) handle(x *exchange, value []byte) {
	m, err := protocol.ParseRotate(value)
	if err != nil {
		x.refuse(dropControl)
		return
	}
	next := x.hop.us.key.successor.Load()
	if next != nil && m.Key == [32]byte{} && m.Serial == next.rotation.Serial {
		x.hop.others.rotated = m.Serial
	}
}

// secrets are the files with our private keys, by their names. The caller holds the mutex.
func (d *rotation) secrets() map[string][]byte {
	seed := d.keys.own.identity.Seed
	files := map[string][]byte{IdentityFile: seed[:], IdentityCopy: sum(seed[:])}
	if b := d.file.content(); b != nil {
		files[RotationFile], files[RotationCopy] = b, b
	}
	return files
}

// byFormer are the edges that are here by the former key.
type byFormer struct {
	n    int
	some []string // the first few of them, as text
}

// namedMost is how many edges are named that keep a rotation from being ended.
const namedMost = 5

// users returns who is here by the former key, and how many edges are here. The caller does
// not hold the mutex.
func (d *rotation) users(w *walker) (old byFormer, edges int) {
	type seen struct {
		community [16]byte
		owner     [32]byte
		old       bool
	}
	all := func() []*registration { return d.registry.all }
	look := func(r *registration) (seen, bool) {
		if r.index() == 0 {
			return seen{}, false
		}
		return seen{r.community.id, r.owner, r.hop.us.key == d.keys.former}, true
	}
	tell := func(s seen) {
		edges++
		if !s.old {
			return
		}
		if old.n++; len(old.some) < namedMost {
			old.some = append(old.some, crypto.ShortID(s.owner[:])+" of community "+communityText(s.community)[:12])
		}
	}
	for from := walk(w, all, 0, look, tell); from > 0; {
		from = walk(w, all, from, look, tell)
	}
	return old, edges
}

// status says which key takes the place of which, and how many edges use the former one; nil:
// there is none. The caller does not hold the mutex.
func (d *rotation) status(w *walker) *admin.Rotation {
	w.tables.Lock()
	former, st := d.keys.former, &admin.Rotation{Key: KeyText(d.keys.own.identity.Static)}
	st.Since = d.file.at().UTC()
	w.tables.Unlock()
	if former == nil {
		return nil
	}
	old, edges := d.users(w)
	st.Former, st.Edges, st.Old, st.Some = KeyText(former.identity.Static), edges, old.n, old.some
	return st
}
