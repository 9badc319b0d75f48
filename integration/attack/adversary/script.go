package adversary

import "iter"

// stepLen is the length of a step without its bytes.
const stepLen = 4

// Step is one thing that a script does. What Op, A and B mean is the player's.
type Step struct {
	Op, A, B byte
	Bytes    []byte
}

// Number returns A and B as one number.
func (s Step) Number() int { return int(s.A)<<8 | int(s.B) }

// Append appends the step to a script. Bytes over 255 are left out.
func (s Step) Append(script []byte) []byte {
	n := min(len(s.Bytes), 255)
	return append(append(script, s.Op, s.A, s.B, byte(n)), s.Bytes[:n]...)
}

// Steps returns the steps of a script, which may be any bytes: each step is its Op, A
// and B, a length and as many bytes. A last step that is cut off is none, so that two
// scripts behind each other are the steps of both if the first is whole.
func Steps(script []byte) iter.Seq[Step] {
	return func(yield func(Step) bool) {
		for len(script) >= stepLen {
			n := stepLen + int(script[3])
			if len(script) < n || !yield(Step{script[0], script[1], script[2], script[stepLen:n]}) {
				return
			}
			script = script[n:]
		}
	}
}
