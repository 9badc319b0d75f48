package dataplane

// Plane implements the sender of edge, which it does not know.
type Plane struct {
	Sent   int
	secret int
}

func (p *Plane) Send(b []byte) {
	p.Sent += len(b)
	p.secret++
}
