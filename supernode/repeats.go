package supernode

// repeats knows INITs and HELLOs that come again. Nobody sends one twice in good faith, since
// each has something random in it; but whoever has recorded one may send it from elsewhere, to
// see whether something answers that knows it. It is kept where there is an obfuscation key;
// else it is nil and knows nothing. Only packets of who has that key get into it.
type repeats struct {
	now, before map[[16]byte]struct{} // the last bytes of packets, which are random; before are the older ones
}

// repeatsMost is how many packets each half holds, of 40 bytes: a week of a hundred edges.
const repeatsMost = 1 << 15

func newRepeats(obfs []byte) *repeats {
	if len(obfs) == 0 {
		return nil
	}
	return &repeats{now: make(map[[16]byte]struct{})}
}

// known reports whether a datagram with these last bytes was noted before. Its mask is made of
// them, so whoever changes them has made noise of it, and whoever changes others has not.
func (r *repeats) known(end [16]byte) bool {
	if r == nil {
		return false
	}
	_, is := r.now[end]
	_, was := r.before[end]
	return is || was
}

// note has a datagram known from now on.
func (r *repeats) note(end [16]byte) {
	if r == nil {
		return
	}
	if len(r.now) >= repeatsMost {
		r.now, r.before = make(map[[16]byte]struct{}), r.now
	}
	r.now[end] = struct{}{}
}
