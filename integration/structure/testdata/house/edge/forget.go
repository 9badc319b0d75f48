package edge

func (e *Edge) forget() {
	e.name = ""
	e.done = true
}
