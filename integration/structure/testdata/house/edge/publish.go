package edge

import "strconv"

const maxIndex = 3

func (e *Edge) publish() {
	e.name = strconv.Itoa(maxIndex)
	e.forget()
}
